"""The profile of one window: every column of one model version in one segment."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce

from monitoring_pipeline.monitors.windows import Window
from monitoring_pipeline.profiles.column import ColumnProfile
from monitoring_pipeline.profiles.outcome import OutcomeProfile

EVERYTHING = "*"


def segment_label(columns: tuple[str, ...], values: tuple[str | None, ...]) -> str:
    """How a segment is written everywhere: ``origin=JFK``, ``origin=JFK,carrier=AA``; a null value is ``∅``."""
    return ",".join(f"{c}={'∅' if v is None else v}" for c, v in zip(columns, values, strict=True)) or EVERYTHING


@dataclass(frozen=True)
class Profile:
    """The mergeable summary of a (model version, window, segment). ``columns`` is in the layout's order."""

    window: Window
    model_version: str
    segment: str
    layout_id: str
    n_rows: int
    columns: tuple[ColumnProfile, ...]

    def column(self, name: str, role: str | None = None) -> ColumnProfile:
        for column in self.columns:
            if column.layout.name == name and role in (None, column.layout.role):
                return column
        raise KeyError(name)


@dataclass(frozen=True)
class LabelledProfile:
    """The outcome profile of a (model version, window, segment), as known at label batch ``batch`` (0: before any)."""

    window: Window
    model_version: str
    segment: str
    layout_id: str
    batch: int
    outcome: OutcomeProfile
    target: ColumnProfile | None = None


def merge_profiles(profiles: Iterable[Profile]) -> Profile:
    """One profile over the hull of the windows. Versions, segments and layouts must agree; empty input is a ValueError."""

    def both(a: Profile, b: Profile) -> Profile:
        if (a.layout_id, a.model_version, a.segment) != (b.layout_id, b.model_version, b.segment):
            raise ValueError("only profiles of one model version, segment and layout add up")
        window = Window(min(a.window.start, b.window.start), max(a.window.end, b.window.end))
        columns = tuple(x.merge(y) for x, y in zip(a.columns, b.columns, strict=True))
        return Profile(window, a.model_version, a.segment, a.layout_id, a.n_rows + b.n_rows, columns)

    found = list(profiles)
    if not found:
        raise ValueError("no profiles to merge")
    return reduce(both, found)
