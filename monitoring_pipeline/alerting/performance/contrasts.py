"""What a family of contrasts is: a few numbers a window shows, each with its sampling variance.

A family compares windows with one reference or, stacked, S series with theirs: S segments, classes or both. All its
arrays start with the axis S. Its evidence is an array of counts and sums that add up over windows, so that merged
windows are judged by the same formulas.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Protocol, TypeVar

import numpy as np

from monitoring_pipeline.alerting.budget import Floats
from monitoring_pipeline.alerting.performance.settings import ContrastSettings, PerformanceSettings
from monitoring_pipeline.alerting.status import Flags


@dataclass(frozen=True)
class Contrasts:
    """``value``, its sampling ``variance`` (the reference's not included), and whether the window holds enough to be
    judged (``usable``), each (S, T, J). Values that are not defined are 0 and not usable."""

    value: Floats
    variance: Floats
    usable: Flags


class Family(Protocol):
    """The J contrasts of S series against their references.

    ``names``; ``sides``: -1 where only a fall is bad, 1 where only a rise is, 0 where both are. ``able`` (S, J):
    whether the reference holds enough for the contrast. ``reference_variance`` (S, J): its own sampling variance.
    """

    @property
    def names(self) -> tuple[str, ...]:
        """Of the contrasts."""
        ...

    @property
    def sides(self) -> tuple[int, ...]:
        """Which side is bad."""
        ...

    @property
    def able(self) -> Flags:
        """Whether the reference holds enough."""
        ...

    @property
    def reference_variance(self) -> Floats:
        """Sampling variance of the reference's own value."""
        ...

    def rows(self, evidence: Floats) -> Floats:
        """(S, T) labelled rows of evidence (S, T, D)."""
        ...

    def contrasts(self, evidence: Floats, settings: PerformanceSettings) -> Contrasts:
        """Of evidence (S, T, D)."""
        ...


F = TypeVar("F")


def stack(alike: Sequence[F]) -> F:
    """One dataclass whose arrays are those of ``alike`` one after the other along S; tuples are joined too."""
    first: Any = alike[0]
    if any(type(one) is not type(first) for one in alike):
        raise ValueError("only series of one kind stack")
    joined: dict[str, Any] = {}
    for field in fields(first):
        values = [getattr(one, field.name) for one in alike]
        joined[field.name] = sum(values, ()) if isinstance(values[0], tuple) else np.concatenate(values)
    return type(first)(**joined)


def taken(stacked: F, at: Sequence[int]) -> F:
    """The inverse of ``stack``: the series at these positions, in this order."""
    whole: Any = stacked
    values: dict[str, Any] = {}
    for field in fields(whole):
        value = getattr(whole, field.name)
        values[field.name] = tuple(value[i] for i in at) if isinstance(value, tuple) else value[list(at)]
    return type(whole)(**values)


def each(family: Family, settings: PerformanceSettings) -> tuple[ContrastSettings, ...]:
    """The settings of each contrast of a family."""
    return tuple(getattr(settings, "auc" if name == "macro_auc" else name) for name in family.names)


def smaller(observed: Floats, expected: Floats) -> Floats:
    """Observed - expected events, or the square-root form of it where that is smaller in size.

    2 (√(o + ¼) - √(e + ¼)) √e equals o - e to first order and has no long tail at small counts; Anscombe,
    Biometrika 35 (1948).

    >>> smaller(np.array([9.0, 100.0]), np.array([4.0, 100.0])).round(2).tolist()
    [3.92, 0.0]
    """
    root = 2 * (np.sqrt(observed + 0.25) - np.sqrt(expected + 0.25)) * np.sqrt(expected)
    plain = observed - expected
    return np.where(np.abs(root) < np.abs(plain), root, plain)


def weighted(x: Floats, weights: Floats) -> Floats:
    """Sums over the last axis of x weights. Unlike a matrix product, a sum does not depend on how many windows are
    summed at once, so that windows judged one by one get the same digits."""
    return np.asarray((x * weights).sum(-1))


def divided(a: Floats, b: Floats) -> Floats:
    """a / b, 0 where b is not above 0."""
    return np.divide(a, b, out=np.zeros(np.broadcast_shapes(np.shape(a), np.shape(b))), where=np.asarray(b) > 0)


def inverse(information: Floats) -> Floats:
    """1 / information as a variance: very large, not infinite, where there is none."""
    return 1 / np.maximum(information, 1e-9)
