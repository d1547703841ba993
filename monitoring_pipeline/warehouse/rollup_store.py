"""Rollups: what each was made from, its measurements with their verdicts, and the calibrated verdicts on it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, text

from monitoring_pipeline.alerting.verdict import Verdict
from monitoring_pipeline.measurements import Measurement, MetricKeys
from monitoring_pipeline.warehouse.copying import array_literal, copy_rows, text_array_literal
from monitoring_pipeline.warehouse.measurement_store import keys_id
from monitoring_pipeline.windows import Window

# What a rollup may rest on, window by window: rows, profiles, outcomes, and whether all labels are due.
WINDOWS = text("""
select w.window_start, w.window_end, w.n_rows, w.pruned_at is not null as pruned,
       w.data_version || ' ' || coalesce(p.output_version, '') || ' ' || coalesce(g.output_version, '') as version,
       :now >= w.window_end + cast(:max_delay as interval) as aged,
       array(select jsonb_object_keys(w.versions)) as model_versions
from monitoring.prediction_window w
left join monitoring.window_stage p
  on p.monitor = w.monitor and p.window_start = w.window_start and p.stage = 'profile' and p.completed_at is not null
left join monitoring.window_stage g
  on g.monitor = w.monitor and g.window_start = w.window_start and g.stage = 'ground_truth'
 and g.completed_at is not null
where w.monitor = :monitor
order by w.window_start
""")
STANDING = text("select window_size, window_end, inputs from monitoring.rollup where monitor = :monitor")
FORGET = text("""
delete from monitoring.rollup r
using unnest(cast(:sizes as text[]), cast(:ends as timestamptz[])) as d (window_size, window_end)
where r.monitor = :monitor and r.window_size = d.window_size and r.window_end = d.window_end
""")
HEAD = (
    *("monitor", "window_size", "window_start", "window_end", "n_windows", "partial", "n_rows", "inputs"),
    *("config_version", "policy_version", "code_version", "run_id"),
)
MEASURED = (
    *("monitor", "window_size", "window_end", "family", "model_version", "baseline", "segment", "metric_keys_id"),
    *("n_predictions", "n_labelled", "value", "n", "n_reference", "p_value", "effect", "error_bound", "ci_low"),
    *("ci_high", "reference_value", "detail", "thresholds", "sources", "flagged", "mature"),
)
JUDGED = (
    *("monitor", "window_size", "window_end", "kind", "model_version", "segment", "metric_keys_id", "level", "status"),
    *("moved", "p_value", "q_value", "effect", "sources", "reasons"),
)

Place = tuple[str, datetime]  # window_size, window_end


@dataclass(frozen=True)
class BaseWindow:
    """A window that was taken in. ``version``: of its rows, profile and outcomes. ``pruned``: retention has been at it.
    ``aged``: all of its labels are due. ``model_versions``: those that served it."""

    window: Window
    n_rows: int
    pruned: bool
    version: str
    aged: bool
    model_versions: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class RollupVerdict:
    """The calibrated verdicts on the columns (``drift``) or subjects (``performance``) of ``keys``, in their order."""

    kind: str
    model_version: str
    segment: str
    keys: MetricKeys
    level: float
    status: Sequence[str]
    moved: Sequence[str | None]
    p_value: NDArray[np.float64]
    q_value: NDArray[np.float64]
    effect: NDArray[np.float64]
    sources: Sequence[str]
    reasons: Sequence[str | None]


@dataclass(frozen=True)
class Rollup:
    """One rollup with everything about it. ``size``: its ``window_size``."""

    size: str
    window: Window
    n_windows: int
    partial: bool
    n_rows: int
    inputs: str
    measured: Sequence[tuple[Measurement, Verdict]]
    verdicts: Sequence[RollupVerdict]


@dataclass(frozen=True)
class Made:
    """Under what rollups are computed."""

    config_version: str
    policy_version: str
    code_version: str
    run_id: str | None


def base_windows(conn: Connection, monitor: str, max_delay: Any, now: datetime) -> list[BaseWindow]:
    """Every window that was taken in, in order."""
    rows = conn.execute(WINDOWS, {"monitor": monitor, "max_delay": max_delay, "now": now})
    return [
        BaseWindow(
            Window(r.window_start, r.window_end), r.n_rows, r.pruned, r.version, r.aged, tuple(r.model_versions)
        )
        for r in rows
    ]  # fmt: skip


def standing(conn: Connection, monitor: str) -> dict[Place, str]:
    """What each stored rollup was made from."""
    return {(row.window_size, row.window_end): row.inputs for row in conn.execute(STANDING, {"monitor": monitor})}


def forget(conn: Connection, monitor: str, places: Iterable[Place]) -> None:
    """Deletes these rollups."""
    gone = list(places)
    if gone:
        named = {"sizes": [size for size, _ in gone], "ends": [end for _, end in gone]}
        conn.execute(FORGET, {"monitor": monitor} | named)


def replace(conn: Connection, monitor: str, rollups: Sequence[Rollup], made: Made) -> None:
    """Writes these rollups in the place of those of the same size and end."""
    forget(conn, monitor, [(one.size, one.window.end) for one in rollups])
    copy_rows(conn, "monitoring.rollup", HEAD, [
        (monitor, one.size, one.window.start, one.window.end, one.n_windows, one.partial, one.n_rows, one.inputs,
         made.config_version, made.policy_version, made.code_version, made.run_id)
        for one in rollups
    ])  # fmt: skip
    measured = [
        (monitor, one.size, one.window.end, *_measured(conn, m, verdict))
        for one in rollups for m, verdict in one.measured
    ]  # fmt: skip
    copy_rows(conn, "monitoring.rollup_measurement", MEASURED, measured)
    judged = [(monitor, one.size, one.window.end, *_judged(conn, v)) for one in rollups for v in one.verdicts]
    copy_rows(conn, "monitoring.rollup_verdict", JUDGED, judged)


def _measured(conn: Connection, m: Measurement, verdict: Verdict) -> tuple[Any, ...]:
    numbers = (m.value, m.n, m.n_reference, m.p_value, m.effect, m.error_bound, m.low, m.high, m.reference_value)
    return (
        m.family, m.model_version, m.baseline, m.segment, keys_id(conn, m.keys), m.n_predictions, m.n_labelled,
        *(None if one is None else array_literal(one) for one in numbers),
        text_array_literal(m.detail) if m.detail and any(m.detail) else None,
        array_literal(verdict.threshold), text_array_literal(verdict.source), _flags(verdict), verdict.mature,
    )  # fmt: skip


def _judged(conn: Connection, v: RollupVerdict) -> tuple[Any, ...]:
    return (
        v.kind, v.model_version, v.segment, keys_id(conn, v.keys), v.level, text_array_literal(v.status),
        text_array_literal(v.moved), *(array_literal(one) for one in (v.p_value, v.q_value, v.effect)),
        text_array_literal(v.sources), text_array_literal(v.reasons),
    )  # fmt: skip


def _flags(verdict: Verdict) -> str:
    said = {1: "t", 0: "f", -1: "NULL"}
    return "{" + ",".join(said[flag] for flag in verdict.flagged.tolist()) + "}"
