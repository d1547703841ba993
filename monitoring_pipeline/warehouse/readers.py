"""Small questions that stages and pictures ask of what is stored."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

from monitoring_pipeline.windows import Window

PROFILED_LAYOUTS = text("""
select window_start, model_version, layout_id from monitoring.profile
where monitor = :monitor and segment = '*' and scope = 'window' and part = :part and window_start = any(:starts)
""")
SEGMENTS_BY_CONFIG = text("""
select config_version, declaration -> 'segments' as segments from monitoring.monitor_declaration
where monitor = :monitor
""")
LABEL_COUNTS = text("""
select window_start, sum(n_labelled) from monitoring.profile
where monitor = :monitor and segment = '*' and scope = 'window' and part = 'outcomes'
  and window_start = any(:starts) group by window_start
""")
DRIFT_VALUES = text("""
select window_start, model_version, column_name, role, value, threshold, drifted from monitoring.drift_current
where monitor = :monitor and window_start = any(:starts) and baseline = :baseline and method = :method and segment = '*'
  and value is not null
order by window_start, column_name
""")
PERFORMANCE_VALUES = text("""
select window_start, model_version, value, ci_low, ci_high, threshold, n_labelled from monitoring.performance_current
where monitor = :monitor and window_start = any(:starts) and metric = :metric and segment = '*' and kind = 'realized'
order by window_start, model_version
""")


@dataclass(frozen=True)
class DriftValue:
    """One figure of one column in one window, of everything."""

    window_start: datetime
    model_version: str
    column_name: str
    role: str
    value: float
    threshold: float
    drifted: bool | None


@dataclass(frozen=True)
class PerformanceValue:
    """One realized figure of one window, of everything."""

    window_start: datetime
    model_version: str
    value: float | None
    ci_low: float | None
    ci_high: float | None
    threshold: float | None
    n_labelled: int


def _of(monitor: str, windows: Iterable[Window]) -> dict[str, Any]:
    return {"monitor": monitor, "starts": [w.start for w in windows]}


def profiled_layouts(
    conn: Connection, monitor: str, windows: Iterable[Window], part: str = "columns"
) -> dict[datetime, dict[str, str]]:
    """Which layout this part of the profile of each model version of each window was counted by."""
    found: dict[datetime, dict[str, str]] = {}
    for start, version, layout_id in conn.execute(PROFILED_LAYOUTS, _of(monitor, windows) | {"part": part}):
        found.setdefault(start, {})[version] = layout_id
    return found


def segments_by_config(conn: Connection, monitor: str) -> dict[str, list[Any]]:
    """The segments that each declaration of the monitor named."""
    rows = conn.execute(SEGMENTS_BY_CONFIG, {"monitor": monitor})
    return {row.config_version: row.segments for row in rows}


def label_counts(conn: Connection, monitor: str, windows: Iterable[Window]) -> dict[datetime, int]:
    """Labelled rows of each window as last profiled; windows never profiled with labels are absent."""
    return {start: int(n) for start, n in conn.execute(LABEL_COUNTS, _of(monitor, windows))}


def drift_values(
    conn: Connection, monitor: str, windows: Sequence[Window], baseline: str, method: str
) -> list[DriftValue]:
    """One method's current figures against one baseline, by window and column."""
    rows = conn.execute(DRIFT_VALUES, _of(monitor, windows) | {"baseline": baseline, "method": method}).mappings()
    return [DriftValue(**row) for row in rows]


def performance_values(
    conn: Connection, monitor: str, windows: Sequence[Window], metric: str
) -> list[PerformanceValue]:
    """One realized metric's current figures, by window and model version."""
    rows = conn.execute(PERFORMANCE_VALUES, _of(monitor, windows) | {"metric": metric}).mappings()
    return [PerformanceValue(**row) for row in rows]
