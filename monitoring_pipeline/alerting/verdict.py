"""Verdicts as plain values: the judgement of one measurement, position by position."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from monitoring_pipeline.measurements import Floats

ThresholdSource = Literal["default", "declared", "calibrated", "calibrated-short", "learnt", "provisional", "none"]
Flags = NDArray[np.int8]

FLAGGED, NOT_FLAGGED, NOT_JUDGED = 1, 0, -1


@dataclass(frozen=True)
class ShareVerdict:
    """The share of a window's features that drifted, in [0, 1]; NaN and not judged when none could be judged.

    ``n_reference`` and ``n_current``: values of the feature that has most of them.
    """

    value: float
    threshold: float
    source: ThresholdSource
    flagged: int
    n_reference: int
    n_current: int


@dataclass(frozen=True, eq=False)
class Verdict:
    """The judgement of a measurement; arrays of shape (K,) addressed by its keys.

    ``threshold`` is NaN where there is none. ``flagged``: 1 drifted, violated or degraded; 0 not; -1 not judged.
    ``share``: drift only. ``mature``: performance only, whether the window's labels are complete enough.
    """

    threshold: Floats
    source: tuple[ThresholdSource, ...]
    flagged: Flags
    share: ShareVerdict | None = None
    mature: bool | None = None


def flags(flagged: NDArray[np.bool_], judged: NDArray[np.bool_]) -> Flags:
    """(K,) 1, 0, and -1 where not judged."""
    return np.where(judged, flagged, NOT_JUDGED).astype(np.int8)
