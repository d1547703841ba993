"""Estimated performance: what a window's scores lead to expect before outcomes are known; reads no raw row."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property

from sqlalchemy import Connection

from monitoring_pipeline.errors import WindowError
from monitoring_pipeline.metrics.estimation import (
    Estimates,
    Past,
    estimator_of,
    known_values,
    measure_estimated,
    widened,
)
from monitoring_pipeline.metrics.estimation.own_record import WINDOWS
from monitoring_pipeline.monitors import Monitor, Window
from monitoring_pipeline.profiles.profile import EVERYTHING, LabelledProfile, Profile
from monitoring_pipeline.records import StageState
from monitoring_pipeline.stages.context import StageContext, WindowOutcome
from monitoring_pipeline.stages.inputs import Inputs, earlier, references_read
from monitoring_pipeline.stages.measuring import Measure, Measured, measure_windows
from monitoring_pipeline.stages.versions import reference_version
from monitoring_pipeline.warehouse import ledger, profile_store

MOST_DELAY = timedelta(days=3660)
"""Outcomes later than this come too late to teach anything."""

Key = tuple[datetime, str]


class Reference:
    """The reference of a model version: what estimates by it, and its own realized metrics."""

    def __init__(self, labelled: LabelledProfile | None) -> None:
        self.labelled, self.estimator = labelled, estimator_of(labelled)

    @cached_property
    def usual(self) -> Estimates:
        """Its realized metrics."""
        return {} if self.labelled is None else known_values(self.labelled.outcome)

    def estimates(self, profile: Profile) -> Estimates | str:
        """Of a window, or the reason why there are none."""
        if isinstance(self.estimator, str):
            return self.estimator
        if self.labelled is None or profile.layout_id != self.labelled.layout_id:
            return "not estimated: counted by the bins of a former reference; materialize its profile again"
        return self.estimator(profile)


@dataclass
class Shelf:
    """What is read of some windows and of those whose record they rest on, all of it of segment ``*``."""

    monitor: Monitor
    states: Mapping[tuple[datetime, str], StageState]
    profiles: Mapping[Key, Profile]
    labelled: Mapping[Key, LabelledProfile]
    references: Mapping[str, Reference]
    versions: Mapping[str, str]
    _past: dict[Key, Past | None] = field(default_factory=dict)

    def reference(self, version: str) -> Reference:
        """The one that a model version is judged by."""
        return self.references.get(reference_version(self.monitor, version, self.versions)) or Reference(None)

    def past(self, key: Key) -> Past | None:
        """The record of an earlier window of a version; None where nothing is known of it."""
        if key not in self._past:
            self._past[key] = self._compare(key)
        return self._past[key]

    def _compare(self, key: Key) -> Past | None:
        profile, labelled = self.profiles.get(key), self.labelled.get(key)
        if profile is None or labelled is None or labelled.layout_id != profile.layout_id:
            return None
        estimates, outcome = self.reference(key[1]).estimates(profile), labelled.outcome
        if isinstance(estimates, str) or not outcome.n_labelled:
            return None
        return Past(estimates, known_values(outcome), outcome.n_labelled / max(outcome.n_predictions, 1))


def measure(stages: StageContext, windows: Sequence[Window]) -> list[WindowOutcome]:
    """Estimates the performance of these windows; a model version that cannot be estimated is told with the reason."""
    return measure_windows(stages, "estimation", "estimated", windows, lambda some: _prepare(stages, some))


def _prepare(stages: StageContext, windows: Sequence[Window]) -> Measure:
    shelf = stages.warehouse.run(lambda conn: _shelf(conn, stages.monitor, windows))

    return lambda window: _measured(shelf, window)


def _measured(shelf: Shelf, window: Window) -> Measured:
    state = shelf.states.get((window.start, "profile"))
    if state is None or state.completed_at is None:
        raise WindowError(f"{window} has no profile yet; materialize its profile first")
    found = {p.model_version: p for (start, _), p in shelf.profiles.items() if start == window.start}
    estimates = {version: shelf.reference(version).estimates(profile) for version, profile in found.items()}
    known = {version: each for version, each in estimates.items() if not isinstance(each, str) and each}
    inputs: Inputs = {
        "data": state.data_version,
        "stage:profile": state.output_version,
        **references_read(shelf.monitor, found, shelf.versions),
    }
    record = _record(shelf, window, known, inputs)
    measurements = [
        measure_estimated(found[version], widened(each, record[version]), shelf.reference(version).usual)
        for version, each in known.items()
    ]
    reasons = "; ".join(sorted({each for each in estimates.values() if isinstance(each, str)}))
    return Measured(measurements, state.data_version or "", None, inputs, {"not_estimated": reasons or None})


def _record(shelf: Shelf, window: Window, versions: Iterable[str], inputs: Inputs) -> dict[str, list[Past]]:
    """By version, the windows that came of age by the end of this one; all that were looked for go into ``inputs``."""
    found: dict[str, list[Past]] = {version: [] for version in versions}
    for by in reversed(_delays(shelf.monitor, window)) if found else ():
        start = window.start - by
        profiled, joined = shelf.states.get((start, "profile")), shelf.states.get((start, "ground_truth"))
        inputs[earlier("profile", by)] = profiled.output_version if profiled and profiled.completed_at else None
        inputs[earlier("labels", by)] = joined.inputs.get("labels") if joined and joined.completed_at else None
        for version, past in found.items():
            one = shelf.past((start, version))
            if one is not None:
                past.append(one)
    return found


def _delays(monitor: Monitor, window: Window) -> list[timedelta]:
    """How much earlier the windows begin whose labels are due by the end of ``window``, the latest of them first.

    Only these, so that a window's estimate stands when the labels of its neighbours come in.
    """
    length = window.end - window.start
    if monitor.ground_truth is None or monitor.labels.max_delay > MOST_DELAY:
        return []
    due = max(-(-monitor.labels.max_delay // length), 1)
    return [length * (due + i) for i in range(WINDOWS)]


def _shelf(conn: Connection, monitor: Monitor, windows: Sequence[Window]) -> Shelf:
    name = monitor.name
    before = {Window(w.start - by, w.end - by) for w in windows for by in _delays(monitor, w)}
    every = sorted({*windows, *before})
    profiles = profile_store.load_profiles(conn, name, every, EVERYTHING, None, ("prediction_bins",))
    labelled = profile_store.load_labelled(conn, name, sorted(before), EVERYTHING) if before else []
    return Shelf(
        monitor,
        ledger.stage_states(conn, name, every),
        {(p.window.start, p.model_version): p for p in profiles},
        {(p.window.start, p.model_version): p for p in labelled},
        {version: Reference(one) for version, one in profile_store.load_reference_bins(conn, name).items()},
        profile_store.reference_versions(conn, name),
    )
