"""The profile of one window: every column of one model version in one segment."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import Any, TypeVar

from monitoring_pipeline.profiles.column import ColumnProfile, merge_columns
from monitoring_pipeline.profiles.outcome import OutcomeProfile
from monitoring_pipeline.profiles.parts import PARTS
from monitoring_pipeline.windows import Window

EVERYTHING = "*"


def segment_label(columns: tuple[str, ...], values: tuple[str | None, ...]) -> str:
    """How a segment is written everywhere: ``origin=JFK``, ``origin=JFK,carrier=AA``; a null value is ``∅``."""
    return ",".join(f"{c}={'∅' if v is None else v}" for c, v in zip(columns, values, strict=True)) or EVERYTHING


@dataclass(frozen=True)
class Profile:
    """The mergeable summary of a (model version, window, segment). ``columns`` is in the layout's order.

    ``parts``: the other parts that were counted over all rows, by name.
    """

    window: Window
    model_version: str
    segment: str
    layout_id: str
    n_rows: int
    columns: tuple[ColumnProfile, ...]
    parts: Mapping[str, Any] = field(default_factory=dict)

    def column(self, name: str, role: str | None = None) -> ColumnProfile:
        """The column of that name, and role if given. Raises KeyError."""
        for column in self.columns:
            if column.layout.name == name and role in (None, column.layout.role):
                return column
        raise KeyError(name)


@dataclass(frozen=True)
class LabelledProfile:
    """The outcome profile of a (model version, window, segment), as known at label batch ``batch`` (0: before any).

    ``parts``: the other parts that were counted over labelled rows, by name.
    """

    window: Window
    model_version: str
    segment: str
    layout_id: str
    batch: int
    outcome: OutcomeProfile
    target: ColumnProfile | None = None
    parts: Mapping[str, Any] = field(default_factory=dict)


def merge_profiles(profiles: Iterable[Profile]) -> Profile:
    """One profile over the hull of the windows. Versions, segments and layouts must agree; no profiles: ValueError."""
    found = list(profiles)
    first = _alike(found)
    columns = tuple(merge_columns(same) for same in zip(*(p.columns for p in found), strict=True))
    n_rows = sum(p.n_rows for p in found)
    return Profile(
        _hull(found), first.model_version, first.segment, first.layout_id, n_rows, columns, _merged_parts(found)
    )


def merge_labelled(profiles: Iterable[LabelledProfile]) -> LabelledProfile:
    """The same of labelled profiles; the batch is the latest of theirs. Without a target in one, none."""
    found = list(profiles)
    first = _alike(found)
    outcome = reduce(OutcomeProfile.merge, (p.outcome for p in found))
    targets = [p.target for p in found if p.target is not None]
    target = merge_columns(targets) if len(targets) == len(found) else None
    batch = max(p.batch for p in found)
    key = (_hull(found), first.model_version, first.segment, first.layout_id)
    return LabelledProfile(*key, batch, outcome, target, _merged_parts(found))


P = TypeVar("P", Profile, LabelledProfile)


def _alike(profiles: Sequence[P]) -> P:
    """The first, once it is clear that all can be added."""
    if not profiles:
        raise ValueError("no profiles to merge")
    if len({(p.layout_id, p.model_version, p.segment) for p in profiles}) > 1:
        raise ValueError("only profiles of one model version, segment and layout add up")
    return profiles[0]


def _merged_parts(profiles: Sequence[P]) -> dict[str, Any]:
    """The parts that every one of them has: what one lacks, the whole cannot have."""
    shared = [name for name in profiles[0].parts if all(name in p.parts for p in profiles)]
    return {name: PARTS[name].merge([p.parts[name] for p in profiles]) for name in shared}


def _hull(profiles: Sequence[P]) -> Window:
    return Window(min(p.window.start for p in profiles), max(p.window.end for p in profiles))
