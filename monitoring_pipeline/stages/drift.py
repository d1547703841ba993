"""Drift: each window's profiles compared with its baselines. No raw row is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from sqlalchemy import Connection

from monitoring_pipeline.errors import WindowError
from monitoring_pipeline.measurements import Measurement
from monitoring_pipeline.metrics.drift import PRIMARY_METHOD, Compared, measure_drifts
from monitoring_pipeline.monitors import Monitor, Window
from monitoring_pipeline.profiles.column import ColumnProfile
from monitoring_pipeline.profiles.profile import EVERYTHING
from monitoring_pipeline.records import StageState
from monitoring_pipeline.stages.baselines import Baseline, shifted, windows_before
from monitoring_pipeline.stages.context import Facts, StageContext, WindowOutcome
from monitoring_pipeline.stages.inputs import Inputs, earlier, references_read
from monitoring_pipeline.stages.measuring import Measure, Measured, measure_windows
from monitoring_pipeline.stages.versions import reference_version
from monitoring_pipeline.warehouse import ledger, profile_store, reference_store
from monitoring_pipeline.warehouse.reference_store import ReferenceSegment

SEGMENT_METHODS = ("psi", "missing_share_change")
"""A segment gets what its verdict needs; every method for every segment would be millions of values a year."""

Key = tuple[str, str]  # model version, segment


@dataclass(frozen=True)
class Columns:
    """What one (window, version, segment) holds: its profile's columns, and the target's as far as labelled."""

    layout_id: str
    columns: tuple[ColumnProfile, ...]


@dataclass(frozen=True)
class Shelf:
    """Everything that some windows may be compared with, and how the ledger stands for it."""

    monitor: Monitor
    profiles: Mapping[datetime, Mapping[Key, Columns]]
    states: Mapping[tuple[datetime, str], StageState]
    references: Mapping[Key, ReferenceSegment]
    reference_versions: Mapping[str, str]


def measure(stages: StageContext, windows: Sequence[Window]) -> list[WindowOutcome]:
    """Every column of these windows against every declared baseline."""

    def prepare(some: Sequence[Window]) -> Measure:
        shelf = _shelf(stages, some)
        return lambda window: _measured(shelf, window)

    batches = stages.warehouse.run(lambda conn: ledger.latest_batch(conn, stages.monitor.name, windows))
    return measure_windows(stages, "drift", "drift", windows, prepare, batches)


def _shelf(stages: StageContext, some: Sequence[Window]) -> Shelf:
    """Profiles of these windows and of all that they may be compared with, in one read."""
    name, monitor = stages.monitor.name, stages.monitor
    wanted = set(some)
    for one in some:
        for baseline in monitor.baselines:
            wanted |= {shifted(one, -by) for by in windows_before(baseline, one)}

    def read(conn: Connection) -> tuple:
        return (
            profile_store.load_profiles(conn, name, wanted),
            profile_store.load_targets(conn, name, wanted),
            ledger.stage_states(conn, name, wanted),
            reference_store.load_segments(conn, name),
            profile_store.reference_versions(conn, name),
        )

    profiles, targets, states, references, versions = stages.warehouse.run(read)
    found: dict[datetime, dict[Key, Columns]] = {one.start: {} for one in wanted}
    for p in profiles:
        target = targets.get((p.window, p.model_version, p.segment))
        columns = (*p.columns, target) if target is not None else p.columns
        found[p.window.start][p.model_version, p.segment] = Columns(p.layout_id, columns)
    return Shelf(monitor, found, states, references, versions)


def _measured(shelf: Shelf, window: Window) -> Measured:
    """Each segment against the same segment of each baseline, where that exists."""
    profiled = shelf.states.get((window.start, "profile"))
    if profiled is None or profiled.completed_at is None or profiled.data_version is None:
        raise WindowError(f"{window} has no profile; materialize its profile first")
    joined = shelf.states.get((window.start, "ground_truth"))
    batch = (joined.label_batch or 0) if joined is not None and joined.completed_at is not None else 0
    current = shelf.profiles[window.start]
    inputs: Inputs = {
        "data": profiled.data_version,
        "labels": str(batch),
        "stage:profile": profiled.output_version,
        **references_read(shelf.monitor, {version for version, _ in current}, shelf.reference_versions),
    }
    found = _compared(shelf, window, inputs)
    return Measured(found, profiled.data_version, batch, inputs, _facts(shelf.monitor, found))


def _compared(shelf: Shelf, window: Window, inputs: Inputs) -> list[Measurement]:
    """Each segment of the window against the same segment of each baseline; wholes and segments in one pass each."""
    wholes: list[Compared] = []
    segments: list[Compared] = []
    for name, declared in zip(shelf.monitor.baseline_names, shelf.monitor.baselines, strict=True):
        for key, current in shelf.profiles[window.start].items():
            baseline = _baseline(shelf, declared, window, key, inputs)
            if baseline is None or baseline.layout_id != current.layout_id:
                continue  # a new reference brought new bins; what was counted by the old ones cannot be compared
            pair = Compared(key[0], name, key[1], baseline.columns, current.columns)
            (wholes if key[1] == EVERYTHING else segments).append(pair)
    return [*measure_drifts(wholes), *measure_drifts(segments, SEGMENT_METHODS)]


def _baseline(shelf: Shelf, declared: Baseline, window: Window, key: Key, inputs: Inputs) -> Columns | None:
    """The baseline's columns. Every window that was looked for is noted in ``inputs``, also those not there."""
    if declared == "training":
        version = reference_version(shelf.monitor, key[0], shelf.reference_versions)
        return _of_reference(shelf.references.get((version, key[1])))
    seen: list[Columns] = []
    for by in windows_before(declared, window):
        start = window.start - by
        _note(shelf, start, by, inputs)
        columns = shelf.profiles.get(start, {}).get(key)
        if columns is not None:
            seen.append(columns)
            if declared == "previous":
                return columns
    return _merged(seen)


def _note(shelf: Shelf, start: datetime, by: timedelta, inputs: Inputs) -> None:
    for name, stage in ((earlier("profile", by), "profile"), (earlier("labels", by), "ground_truth")):
        state = shelf.states.get((start, stage))
        done = state is not None and state.completed_at is not None
        recorded = None if state is None or not done else state.output_version
        if state is not None and done and stage == "ground_truth":
            recorded = state.inputs.get("labels")
        inputs[name] = recorded


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


def _facts(monitor: Monitor, found: Sequence[Measurement]) -> Facts:
    """The column farthest from the first baseline, over all model versions."""
    farthest: tuple[float, str] | None = None
    for m in found:
        if m.segment != EVERYTHING or m.baseline != monitor.baseline_names[0]:
            continue
        psi = np.array([metric == PRIMARY_METHOD for metric in m.keys.metrics])
        values = np.where(psi & np.isfinite(m.value), m.value, -np.inf)
        if len(values) and np.isfinite(values.max()):
            at = int(values.argmax())
            farthest = max(farthest or (-np.inf, ""), (float(values[at]), m.keys.columns[at]))
    return {"farthest column": f"{farthest[1]} (PSI {farthest[0]:.3f})" if farthest else None}
