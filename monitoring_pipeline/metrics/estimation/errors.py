"""Expected errors of a predicted number: the reference's errors by bin of the prediction, weighted as in the window.

Follows a change of what is predicted, not of the concept. Errors are not learnt from the features: where the size of an
error depends on these more than on the prediction, the estimate follows only in part, and its own record says how far.
"""

from __future__ import annotations

from math import sqrt

import numpy as np
from numpy.typing import NDArray

from monitoring_pipeline.metrics.estimation.calibrator import KNOWN
from monitoring_pipeline.metrics.performance.intervals import Estimate, normal
from monitoring_pipeline.profiles.parts.bins import ERROR_SUMS, LabelledBins

Floats = NDArray[np.float64]


def expected_errors(reference: LabelledBins, rows: Floats) -> dict[str, Estimate]:
    """``mae``, ``rmse``, ``bias``; ``rows`` (B,) of the window by bin of the prediction. ``n`` is 0.

    A bin without reference rows takes the nearest one's errors. With m_b and v_b the mean and variance of the error
    (its square, its size) in bin b, N_b reference and n_b rows of n: value sum n_b m_b / n, variance
    sum n_b v_b / n² + sum n_b² v_b / N_b / n². Empty without rows or without reference errors.
    """
    n_bins = len(rows)
    n, sums = reference.n[1 : n_bins + 1].astype(float), reference.errors[:, 1 : n_bins + 1]  # 0: missing predictions
    held = np.flatnonzero(n > 1)
    if not held.size or not rows.sum():
        return {}
    near = held[np.abs(np.arange(n_bins)[:, None] - held).argmin(axis=1)]
    n, by_name = n[near], dict(zip(ERROR_SUMS, sums[:, near] / n[near], strict=True))
    weight = rows / rows.sum()

    def expected(mean: Floats, square: Floats) -> tuple[float, float]:
        spread = np.maximum(square - mean**2, 0.0)
        pooled = np.bincount(near, weight, n_bins)[near]  # bins that share errors of the reference move together
        return float(weight @ mean), float(weight @ spread) / float(rows.sum()) + float(weight @ (pooled * spread / n))

    size, bias = expected(by_name["abs_e"], by_name["e2"]), expected(by_name["e"], by_name["e2"])
    square, variance = expected(by_name["e2"], by_name["e4"])
    root = sqrt(square)
    return {
        "mae": normal(*size, 0, 0.0, 1e308, KNOWN),
        "rmse": normal(root, variance / (4 * square) if square else 0.0, 0, 0.0, 1e308, KNOWN),
        "bias": normal(*bias, 0, -1e308, 1e308, KNOWN),
    }
