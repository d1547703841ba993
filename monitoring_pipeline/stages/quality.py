"""Quality: what the profile and the ledger say of the data itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from monitoring_pipeline.errors import WindowError
from monitoring_pipeline.measurements import Measurement
from monitoring_pipeline.metrics.quality import WindowFacts, measure_quality
from monitoring_pipeline.monitors import Monitor, Window
from monitoring_pipeline.profiles.profile import EVERYTHING, LabelledProfile, Profile
from monitoring_pipeline.records import IngestedWindow, StageState
from monitoring_pipeline.stages.baselines import usual_windows
from monitoring_pipeline.stages.context import StageContext, WindowOutcome
from monitoring_pipeline.stages.fairness import GroupSizes, measure_groups
from monitoring_pipeline.stages.inputs import Inputs, earlier, references_read
from monitoring_pipeline.stages.measuring import Measure, Measured, measure_windows
from monitoring_pipeline.stages.versions import reference_version
from monitoring_pipeline.warehouse import ledger, profile_store, readers, reference_store
from monitoring_pipeline.warehouse.reference_store import ReferenceSegment


@dataclass(frozen=True)
class Shelf:
    """What the ledger and the profiles know of some windows, and of those that make their usual volume."""

    monitor: Monitor
    taken: Mapping[datetime, IngestedWindow]
    states: Mapping[tuple[datetime, str], StageState]
    profiles: Sequence[Profile]
    labelled: Mapping[datetime, int]
    references: Mapping[tuple[str, str], ReferenceSegment]
    reference_versions: Mapping[str, str]
    outcomes: Sequence[LabelledProfile]
    sizes: GroupSizes


def measure(stages: StageContext, windows: Sequence[Window]) -> list[WindowOutcome]:
    """Measures these windows, and the fairness of declared groups; metrics of whole windows stand with the version that
    served most rows."""

    def prepare(some: Sequence[Window]) -> Measure:
        shelf = _shelf(stages, some)
        return lambda window: _measured(shelf, window)

    batches = stages.warehouse.run(lambda conn: ledger.latest_batch(conn, stages.monitor.name, windows))
    return measure_windows(stages, "quality", "quality", windows, prepare, batches, ("fairness",))


def _shelf(stages: StageContext, some: Sequence[Window]) -> Shelf:
    name = stages.monitor.name
    past = {one for window in some for one in usual_windows(window)}

    def read(conn: Connection) -> Shelf:
        profiles = profile_store.load_profiles(conn, name, some)
        references = reference_store.load_segments(conn, name)
        protected = bool(stages.monitor.protected)
        layouts = {p.layout_id: profile_store.load_layout(conn, p.layout_id) for p in profiles if protected}
        sizes = GroupSizes({place: r.profile.n_rows for place, r in references.items()}, layouts)
        return Shelf(
            stages.monitor,
            ledger.ingested(conn, name, sorted({*some, *past})),
            ledger.stage_states(conn, name, some),
            profiles,
            readers.label_counts(conn, name, some),
            references,
            profile_store.reference_versions(conn, name),
            profile_store.load_outcomes(conn, name, some) if protected else (),
            sizes,
        )

    return stages.warehouse.run(read)


def _measured(shelf: Shelf, window: Window) -> Measured:
    one, profiled = shelf.taken.get(window.start), shelf.states.get((window.start, "profile"))
    if one is None:
        raise WindowError(f"{window} is not ingested yet; materialize its predictions first")
    joined = shelf.states.get((window.start, "ground_truth"))
    batch = (joined.label_batch or 0) if joined is not None and joined.completed_at is not None else 0
    profiles = [p for p in shelf.profiles if p.window == window] or [_no_rows(shelf, one)]
    inputs: Inputs = {
        "data": one.data_version,
        "labels": str(batch),
        "stage:profile": profiled.output_version if profiled is not None and profiled.completed_at else None,
        **references_read(shelf.monitor, {p.model_version for p in profiles}, shelf.reference_versions),
    }
    for past in usual_windows(window):
        before = shelf.taken.get(past.start)
        inputs[earlier("rows", window.start - past.start)] = before.data_version if before is not None else None
    facts = window_facts(shelf, one)
    found = [_measurement(shelf, one, p, facts) for p in profiles]
    return Measured([*found, *_of_groups(shelf, window)], one.data_version, batch, inputs)


def _of_groups(shelf: Shelf, window: Window) -> list[Measurement]:
    """Fairness, where the declaration protects columns."""
    if not shelf.monitor.protected:
        return []
    profiles = [p for p in shelf.profiles if p.window == window]
    outcomes = [p for p in shelf.outcomes if p.window == window]
    versions = {
        p.model_version: reference_version(shelf.monitor, p.model_version, shelf.reference_versions) for p in profiles
    }  # fmt: skip
    return measure_groups(shelf.monitor, profiles, outcomes, shelf.sizes, versions)


def window_facts(shelf: Shelf, one: IngestedWindow) -> WindowFacts:
    """What the ledger knows of a window: its intake, its usual volume, its coverage."""
    window, n_labelled = one.window, shelf.labelled.get(one.window.start)
    usual = [shelf.taken.get(past.start) for past in usual_windows(window)]
    declared = shelf.monitor.ground_truth is not None
    return WindowFacts(
        n_rows=one.n_rows,
        n_duplicates=one.n_duplicates,
        n_quarantined=one.n_quarantined,
        quarantine=one.quarantine,
        contract=one.contract,
        usual_rows=tuple(u.n_rows for u in usual if u is not None),
        freshness_seconds=(window.end - one.last_event).total_seconds() if one.last_event else None,
        coverage=n_labelled / one.n_rows if declared and n_labelled is not None and one.n_rows else None,
    )


def _measurement(shelf: Shelf, one: IngestedWindow, profile: Profile, facts: WindowFacts) -> Measurement:
    version = reference_version(shelf.monitor, profile.model_version, shelf.reference_versions)
    reference = shelf.references.get((version, profile.segment))
    largest = max(one.versions, key=lambda v: (one.versions[v], v), default=profile.model_version)
    about_window = profile.model_version == largest
    return measure_quality(profile, reference.profile if reference else None, facts, about_window=about_window)


def _no_rows(shelf: Shelf, one: IngestedWindow) -> Profile:
    """An empty window still has a volume: zero, and that may be the news."""
    version = reference_version(shelf.monitor, shelf.monitor.reference.model_version, shelf.reference_versions)
    layout = shelf.references[version, EVERYTHING].profile
    return Profile(one.window, version, EVERYTHING, layout.layout_id, 0, ())
