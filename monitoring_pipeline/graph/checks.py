"""Gates and verdicts as asset checks.

The reference's gate blocks: bins cut from a poor reference would poison every window. The windows' verdicts do not:
they are rows in Postgres, one per window, and the check says in Dagster what they say of the newest window of the run.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import dagster as dg
from dagster._core.definitions.asset_checks.asset_check_evaluation import AssetCheckEvaluationTargetMaterializationData

from monitoring_pipeline.graph.keys import asset_key
from monitoring_pipeline.graph.resources import MonitoringResource
from monitoring_pipeline.monitors import Monitor
from monitoring_pipeline.stages import check_results

if TYPE_CHECKING:
    from dagster._core.execution.context.compute import StepExecutionContext

VERDICTS = {
    "schema_contract": (
        "predictions",
        "Columns and types are as declared; the quarantined share is within its threshold.",
    ),
    "data_quality": ("quality", "No quality metric of the newest window violates its threshold."),
    "drifted_columns": ("drift", "The share of drifted features is below its threshold for every baseline."),
    "model_performance": ("performance", "No mature performance metric is degraded."),
}


class _Verdict(dg.AssetCheckResult):
    """What Dagster links a check to: the newest materialization of its asset.

    Dagster's own looks for it by way of the keys of all partitions since the monitor's start, counted up one by one:
    half a second for each check and three years of hours, to find that there are too many of them to use.
    """

    def _get_unpartitioned_target_materialization_data(
        self, step_context: "StepExecutionContext", asset_key: dg.AssetKey
    ) -> AssetCheckEvaluationTargetMaterializationData | None:
        newest = step_context.instance.fetch_materializations(asset_key, limit=1).records
        if not newest:
            return None
        return AssetCheckEvaluationTargetMaterializationData(
            storage_id=newest[0].storage_id, run_id=newest[0].run_id, timestamp=newest[0].timestamp
        )


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
        problems = check_results.reference_problems(monitoring.stage_context(monitor, run_id="check"))
        yield dg.AssetCheckResult(
            asset_key=asset_key(monitor, "reference"),
            check_name="sound_reference",
            passed=not problems,
            severity=dg.AssetCheckSeverity.ERROR,
            metadata={"problems": dg.MetadataValue.md("\n".join(f"- {f}" for f in problems) or "none")},
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
        found = check_results.newest_results(monitoring.stage_context(monitor, run_id="check"))
        for key in sorted(context.selected_asset_check_keys, key=str):
            result = found[key.name]
            yield _Verdict(
                asset_key=key.asset_key,
                check_name=key.name,
                passed=not result.problems,
                severity=dg.AssetCheckSeverity.WARN,
                metadata={
                    "window": result.window or "none yet",
                    "problems": dg.MetadataValue.md("\n".join(f"- {f}" for f in result.problems) or "none"),
                },
            )

    return windows_verdicts
