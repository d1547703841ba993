"""What engines make of what was counted: in order, added up, and as the profiles that are stored."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from monitoring_pipeline.engines.counter import Counted
from monitoring_pipeline.profiles.column import merge_columns
from monitoring_pipeline.profiles.layout import Layout
from monitoring_pipeline.profiles.profile import EVERYTHING, LabelledProfile, Profile
from monitoring_pipeline.windows import LENGTH, Window, WindowSize


def in_order(counted: Iterable[Counted]) -> list[Counted]:
    """By window, model version and segment, ``*`` first."""
    return sorted(counted, key=lambda c: (c.window, c.version, c.segment != EVERYTHING, c.segment))


def merged(same: Sequence[Counted]) -> Counted:
    """One, of counts of different rows of one window, model version and segment by one layout."""
    first = same[0]
    parts = dict(first.parts)
    if "columns" in parts:
        parts["columns"] = tuple(merge_columns(c) for c in zip(*(one.parts["columns"] for one in same), strict=True))
    if "target" in parts:
        parts["target"] = merge_columns([one.parts["target"] for one in same])
    if "outcomes" in parts:
        total = first.parts["outcomes"]
        for one in same[1:]:
            total = total.merge(one.parts["outcomes"])
        parts["outcomes"] = total
    return Counted(first.window, first.version, first.segment, sum(one.n_rows for one in same), parts)


def merged_by_key(counted: Iterable[Counted]) -> list[Counted]:
    """Counts of different rows, added up where window, model version and segment agree; in order."""
    groups: dict[tuple[datetime, str, str], list[Counted]] = {}
    for one in counted:
        groups.setdefault((one.window, one.version, one.segment), []).append(one)
    return in_order(merged(same) for same in groups.values())


def profiles_of(counted: Iterable[Counted], layouts: Mapping[str, Layout], size: WindowSize) -> list[Profile]:
    """The part ``columns`` as profiles of windows."""
    return [
        Profile(_window(c, size), c.version, c.segment, layouts[c.version].layout_id, c.n_rows, c.parts["columns"])
        for c in counted
    ]


def labelled_of(
    counted: Iterable[Counted], layouts: Mapping[str, Layout], batches: int | Mapping[datetime, int], size: WindowSize
) -> list[LabelledProfile]:
    """The parts ``outcomes`` and ``target``; ``batches``: the label batch, or that of each window's start."""
    found = []
    for c in counted:
        batch = batches if isinstance(batches, int) else batches.get(c.window, 0)
        of = (_window(c, size), c.version, c.segment, layouts[c.version].layout_id, batch)
        found.append(LabelledProfile(*of, c.parts["outcomes"], c.parts.get("target")))
    return found


def _window(counted: Counted, size: WindowSize) -> Window:
    return Window(counted.window, counted.window + LENGTH[size])
