"""Drift: each window's profiles held against its baselines. No raw row is read."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection

from monitoring_pipeline.errors import WindowError
from monitoring_pipeline.metric_rows import DriftRow
from monitoring_pipeline.metrics.drift import measure_drift
from monitoring_pipeline.monitors import Window
from monitoring_pipeline.profiles.column import ColumnProfile
from monitoring_pipeline.profiles.profile import EVERYTHING
from monitoring_pipeline.stages.context import Facts, StageContext, WindowOutcome, complete, each_window
from monitoring_pipeline.stages.versions import reference_version
from monitoring_pipeline.warehouse import ledger, metric_store, profile_store, reference_store
from monitoring_pipeline.warehouse.reference_store import ReferenceSegment

WINDOWS_A_READ = 32
PREVIOUS_WITHIN = 7  # windows: how far back the previous non-empty one may lie
SEASONS = 4  # weeks: how many of the same hours of the week make the seasonal baseline
SEGMENT_METHODS = ("psi", "missing_share_change", "drifted_columns_share")
"""A segment gets what its verdict needs; every method for every segment would be millions of rows a year."""

Key = tuple[str, str]  # model version, segment


@dataclass(frozen=True)
class Columns:
    """What one (window, version, segment) holds: its profile's columns, and the target's as far as labelled."""

    layout_id: str
    columns: tuple[ColumnProfile, ...]


Shelf = Mapping[datetime, Mapping[Key, Columns]]


def measure(stages: StageContext, windows: Sequence[Window]) -> list[WindowOutcome]:
    """Every column of these windows against every declared baseline. Equal figures change nothing."""
    name = stages.monitor.name

    def read(conn: Connection) -> tuple:
        return (
            ledger.stage_states(conn, name, windows),
            reference_store.load_segments(conn, name),
            ledger.latest_batch(conn, name, windows),
        )

    states, references, batches = stages.warehouse.run(read)
    shelf: dict[datetime, dict[Key, Columns]] = {}

    def work(window: Window) -> Facts:
        profiled = states.get((window.start, "profile"))
        if profiled is None or profiled.completed_at is None or profiled.data_version is None:
            raise WindowError(f"{window} has no profile yet; materialize its profile first")
        if window.start not in shelf:
            shelf.clear()
            shelf.update(_read_ahead(stages, windows, window))
        rows = _rows(stages, window, shelf, references)
        made = stages.provenance(profiled.data_version, batches[window.start])

        def write(conn: Connection) -> int:
            ledger.lock_window(conn, name, window)
            changed = sum(
                metric_store.write_drift(conn, name, version, window, found, made) for version, found in rows.items()
            )
            complete(stages, conn, "drift", window, made.data_version, batches[window.start])
            return changed

        changed = stages.warehouse.run(write, can_be_recomputed=True)
        return _facts(stages, rows, changed)

    return each_window(stages, "drift", windows, work, batches)


def _read_ahead(stages: StageContext, windows: Sequence[Window], window: Window) -> dict[datetime, dict[Key, Columns]]:
    """Profiles of this window, the next ones, and all that they may be compared with, in one read."""
    at = windows.index(window)
    some = windows[at : at + WINDOWS_A_READ]
    length = window.end - window.start
    wanted = set(some)
    for one in some:
        if "previous" in stages.monitor.baselines:
            wanted |= {_shifted(one, -length * k) for k in range(1, PREVIOUS_WITHIN + 1)}
        if "seasonal" in stages.monitor.baselines:
            wanted |= {_shifted(one, -timedelta(weeks=k)) for k in range(1, SEASONS + 1)}

    def read(conn: Connection) -> tuple:
        name = stages.monitor.name
        return profile_store.load_profiles(conn, name, wanted), profile_store.load_targets(conn, name, wanted)

    profiles, targets = stages.warehouse.run(read)
    found: dict[datetime, dict[Key, Columns]] = {one.start: {} for one in wanted}
    for p in profiles:
        target = targets.get((p.window, p.model_version, p.segment))
        columns = (*p.columns, target) if target is not None else p.columns
        found[p.window.start][p.model_version, p.segment] = Columns(p.layout_id, columns)
    return found


def _rows(
    stages: StageContext, window: Window, shelf: Shelf, references: Mapping[Key, ReferenceSegment]
) -> dict[str, list[DriftRow]]:
    """Rows by model version: each segment against the same segment of each baseline, where that exists."""
    monitor = stages.monitor
    rows: dict[str, list[DriftRow]] = defaultdict(list)
    for (version, segment), current in shelf[window.start].items():
        for name in monitor.baselines:
            baseline = _baseline(stages, name, window, (version, segment), shelf, references)
            if baseline is None or baseline.layout_id != current.layout_id:
                continue  # a new reference brought new bins; what was counted by the old ones cannot be compared
            rows[version] += measure_drift(
                baseline.columns,
                current.columns,
                baseline=name,
                segment=segment,
                thresholds=monitor.thresholds,
                methods=None if segment == EVERYTHING else SEGMENT_METHODS,
            )
    return rows


def _baseline(
    stages: StageContext,
    name: str,
    window: Window,
    key: Key,
    shelf: Shelf,
    references: Mapping[Key, ReferenceSegment],
) -> Columns | None:
    if name == "training":
        version = reference_version(stages.monitor, key[0], {v for v, _ in references})
        return _of_reference(references.get((version, key[1])))
    if name == "previous":
        length = window.end - window.start
        earlier = (window.start - length * k for k in range(1, PREVIOUS_WITHIN + 1))
        return next((shelf[start][key] for start in earlier if key in shelf.get(start, {})), None)
    seasons = (shelf.get(window.start - timedelta(weeks=k), {}).get(key) for k in range(1, SEASONS + 1))
    return _merged([found for found in seasons if found is not None])


def _of_reference(reference: ReferenceSegment | None) -> Columns | None:
    if reference is None:
        return None
    target = reference.labelled.target
    columns = reference.profile.columns
    return Columns(reference.profile.layout_id, (*columns, target) if target is not None else columns)


def _merged(found: Sequence[Columns]) -> Columns | None:
    """Sum of those that share the newest one's layout; the newest comes first."""
    if not found:
        return None
    same = [one for one in found if one.layout_id == found[0].layout_id]
    columns = {(c.layout.name, c.layout.role): c for c in same[0].columns}
    for other in same[1:]:
        for c in other.columns:
            key = (c.layout.name, c.layout.role)
            columns[key] = columns[key].merge(c) if key in columns else c
    return Columns(same[0].layout_id, tuple(columns.values()))


def _shifted(window: Window, by: timedelta) -> Window:
    return Window(window.start + by, window.end + by)


def _facts(stages: StageContext, rows: Mapping[str, Sequence[DriftRow]], changed: int) -> Facts:
    first = stages.monitor.baselines[0]
    whole = [r for found in rows.values() for r in found if r.segment == EVERYTHING and r.baseline == first]
    psi = [r for r in whole if r.method == "psi" and r.value is not None]
    worst = max(psi, key=lambda r: (r.value or 0.0, r.column_name), default=None)
    share = next((r.value for r in whole if r.method == "drifted_columns_share"), None)
    return {
        "figures": sum(map(len, rows.values())),
        "changed": changed,
        f"drifted_columns_share against {first}": share,
        "farthest column": f"{worst.column_name} (PSI {worst.value:.3f})" if worst else None,
    }
