"""Verdicts to show as checks: what stands in Postgres against the newest window, and against the reference."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection

from monitoring_pipeline.stages.context import StageContext
from monitoring_pipeline.warehouse import reference_store
from monitoring_pipeline.warehouse.newest_findings import newest_findings

LEAST_ROWS = 100
CHECKS = ("schema_contract", "data_quality", "drifted_columns", "model_performance")


@dataclass(frozen=True)
class Verdict:
    """What speaks against one window; no finding, no objection. ``window`` is its start as text, None before the
    first.
    """

    window: str | None
    findings: tuple[str, ...]


def newest_verdicts(stages: StageContext) -> dict[str, Verdict]:
    """By name of the check, for the newest window that has figures."""
    found = stages.warehouse.run(lambda conn: newest_findings(conn, stages.monitor.name))
    start = found.window_start.strftime("%Y-%m-%d %H:%M UTC") if found.window_start else None
    return {check: Verdict(start, tuple(found.by_check.get(check, ()))) for check in CHECKS}


def reference_findings(stages: StageContext) -> list[str]:
    """Why windows should not be held against the kept reference; empty when nothing speaks against it."""

    def read(conn: Connection) -> dict:
        return reference_store.load_segments(conn, stages.monitor.name)

    findings = []
    segments = stages.warehouse.run(read)
    if not segments:
        return [f"{stages.monitor.name} has no reference profile"]
    for (version, segment), reference in segments.items():
        if segment != "*":
            continue
        n = reference.profile.n_rows
        if n < LEAST_ROWS:
            findings.append(f"the reference of {version} has {n} rows; give it at least {LEAST_ROWS}")
        empty = [c.layout.name for c in reference.profile.columns if c.n_values == 0]
        if empty:
            findings.append(
                f"the reference of {version} has no value in {', '.join(empty)}; drop the columns or correct the source"
            )
        target = reference.labelled.target
        if target is not None and reference.labelled.outcome.n_labelled and (target.counts > 0).sum() < 2:
            findings.append(f"the reference of {version} has only one outcome; performance cannot be compared with it")
    return findings
