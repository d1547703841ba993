"""Gates and verdicts as asset checks.

The reference's gate blocks: bins cut from a poor reference would poison every window. The windows' verdicts do not:
they are rows in Postgres, one per window, and the check says in Dagster what they say of the newest window of the run.
"""

from collections.abc import Iterator

import dagster as dg

from monitoring_pipeline.graph.keys import asset_key
from monitoring_pipeline.graph.resources import MonitoringResource
from monitoring_pipeline.monitors import Monitor
from monitoring_pipeline.stages import findings as stage

VERDICTS = {
    "schema_contract": (
        "predictions",
        "Columns and types are as declared; the quarantined share is within its threshold.",
    ),
    "data_quality": ("quality", "No quality metric of the newest window violates its threshold."),
    "drifted_columns": ("drift", "The share of drifted features is below its threshold for every baseline."),
    "model_performance": ("performance", "No mature performance metric is degraded."),
}


def reference_gate(monitor: Monitor) -> dg.AssetChecksDefinition:
    """``<monitor>_reference_gate``: enough rows, both classes seen, no column empty. Blocks what follows."""

    @dg.multi_asset_check(
        name=f"{monitor.name}_reference_gate",
        specs=[
            dg.AssetCheckSpec(
                "sound_reference",
                asset=asset_key(monitor, "reference"),
                blocking=True,
                description="Enough rows, more than one outcome, no column entirely missing.",
            )
        ],
    )
    def gate(monitoring: MonitoringResource) -> Iterator[dg.AssetCheckResult]:
        findings = stage.reference_findings(monitoring.stage_context(monitor, run_id="check"))
        yield dg.AssetCheckResult(
            asset_key=asset_key(monitor, "reference"),
            check_name="sound_reference",
            passed=not findings,
            severity=dg.AssetCheckSeverity.ERROR,
            metadata={"findings": dg.MetadataValue.md("\n".join(f"- {f}" for f in findings) or "none")},
        )

    return gate


def verdicts(monitor: Monitor) -> dg.AssetChecksDefinition:
    """``<monitor>_verdicts``: what Postgres holds against the newest computed window."""

    @dg.multi_asset_check(
        name=f"{monitor.name}_verdicts",
        specs=[
            dg.AssetCheckSpec(name, asset=asset_key(monitor, asset), description=text)
            for name, (asset, text) in VERDICTS.items()
        ],
        can_subset=True,
    )
    def windows_verdicts(
        context: dg.AssetCheckExecutionContext, monitoring: MonitoringResource
    ) -> Iterator[dg.AssetCheckResult]:
        found = stage.newest_verdicts(monitoring.stage_context(monitor, run_id="check"))
        for key in sorted(context.selected_asset_check_keys, key=str):
            verdict = found[key.name]
            yield dg.AssetCheckResult(
                asset_key=key.asset_key,
                check_name=key.name,
                passed=not verdict.findings,
                severity=dg.AssetCheckSeverity.WARN,
                metadata={
                    "window": verdict.window or "none yet",
                    "findings": dg.MetadataValue.md("\n".join(f"- {f}" for f in verdict.findings) or "none"),
                },
            )

    return windows_verdicts
