"""Profiling: the one time that a window's rows are read. Many windows are counted in one pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import Connection

from monitoring_pipeline.engines.choosing import engine_of
from monitoring_pipeline.engines.merging import profiles_of
from monitoring_pipeline.lake.scan import predictions_of
from monitoring_pipeline.monitors import Window
from monitoring_pipeline.profiles.profile import EVERYTHING, Profile
from monitoring_pipeline.records import IngestedWindow
from monitoring_pipeline.stages.context import Facts, StageContext, WindowOutcome
from monitoring_pipeline.stages.counting import Shelf, counted_ahead
from monitoring_pipeline.stages.each_window import Computed, Wrote, each_window
from monitoring_pipeline.stages.inputs import output_version
from monitoring_pipeline.warehouse import profile_store, readers

PARTS = frozenset(profile_store.OF_ROWS)

Profiles = list[Profile] | None  # None: those that are stored stand


def profile(stages: StageContext, windows: Sequence[Window]) -> list[WindowOutcome]:
    """Profiles these windows by version and segment. One whose rows and layouts are unchanged is left as it is."""
    shelf, profiled = _read(stages, windows)
    taken = [shelf.taken[window.start] for window in windows if window.start in shelf.taken]
    waiting = [one for one in taken if not _is_current(shelf, one, profiled)]
    counted = counted_ahead(waiting, lambda some: _count(shelf, some))

    def compute(window: Window) -> Computed[Profiles] | Facts:
        one = shelf.of(window)
        made, inputs = stages.provenance(one.data_version), shelf.inputs(one)
        if one in waiting:
            return Computed(counted(one), made, inputs)
        return {"unchanged": "yes"} if shelf.is_noted(window, inputs) else Computed(None, made, inputs)

    def write(conn: Connection, some: Sequence[tuple[Window, Computed[Profiles]]]) -> list[Wrote]:
        fresh = {window: one.value for window, one in some if one.value is not None}
        if fresh:
            kept = [p for profiles in fresh.values() for p in profiles]
            profile_store.save_profiles(conn, stages.monitor.name, list(fresh), kept)
        return [_wrote(shelf, window, one.value) for window, one in some]

    return each_window(stages, "profile", windows, compute, write)


def _read(stages: StageContext, windows: Sequence[Window]) -> tuple[Shelf, Mapping[datetime, dict[str, str]]]:
    def read(conn: Connection) -> tuple:
        shelf = Shelf.read(stages, conn, "profile", windows)
        return shelf, readers.profiled_layouts(conn, stages.monitor.name, windows)

    return stages.warehouse.run(read)


def _is_current(shelf: Shelf, one: IngestedWindow, profiled: Mapping[datetime, dict[str, str]]) -> bool:
    """Whether the window was counted from these rows, layouts and segments, by this version of the code."""
    return shelf.counted_as_now(one.window) and profiled.get(one.window.start, {}) == shelf.layout_ids(one)


def _count(shelf: Shelf, some: Sequence[IngestedWindow]) -> list[Profile]:
    """Raises WindowError that names the lake files, when they cannot be read."""
    monitor, engine = shelf.stages.monitor, engine_of(shelf.stages.settings)
    versions = {version for one in some for version in one.versions}
    wanted = shelf.layouts_by(versions)
    counted = engine.profile(predictions_of(monitor, some), wanted, monitor.segment_keys, PARTS)
    return profiles_of(counted, wanted, monitor.window)


def _wrote(shelf: Shelf, window: Window, profiles: Profiles) -> Wrote:
    if profiles is None:
        return Wrote(None, {"unchanged": "yes"})
    one = shelf.of(window)
    layouts = sorted({(p.model_version, p.layout_id) for p in profiles})
    facts: Facts = {
        "rows": one.n_rows,
        "segments": len({p.segment for p in profiles}),
        "model_versions": ", ".join(sorted({p.model_version for p in profiles if p.segment == EVERYTHING})),
    }
    return Wrote(output_version(one.data_version, layouts, shelf.stages.monitor.segment_keys), facts)
