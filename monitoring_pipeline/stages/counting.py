"""What the two stages that count rows share: what they know of their windows, and counting many in one pass."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from sqlalchemy import Connection

from monitoring_pipeline import __version__
from monitoring_pipeline.errors import WindowError
from monitoring_pipeline.monitors import Window
from monitoring_pipeline.profiles.layout import Layout
from monitoring_pipeline.profiles.profile import LabelledProfile, Profile
from monitoring_pipeline.records import IngestedWindow, StageState
from monitoring_pipeline.stages.context import StageContext
from monitoring_pipeline.stages.inputs import Inputs, references_read
from monitoring_pipeline.stages.versions import by_version
from monitoring_pipeline.warehouse import ledger, profile_store, readers

log = logging.getLogger(__name__)

ROWS_A_PASS = 2_000_000
WINDOWS_A_PASS = 96

P = TypeVar("P", Profile, LabelledProfile)


@dataclass(frozen=True)
class Shelf:
    """What the ledger knows of the windows of a run, and the layouts their versions are counted by."""

    stages: StageContext
    stage: str
    taken: Mapping[datetime, IngestedWindow]
    states: Mapping[tuple[datetime, str], StageState]
    layouts: dict[str, Layout]
    segments: Mapping[str, list]
    references: Mapping[str, str]

    @classmethod
    def read(cls, stages: StageContext, conn: Connection, stage: str, windows: Sequence[Window]) -> Shelf:
        """For these windows of one stage."""
        name = stages.monitor.name
        return cls(
            stages,
            stage,
            ledger.ingested(conn, name, windows),
            ledger.stage_states(conn, name, windows),
            {version: r.layout for version, r in profile_store.references(conn, name).items()},
            readers.segments_by_config(conn, name),
            profile_store.reference_versions(conn, name),
        )

    def of(self, window: Window) -> IngestedWindow:
        """The window as it lies in the lake. Raises WindowError for one that does not."""
        one = self.taken.get(window.start)
        if one is None:
            raise WindowError(f"{window} is not ingested yet; materialize its predictions first")
        return one

    def counted_as_now(self, window: Window) -> bool:
        """Whether the stage was done last with these rows and segments, by this version of the code."""
        state = self.states.get((window.start, self.stage))
        if state is None or state.last_error is not None:
            return False
        declared = self.stages.monitor.canonical()["segments"]
        same_segments = self.segments.get(state.config_version or "") == declared
        same_rows = state.data_version == self.taken[window.start].data_version
        return same_rows and state.code_version == __version__ and same_segments

    def layouts_by(self, versions: Iterable[str]) -> dict[str, Layout]:
        """By model version: the layout that its rows are counted by."""
        return by_version(self.stages.monitor, versions, self.layouts, self.references)

    def layout_ids(self, one: IngestedWindow) -> dict[str, str]:
        """The same of the versions of a window, by their ids."""
        return {version: layout.layout_id for version, layout in self.layouts_by(one.versions).items()}

    def inputs(self, one: IngestedWindow, **others: str) -> Inputs:
        """What counting the window reads, and ``others``."""
        return {
            "data": one.data_version,
            **others,
            **references_read(self.stages.monitor, one.versions, self.references),
        }

    def is_noted(self, window: Window, inputs: Inputs) -> bool:
        """Whether the ledger says that the stage read just this; what was counted may stand though it does not."""
        recorded = dict(self.states[window.start, self.stage].inputs)
        return "config" in recorded and {k: v for k, v in recorded.items() if k != "config"} == inputs


def counted_ahead(
    waiting: Sequence[IngestedWindow], count: Callable[[Sequence[IngestedWindow]], Sequence[P]]
) -> Callable[[IngestedWindow], list[P]]:
    """What ``count`` makes of a window, counted with those that follow it in one pass; each window is asked for once.

    After a pass that fails each of its windows is counted alone, to find the bad one.
    """
    pass_of = {one.window: some for some in passes(waiting) for one in some}
    ahead: dict[Window, list[P]] = {}
    alone: set[Window] = set()

    def of(one: IngestedWindow) -> list[P]:
        some = pass_of[one.window]
        if one.window not in ahead and one.window not in alone:
            try:
                ahead.update(_grouped(some, count(some)))
            except WindowError as error:
                log.warning("%d windows could not be counted in one pass (%s); one by one", len(some), error)
                alone.update(w.window for w in some)
        return list(count([one])) if one.window in alone else ahead.pop(one.window)

    return of


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


def _grouped(some: Sequence[IngestedWindow], found: Sequence[P]) -> dict[Window, list[P]]:
    grouped: dict[Window, list[P]] = {one.window: [] for one in some}
    for one in found:
        grouped[one.window].append(one)
    return grouped
