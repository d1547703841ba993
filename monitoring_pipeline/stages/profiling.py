"""Profiling: the one time that a window's rows are read. Many windows are counted in one pass."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from monitoring_pipeline import __version__
from monitoring_pipeline.engines.choosing import engine_of
from monitoring_pipeline.engines.engine import Engine
from monitoring_pipeline.engines.merging import profiles_of
from monitoring_pipeline.errors import WindowError
from monitoring_pipeline.lake.scan import predictions_of
from monitoring_pipeline.monitors import Window
from monitoring_pipeline.profiles.layout import Layout
from monitoring_pipeline.profiles.profile import EVERYTHING, Profile
from monitoring_pipeline.records import IngestedWindow, StageState
from monitoring_pipeline.stages.context import Facts, StageContext, WindowOutcome, complete, each_window
from monitoring_pipeline.stages.inputs import Inputs, output_version, references_read
from monitoring_pipeline.stages.versions import by_version
from monitoring_pipeline.warehouse import ledger, profile_store, readers

log = logging.getLogger(__name__)

ROWS_A_PASS = 2_000_000
WINDOWS_A_PASS = 96
PARTS = frozenset(profile_store.OF_ROWS)


@dataclass(frozen=True)
class Shelf:
    """What the ledger knows of the windows of a run, and the layouts their versions are counted by."""

    taken: Mapping[datetime, IngestedWindow]
    states: Mapping[tuple[datetime, str], StageState]
    layouts: dict[str, Layout]
    profiled: Mapping[datetime, dict[str, str]]
    segments: Mapping[str, list]
    references: Mapping[str, str]


def profile(stages: StageContext, windows: Sequence[Window]) -> list[WindowOutcome]:
    """Profiles these windows by version and segment. One whose rows and layouts are unchanged is left as it is."""
    shelf = _shelf(stages, windows)
    outcomes: dict[Window, WindowOutcome] = {}
    waiting: list[IngestedWindow] = []
    for window in windows:
        if window.start not in shelf.taken:
            outcomes |= _by_window(each_window(stages, "profile", [window], _not_ingested))
        elif _is_current(stages, shelf, window):
            one, state = shelf.taken[window.start], shelf.states[window.start, "profile"]
            _note_inputs(stages, one, state, shelf.references)
            outcomes[window] = WindowOutcome(window, "profile", facts={"unchanged": "yes"})
        else:
            waiting.append(shelf.taken[window.start])
    if waiting:
        engine = engine_of(stages.settings)
        for some in passes(waiting):
            outcomes |= _by_window(_profile_pass(stages, engine, some, shelf))
    stages.advance("profile", len(windows), len(windows))
    return [outcomes[window] for window in windows]


def _shelf(stages: StageContext, windows: Sequence[Window]) -> Shelf:
    name = stages.monitor.name

    def read(conn: Connection) -> Shelf:
        return Shelf(
            ledger.ingested(conn, name, windows),
            ledger.stage_states(conn, name, windows),
            {version: r.layout for version, r in profile_store.references(conn, name).items()},
            readers.profiled_layouts(conn, name, windows),
            readers.segments_by_config(conn, name),
            profile_store.reference_versions(conn, name),
        )

    return stages.warehouse.run(read)


def _is_current(stages: StageContext, shelf: Shelf, window: Window) -> bool:
    """Whether the window was counted from these rows, layouts and segments, by this version of the code."""
    state, found = shelf.states.get((window.start, "profile")), shelf.taken[window.start]
    if state is None or state.last_error is not None:
        return False
    by_model = by_version(stages.monitor, found.versions, shelf.layouts)
    wanted = {version: layout.layout_id for version, layout in by_model.items()}
    same_rows = state.data_version == found.data_version and shelf.profiled.get(window.start, {}) == wanted
    declared = stages.monitor.canonical()["segments"]
    return (
        same_rows and state.code_version == __version__ and shelf.segments.get(state.config_version or "") == declared
    )


def _profile_pass(
    stages: StageContext, engine: Engine, some: Sequence[IngestedWindow], shelf: Shelf
) -> list[WindowOutcome]:
    """Counts these windows in one pass, or each alone when that fails, and keeps their profiles."""
    counted = _count(stages, engine, some, shelf.layouts)

    def work(window: Window) -> Facts:
        one = shelf.taken[window.start]
        found = counted[window] if window in counted else _profiles(stages, engine, [one], shelf.layouts)
        return _save(stages, one, found, shelf.references)

    return each_window(stages, "profile", [one.window for one in some], work)


def passes(waiting: Sequence[IngestedWindow]) -> Iterator[list[IngestedWindow]]:
    """Windows in groups that one statement reads: small ones together, a large one alone."""
    some: list[IngestedWindow] = []
    n_rows = 0
    for one in waiting:
        if some and (n_rows + one.n_rows > ROWS_A_PASS or len(some) >= WINDOWS_A_PASS):
            yield some
            some, n_rows = [], 0
        some.append(one)
        n_rows += one.n_rows
    if some:
        yield some


def _count(
    stages: StageContext, engine: Engine, some: Sequence[IngestedWindow], layouts: dict[str, Layout]
) -> dict[Window, list[Profile]]:
    """Profiles of all of these windows in one pass; nothing when it fails: each is then counted alone, to find the bad
    one.
    """
    try:
        found = _profiles(stages, engine, some, layouts)
    except WindowError as error:
        log.warning("%d windows could not be profiled in one pass (%s); retrying one by one", len(some), error)
        return {}
    grouped: dict[Window, list[Profile]] = {one.window: [] for one in some}
    grouped |= defaultdict(list)
    for one in found:
        grouped[one.window].append(one)
    return grouped


def _profiles(
    stages: StageContext, engine: Engine, some: Sequence[IngestedWindow], layouts: dict[str, Layout]
) -> list[Profile]:
    """Raises WindowError that names the lake files, when they cannot be read."""
    monitor = stages.monitor
    wanted = by_version(monitor, {version for one in some for version in one.versions}, layouts)
    counted = engine.profile(predictions_of(monitor, some), wanted, monitor.segment_keys, PARTS)
    return profiles_of(counted, wanted, monitor.window)


def _inputs(stages: StageContext, one: IngestedWindow, references: Mapping[str, str]) -> Inputs:
    return {"data": one.data_version, **references_read(stages.monitor, one.versions, references)}


def _note_inputs(stages: StageContext, one: IngestedWindow, state: StageState, references: Mapping[str, str]) -> None:
    """The profile stands; that it was looked at against newer inputs (a reference read again) is noted."""
    inputs = _inputs(stages, one, references)
    if {k: v for k, v in state.inputs.items() if k != "config"} != inputs or "config" not in state.inputs:
        made = stages.provenance(one.data_version)
        stages.warehouse.run(lambda conn: complete(stages, conn, "profile", one.window, made, inputs, None))


def _save(
    stages: StageContext, one: IngestedWindow, profiles: Sequence[Profile], references: Mapping[str, str]
) -> Facts:
    def write(conn: Connection) -> None:
        ledger.lock_window(conn, stages.monitor.name, one.window)
        profile_store.save_profiles(conn, stages.monitor.name, one.window, profiles)
        made, layouts = stages.provenance(one.data_version), sorted({(p.model_version, p.layout_id) for p in profiles})
        version = output_version(one.data_version, layouts, stages.monitor.segment_keys)
        complete(stages, conn, "profile", one.window, made, _inputs(stages, one, references), version)

    stages.warehouse.run(write, can_be_recomputed=True)
    return {
        "rows": one.n_rows,
        "segments": len({p.segment for p in profiles}),
        "model_versions": ", ".join(sorted({p.model_version for p in profiles if p.segment == EVERYTHING})),
    }


def _not_ingested(window: Window) -> Facts:
    raise WindowError(f"{window} is not ingested yet; materialize its predictions first")


def _by_window(outcomes: Sequence[WindowOutcome]) -> dict[Window, WindowOutcome]:
    return {outcome.window: outcome for outcome in outcomes}
