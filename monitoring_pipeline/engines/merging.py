"""What engines make of what was counted: in order, added up, and as the profiles that are stored."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from monitoring_pipeline.engines.counter import Counted
from monitoring_pipeline.profiles.layout import Layout
from monitoring_pipeline.profiles.parts import PARTS
from monitoring_pipeline.profiles.profile import EVERYTHING, LabelledProfile, Profile
from monitoring_pipeline.windows import LENGTH, Window, WindowSize


def in_order(counted: Iterable[Counted]) -> list[Counted]:
    """By window, model version and segment, ``*`` first."""
    return sorted(counted, key=lambda c: (c.window, c.version, c.segment != EVERYTHING, c.segment))


def merged(same: Sequence[Counted]) -> Counted:
    """One, of counts of different rows of one window, model version and segment by one layout."""
    first = same[0]
    parts = {name: PARTS[name].merge([one.parts[name] for one in same]) for name in first.parts}
    return Counted(first.window, first.version, first.segment, sum(one.n_rows for one in same), parts)


def merged_by_key(counted: Iterable[Counted]) -> list[Counted]:
    """Counts of different rows, added up where window, model version and segment agree; in order."""
    groups: dict[tuple[datetime, str, str], list[Counted]] = {}
    for one in counted:
        groups.setdefault((one.window, one.version, one.segment), []).append(one)
    return in_order(merged(same) for same in groups.values())


def profiles_of(counted: Iterable[Counted], layouts: Mapping[str, Layout], size: WindowSize) -> list[Profile]:
    """The parts over all rows as profiles of windows."""
    found = []
    for c in counted:
        of = (_window(c, size), c.version, c.segment, layouts[c.version].layout_id, c.n_rows)
        found.append(Profile(*of, c.parts["columns"], _others(c, of_labels=False)))
    return found


def labelled_of(
    counted: Iterable[Counted], layouts: Mapping[str, Layout], batches: int | Mapping[datetime, int], size: WindowSize
) -> list[LabelledProfile]:
    """The parts over labelled rows; ``batches``: the label batch, or that of each window's start."""
    found = []
    for c in counted:
        batch = batches if isinstance(batches, int) else batches.get(c.window, 0)
        of = (_window(c, size), c.version, c.segment, layouts[c.version].layout_id, batch)
        found.append(LabelledProfile(*of, c.parts["outcomes"], c.parts.get("target"), _others(c, of_labels=True)))
    return found


def _others(counted: Counted, of_labels: bool) -> dict[str, Any]:
    """The parts that have no field of their own in a profile."""
    named = ("columns", "outcomes", "target")
    return {n: v for n, v in counted.parts.items() if n not in named and PARTS[n].of_labels == of_labels}


def _window(counted: Counted, size: WindowSize) -> Window:
    return Window(counted.window, counted.window + LENGTH[size])
