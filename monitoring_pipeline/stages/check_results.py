"""Results to show as checks: what stands in Postgres against the newest window, and against the reference."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection

from monitoring_pipeline.profiles.profile import EVERYTHING
from monitoring_pipeline.stages.context import StageContext
from monitoring_pipeline.warehouse import reference_store
from monitoring_pipeline.warehouse.newest_verdicts import newest_verdicts

LEAST_ROWS = 100
CHECKS = ("schema_contract", "data_quality", "drifted_columns", "model_performance")


@dataclass(frozen=True)
class CheckResult:
    """What speaks against one window; no problem: the check passes. ``window`` is its start as text, None before the
    first.
    """

    window: str | None
    problems: tuple[str, ...]


def newest_results(stages: StageContext) -> dict[str, CheckResult]:
    """By name of the check, for the newest window that has measurements."""
    found = stages.warehouse.run(lambda conn: newest_verdicts(conn, stages.monitor.name))
    start = found.window_start.strftime("%Y-%m-%d %H:%M UTC") if found.window_start else None
    return {check: CheckResult(start, tuple(found.by_check.get(check, ()))) for check in CHECKS}


def reference_problems(stages: StageContext) -> list[str]:
    """Why windows should not be held against the kept reference; empty when nothing speaks against it."""

    def read(conn: Connection) -> dict:
        return reference_store.load_segments(conn, stages.monitor.name)

    problems = []
    segments = stages.warehouse.run(read)
    if not segments:
        return [f"{stages.monitor.name} has no reference profile"]
    for (version, segment), reference in segments.items():
        if segment != EVERYTHING:
            continue
        n = reference.profile.n_rows
        if n < LEAST_ROWS:
            problems.append(f"the reference of {version} has {n} rows; give it at least {LEAST_ROWS}")
        empty = [c.layout.name for c in reference.profile.columns if c.n_values == 0]
        if empty:
            problems.append(
                f"the reference of {version} has no value in {', '.join(empty)}; drop the columns or correct the source"
            )
        target = reference.labelled.target
        if target is not None and reference.labelled.outcome.n_labelled and (target.counts > 0).sum() < 2:
            problems.append(f"the reference of {version} has only one outcome; performance cannot be compared with it")
    return problems
