"""What rollups are merged from: stored profiles, outcomes and facts of windows, read once and kept while in use."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TypeVar

from sqlalchemy import Connection

from monitoring_pipeline.metrics.quality import WindowFacts
from monitoring_pipeline.monitors import Monitor
from monitoring_pipeline.profiles.profile import (
    EVERYTHING,
    LabelledProfile,
    Profile,
    merge_labelled,
    merge_profiles,
)
from monitoring_pipeline.records import Contract, IngestedWindow
from monitoring_pipeline.warehouse import ledger, profile_store, reference_store
from monitoring_pipeline.warehouse.reference_store import ReferenceSegment
from monitoring_pipeline.windows import Window

WINDOWS_KEPT = 96  # of which profiles stay in memory: neighbouring rollups share most of theirs
MERGED_KEPT = 8

Key = tuple[str, str]  # model version, segment
P = TypeVar("P", Profile, LabelledProfile)


@dataclass(frozen=True)
class Merged:
    """Profiles of some windows added up, by (model version, segment). ``whole``: none had to be left out because it
    was counted by other bins than the newest."""

    profiles: Mapping[Key, Profile]
    labelled: Mapping[Key, LabelledProfile]
    whole: bool


@dataclass
class Shelf:
    """Reads for one monitor within a transaction."""

    conn: Connection
    monitor: Monitor
    references: Mapping[Key, ReferenceSegment]
    reference_versions: Mapping[str, str]
    taken: Mapping[datetime, IngestedWindow]
    _windows: OrderedDict[Window, tuple[list[Profile], list[LabelledProfile]]] = field(default_factory=OrderedDict)
    _merged: OrderedDict[tuple[Window, ...], Merged] = field(default_factory=OrderedDict)

    @classmethod
    def of(cls, conn: Connection, monitor: Monitor) -> Shelf:
        """With the references and what the ledger knows of all windows."""
        references = reference_store.load_segments(conn, monitor.name)
        loaded = {version for version, _ in references}
        known = {v: made for v, made in profile_store.reference_versions(conn, monitor.name).items() if v in loaded}
        return cls(conn, monitor, references, known, ledger.ingested(conn, monitor.name))

    def merged(self, windows: tuple[Window, ...]) -> Merged:
        """The profiles of these windows, in order of time, added up."""
        if windows not in self._merged:
            self._merged[windows] = self._merge(windows)
            while len(self._merged) > MERGED_KEPT:
                self._merged.popitem(last=False)
        return self._merged[windows]

    def facts(self, windows: Sequence[Window]) -> WindowFacts:
        """What the ledger knows of these windows together. No usual volume: that is judged window by window."""
        found = [self.taken[window.start] for window in windows if window.start in self.taken]
        last = max((one.last_event for one in found if one.last_event), default=None)
        return WindowFacts(
            n_rows=sum(one.n_rows for one in found),
            n_duplicates=sum(one.n_duplicates for one in found),
            n_quarantined=sum(one.n_quarantined for one in found),
            quarantine=_summed([one.quarantine for one in found]),
            contract=_contract([one.contract for one in found]),
            freshness_seconds=(windows[-1].end - last).total_seconds() if last else None,
        )

    def largest_version(self, windows: Sequence[Window]) -> str | None:
        """The version that served most rows of these windows."""
        served = _summed([self.taken[window.start].versions for window in windows if window.start in self.taken])
        return max(served, key=lambda version: (served[version], version), default=None)

    def _merge(self, windows: tuple[Window, ...]) -> Merged:
        """A bounded number of windows is in memory at a time, whatever the rollup's length."""
        profiles: dict[Key, Profile] = {}
        labelled: dict[Key, LabelledProfile] = {}
        unjoined: Counter[Key] = Counter()
        whole = True
        for at in range(len(windows), 0, -WINDOWS_KEPT // 2):  # the newest first: its bins count
            some = windows[max(at - WINDOWS_KEPT // 2, 0) : at]
            self._read(some)
            held = [self._windows[window] for window in some]
            joined = {(one.window, _key(one)) for _, ls in held for one in ls}
            unjoined.update(_rows_without(joined, [p for ps, _ in held for p in ps]))
            whole &= _add(profiles, [p for ps, _ in held for p in ps], merge_profiles)
            whole &= _add(labelled, [one for _, ls in held for one in ls], merge_labelled)
        return Merged(profiles, {key: _with_rows(one, unjoined[key]) for key, one in labelled.items()}, whole)

    def _read(self, some: Sequence[Window]) -> None:
        lacking = [window for window in some if window not in self._windows]
        for window in some:
            if window in self._windows:
                self._windows.move_to_end(window)
        self._windows |= {window: ([], []) for window in lacking}
        for profile in profile_store.load_profiles(self.conn, self.monitor.name, lacking):
            self._windows[profile.window][0].append(profile)
        for one in profile_store.load_labelled(self.conn, self.monitor.name, lacking):
            self._windows[one.window][1].append(one)
        while len(self._windows) > WINDOWS_KEPT:
            self._windows.popitem(last=False)


def is_everything(key: Key) -> bool:
    """Whether a (model version, segment) is all rows of the version."""
    return key[1] == EVERYTHING


def _key(one: Profile | LabelledProfile) -> Key:
    return one.model_version, one.segment


def _add(into: dict[Key, P], found: Sequence[P], merge: Callable[[Sequence[P]], P]) -> bool:
    """Adds profiles, in order of time, to what is merged of later ones. False when one has other bins."""
    by_key: dict[Key, list[P]] = {}
    for one in found:
        by_key.setdefault(_key(one), []).append(one)
    whole = True
    for key, mine in by_key.items():
        every = list(mine)
        if key in into:
            every.append(into[key])
        same = [one for one in every if one.layout_id == every[-1].layout_id]
        whole &= len(same) == len(every)
        into[key] = merge(same)
    return whole


def _rows_without(joined: set[tuple[Window, Key]], profiles: Sequence[Profile]) -> Counter[Key]:
    """Rows of windows that no label has come for: they are predictions without an outcome."""
    found: Counter[Key] = Counter()
    for one in profiles:
        if (one.window, _key(one)) not in joined:
            found[_key(one)] += one.n_rows
    return found


def _with_rows(one: LabelledProfile, more: int) -> LabelledProfile:
    return replace(one, outcome=replace(one.outcome, n_predictions=one.outcome.n_predictions + more))


def _summed(counts: Sequence[Mapping[str, int]]) -> dict[str, int]:
    found: Counter[str] = Counter()
    for one in counts:
        found.update(one)
    return dict(found)


def _contract(found: Sequence[Contract]) -> Contract:
    """What was met in any of the windows; the newest type counts."""
    retyped: dict[str, str] = {}
    for one in found:
        retyped |= one.retyped
    return Contract(
        tuple(sorted({name for one in found for name in one.missing})),
        tuple(sorted({name for one in found for name in one.extra})),
        retyped,
        _summed([one.invalid for one in found]),
    )
