"""Shares of zero, where a logarithm needs more than zero."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def zero_fill(shares: Floats, used: NDArray[np.bool_]) -> Floats:
    """Evidently's fill: with m the least non-zero share of a side, a zero becomes m / 1e6 if m <= 1e-4, else 1e-4.

    Not renormalised. ``shares`` (…, B) in [0, 1]; ``used`` (…, B) are the bins that hold rows on either side: the
    others stay 0.

    >>> zero_fill(np.array([0.75, 0.25, 0.0, 0.0]), np.array([True, True, True, False])).tolist()
    [0.75, 0.25, 0.0001, 0.0]

    Reference: Evidently 0.7.23, ``calculations/stattests/utils.py``, ``get_binned_data``.
    """
    least = np.min(np.where(shares > 0, shares, np.inf), axis=-1, keepdims=True)
    fill = np.where(least <= 1e-4, least / 1e6, 1e-4)
    return np.where(used & (shares == 0), fill, shares)


def half_row_fill(shares: Floats, used: NDArray[np.bool_], n: Floats) -> Floats:
    """A zero becomes half a row, 1 / (2n): what a test statistic uses, because 1e-4 is far less than an empty bin
    proves.

    With 50 rows an empty bin of share 0.05 is everyday; filled with 1e-4 it alone would look like p = 1e-4.

    >>> half_row_fill(np.array([0.75, 0.25, 0.0]), np.array([True, True, True]), np.array(50.0)).tolist()
    [0.75, 0.25, 0.01]

    Reference: Haldane, The estimation and significance of the logarithm of a ratio of frequencies, Ann. Hum. Genet.
    20 (1956).
    """
    half = 0.5 / np.where(n > 0, n, np.nan)
    return np.where(used & (shares == 0), half[..., None], shares)
