"""p-values of contrasts, averaged over what the reference leaves open about the variance between windows.

V(n) = 1/n + 1/m + τ²(g_h(ρ) + 1/B_eff). τ² has the confidence distribution max(0, df·s²/χ²_df − noise), taken at 21
nodes. At each node the deviate is normal where sampling noise rules and Student's t where effects between windows do:
Satterthwaite's degrees of freedom, Wallace's normal deviate of t (1959, Annals of Mathematical Statistics 30:1124).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import fdtrc, gammaincinv, ndtr

Floats = NDArray[np.float64]
# Quantiles of the confidence distribution of the variance and their weights, dense near 0 where variances are large.
_EDGES = np.concatenate(([0.0], 10.0 ** np.linspace(-7, -1, 13), np.linspace(0.2, 1.0, 9)))
NODES = np.concatenate(([3e-8], (_EDGES[1:-1] + _EDGES[2:]) / 2))
WEIGHTS = np.diff(_EDGES)
MOST_DF = 1e6  # as good as normal
LEAST_SQUARE = 0.5  # of the variance of Student's t is its squared scale; exactly 1/3 for 3 degrees of freedom, 0 for 2


def variance_nodes(s2: Floats, noise: Floats, df: Floats) -> Floats:
    """(N, Q) nodes of τ² given (N,) s², its sampling part and degrees of freedom."""
    distinct, at = np.unique(df, return_inverse=True)
    chi2 = 2 * gammaincinv(distinct[:, None] / 2, NODES[None, :])
    return np.maximum((df * s2)[:, None] / np.maximum(chi2[at], 1e-300) - noise[:, None], 0)


def mean_factor(rho: Floats, h: Floats) -> Floats:
    """Variance of the mean of ``h`` AR(1) effects of autocorrelation ``rho``, over that of one effect.

    >>> mean_factor(np.array([0.0, 0.5]), np.array([4.0, 1.0]))
    array([0.25, 1.  ])
    """
    return (1 + rho) / (1 - rho) / h - 2 * rho * (1 - rho**h) / ((1 - rho) ** 2 * h * h)


def two_sided(z: Floats, sampling: Floats, between: Floats, tail: Floats) -> Floats:
    """(N,) P(|T| > |z|) under variance ``sampling`` (N,) + ``between`` (N, Q), over the nodes; ``tail``: degrees of
    freedom of the effects between windows."""
    total = sampling[:, None] + between
    nu = np.minimum(tail[:, None] * (total / np.maximum(between, 1e-12)) ** 2, MOST_DF)
    deviate = (8 * nu + 1) / (8 * nu + 3) * np.sqrt(nu * np.log1p((z * z)[:, None] / total / nu))
    return 2 * (ndtr(-deviate) * WEIGHTS).sum(axis=1)


def of_shape(
    distance: Floats, freedom: Floats, sampling: Floats, extra: Floats, df: Floats, variance: Floats
) -> Floats:
    """(N,) P(X > ``distance``): a squared distance of ``freedom`` contrasts, each with the variance ``sampling``, plus
    ``extra`` between windows, of which ``df`` degrees of freedom are known; F by Satterthwaite's matching.

    Matching two moments of the sum hides how far one effect may reach; the chance that it reaches so far by itself, in
    one direction, is the least p there is."""
    mean = sampling * freedom + extra
    spread = 2 * sampling**2 * freedom + np.maximum(2 * extra**2, variance)
    above = 2 * mean**2 / np.maximum(spread, 1e-300)
    below = np.clip(df * (mean / np.maximum(extra, 1e-12)) ** 2, df, MOST_DF)
    matched = fdtrc(np.maximum(above, 1e-6), below, distance / np.maximum(mean, 1e-300))
    square = extra * np.maximum(1 - 2 / df, LEAST_SQUARE)  # of the t's scale; ``extra`` is its variance
    beyond = distance - sampling * freedom
    alone = np.where(beyond > 0, fdtrc(1.0, df, np.maximum(beyond, 0) / np.maximum(square, 1e-12)), 0)
    return np.where(freedom > 0, np.maximum(matched, alone), 1.0)
