"""What goes wrong with the data, one change of known size from window ``ONSET`` on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from benchmarks.detection.streams import Effects, Fault

ONSET = 8
NUMBER, OTHER, MISSING, NAME = 5, 7, 3, 22  # columns that change; MISSING lacks 5 % of its values as a rule


@dataclass(frozen=True)
class Case:
    """A named fault, the columns it is in, and the windows within which it should be found."""

    name: str
    columns: tuple[int, ...]
    fault: Fault
    within: int = 2


def shift(size: float, columns: tuple[int, ...] = (NUMBER,), onset: int = ONSET) -> Fault:
    """Location moves by ``size`` standard deviations."""

    def fault(effects: Effects) -> None:
        effects.location[onset:, list(columns)] += size

    return fault


def scale(factor: float, moved: float = 0.0, column: int = NUMBER) -> Fault:
    """Values are multiplied, and moved by ``moved`` standard deviations."""

    def fault(effects: Effects) -> None:
        effects.spread[ONSET:, column] += np.log(factor)
        effects.location[ONSET:, column] = effects.location[ONSET:, column] * factor + moved

    return fault


def missing(points: float) -> Fault:
    """Further ``points`` percent of all rows lose their value."""

    def fault(effects: Effects) -> None:
        effects.missing[ONSET:, MISSING] = np.minimum(effects.missing[ONSET:, MISSING] + points / 100, 1)

    return fault


def new_category(percent: float) -> Fault:
    """A category that the reference lacks takes a share."""

    def fault(effects: Effects) -> None:
        effects.unseen[ONSET:, NAME] = percent / 100

    return fault


def spike(size: float) -> Fault:
    """Location moves for one window only."""

    def fault(effects: Effects) -> None:
        effects.location[ONSET, NUMBER] += size

    return fault


def gradual(size: float, windows: int = 30) -> Fault:
    """Location moves a little each window until it has moved by ``size``."""

    def fault(effects: Effects) -> None:
        n = len(effects.location) - ONSET
        effects.location[ONSET:, NUMBER] += size * np.clip(np.arange(1, n + 1) / windows, 0, 1)

    return fault


def stuck(share: float) -> Fault:
    """A share of the rows carries one and the same value."""

    def fault(effects: Effects) -> None:
        effects.stuck[ONSET:, NUMBER] = share

    return fault


def swapped() -> Fault:
    """Two columns change places: the one lies 0.5 standard deviations above the other and is 1.3 times as wide."""

    def fault(effects: Effects) -> None:
        location, spread, log = effects.location[ONSET:], effects.spread[ONSET:], np.log(1.3)
        a, b = location[:, NUMBER].copy(), location[:, OTHER].copy()
        location[:, NUMBER], location[:, OTHER] = 0.5 + 1.3 * b, (a - 0.5) / 1.3
        s, t = spread[:, NUMBER].copy(), spread[:, OTHER].copy()
        spread[:, NUMBER], spread[:, OTHER] = t + log, s - log

    return fault


CASES = (
    Case("location +0.1 sd", (NUMBER,), shift(0.1)),
    Case("location +0.3 sd", (NUMBER,), shift(0.3)),
    Case("location +1 sd", (NUMBER,), shift(1.0)),
    Case("scale × 1.2", (NUMBER,), scale(1.2)),
    Case("missing +2 points", (MISSING,), missing(2)),
    Case("missing +5 points", (MISSING,), missing(5)),
    Case("new category 2 %", (NAME,), new_category(2)),
    Case("categories tilted by 0.3", (NAME,), shift(0.3, (NAME,))),
    Case("spike of 1 sd, one window", (NUMBER,), spike(1.0)),
    Case("gradual, 0.3 sd in 30 windows", (NUMBER,), gradual(0.3), 37),
    Case("ten columns +0.3 sd", tuple(range(4, 14)), shift(0.3, tuple(range(4, 14)))),
    Case("all columns +0.05 sd", tuple(range(25)), shift(0.05, tuple(range(25)))),
    Case("°F for °C", (NUMBER,), scale(1.8, (1.8 * 15 + 32 - 15) / 8)),  # of 15 °C ± 8
    Case("column stuck at a value", (NUMBER,), stuck(1.0)),
    Case("stuck in a fifth of the rows", (NUMBER,), stuck(0.2)),
    Case("two columns swapped", (NUMBER, OTHER), swapped()),
)
