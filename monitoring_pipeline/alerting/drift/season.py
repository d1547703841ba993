"""The second opinion: a window against what the same slots of the last four weeks lead to expect.

With four of them the expectation follows their linear trend, z₋₁ + ½z₋₂ − ½z₋₄ (least squares carried one week on,
variance factor 2.5); with two or three it is their mean; with fewer there is none.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from monitoring_pipeline.alerting.drift.contrasts import Basis, Floats, contrasts
from monitoring_pipeline.alerting.drift.null import LEAST_ROWS
from monitoring_pipeline.alerting.drift.units import Batch, Counts
from monitoring_pipeline.alerting.rolling import Counted
from monitoring_pipeline.windows import WINDOWS_A_DAY

SEASONS = 4
TREND = np.array([1.0, 0.5, 0.0, -0.5])
PERIOD = {size: 7 * a_day for size, a_day in WINDOWS_A_DAY.items()}  # windows in a week


@dataclass(frozen=True, eq=False)
class Expected:
    """Differences from the expectation. ``known`` (U, T); ``d`` (U, T, J) of z; ``sampling`` (U, T, J) its variance by
    sampling; ``factor`` (U, T) how often the variance between windows is in it; ``shape`` (U, T) squared distance, 0
    where the window lies closer to the reference than expected."""

    known: NDArray[np.bool_]
    d: Floats
    sampling: Floats
    factor: Floats
    shape: Floats


def step(h: int, period: int) -> int:
    """Windows between two slots that sums of ``h`` windows are compared at: whole seasons, without overlap."""
    return period * -(-h // period)


def with_blocks(batch: Batch) -> tuple[Counts, Counts]:
    """The windows' counts and missing rows, with the reference's blocks in the places of windows without rows."""
    windows, missing = batch.windows.copy(), batch.windows_missing.copy()
    at = batch.block_at - batch.first
    inside = np.flatnonzero((at >= 0) & (at < windows.shape[1]))
    for b in inside.tolist():
        empty = windows[:, at[b]].sum(axis=1) + missing[:, at[b]] == 0
        windows[empty, at[b]] = batch.blocks[empty, b]
        missing[empty, at[b]] = batch.blocks_missing[empty, b]
    return windows, missing


def expected(of: Basis, counted: tuple[Counted, Counted], h: int, period: int, start: int, stop: int) -> Expected:
    """Of the windows at positions [start, stop), each merged with the ``h - 1`` before it, from their counts and
    missing rows."""
    now = np.arange(start, stop)
    before = [now - step(h, period) * k for k in range(1, SEASONS + 1)]
    needed, places = np.unique(np.maximum(np.concatenate((now, *before)), 0), return_inverse=True)
    x, x_missing = (one.last(h, needed) for one in counted)
    found = contrasts(of, x, x_missing)
    q = x / np.maximum(found.n, 1)[:, :, None]
    sizes = np.maximum(found.sizes(), 1)
    here, *slots = places.reshape(SEASONS + 1, len(now))
    reached = [(at >= h - 1) & (found.n[:, slot] >= LEAST_ROWS) for at, slot in zip(before, slots, strict=True)]
    there = np.stack(reached, axis=2)
    weights = _weights(there)
    d, sampling, difference = found.z[:, here].copy(), 1 / sizes[:, here], q[:, here].copy()
    largest = np.maximum(of.p[:, None, :], q[:, here])
    for k, at in enumerate(slots):
        w = weights[:, :, k, None]
        d -= w * found.z[:, at]
        sampling += w * w / sizes[:, at]
        difference -= w * q[:, at]
        largest = np.maximum(largest, np.where(w != 0, q[:, at], 0))
    away = (q[:, here] - of.p[:, None, :]) * difference
    squares, away = (
        np.where(largest > 0, x / np.where(largest > 0, largest, 1), 0).sum(axis=2) for x in (difference**2, away)
    )
    if of.kind == "numerical":
        squares = np.maximum(squares - (d[:, :, :2] ** 2).sum(axis=2), 0)
        away = away - (d[:, :, :2] * found.z[:, here, :2]).sum(axis=2)
    squares = np.where(away > 0, squares, 0)
    return Expected(there.sum(axis=2) >= 2, d, sampling, 1 + (weights**2).sum(axis=2), squares)


def _weights(there: NDArray[np.bool_]) -> Floats:
    """(U, T, 4): the trend's where all four weeks are there, the mean's of two or three, 0 otherwise."""
    many = there.sum(axis=2, keepdims=True)
    mean = np.where(many >= 2, there / np.maximum(many, 1), 0.0)
    return np.where(many == SEASONS, TREND, mean)
