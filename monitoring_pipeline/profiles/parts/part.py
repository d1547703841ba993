"""What a part of a profile has to be able to do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from monitoring_pipeline.profiles.layout import Layout

T = TypeVar("T")
Counts = NDArray[np.int64]
Sums = NDArray[np.float64]


@dataclass(frozen=True)
class Part(Generic[T]):
    """One part. ``format`` is the number that ``flatten`` writes; ``unflatten`` reads this one and all before it.

    ``of_labels``: counted over labelled rows, by the ground-truth stage; otherwise over all rows, by the profile stage.
    ``segments``: kept for every segment; otherwise only for ``*``.
    """

    name: str
    format: int
    applies: Callable[[Layout], bool]
    merge: Callable[[Sequence[T]], T]
    flatten: Callable[[T], tuple[Counts, Sums]]
    unflatten: Callable[[Layout, int, Counts, Sums], T]
    of_labels: bool = False
    segments: bool = True

    def read(self, layout: Layout, format_number: int, counts: Counts, sums: Sums) -> T:
        """The value of a stored row. ValueError when the row was written by a newer version of this program."""
        if not 1 <= format_number <= self.format:
            raise ValueError(
                f"part {self.name!r} is stored in format {format_number}; this version reads up to {self.format}: "
                "upgrade monitoring-pipeline"
            )
        return self.unflatten(layout, format_number, counts, sums)


def take(flat: NDArray[Any], *shapes: tuple[int, ...]) -> list[NDArray[Any]]:
    """Consecutive arrays of these shapes out of ``flat``, row by row. ValueError when it is too short or too long."""
    found, at = [], 0
    for shape in shapes:
        size = prod(shape)
        found.append(flat[at : at + size].reshape(shape))
        at += size
    if at != len(flat):
        raise ValueError(f"a stored array holds {len(flat)} values where the layout has {at}")
    return found
