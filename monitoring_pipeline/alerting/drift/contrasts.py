"""Contrasts: the few numbers in which a column's counts may differ from its reference.

Numerical: *location* and *spread* (orthonormal polynomials of the mid-rank under the reference's shares p:
z = Σ q·h, sampling variance 1/n; a shift of d standard deviations gives 0.98 d, and PSI is about d²), *outside* the
reference's range, *missing*. Categorical: each category, *unseen*, *missing*. What they leave of the squared distance
is *shape*. The z of a share is the smaller in size of arcsine, 2(asin √q − asin √p), and (q − p)/√(p(1 − p)); shape is
the smaller of Pearson's and Hellinger's form less the squares above: neither has a tail at small counts.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from monitoring_pipeline.alerting.drift.units import Batch, Counts
from monitoring_pipeline.profiles.layout import Kind

Floats = NDArray[np.float64]
LOCATION, SPREAD, OUTSIDE, MISSING = range(4)  # positions in a numerical unit's contrasts
GROUPS = {"numerical": 5, "categorical": 4}  # groups of contrasts that share one test each, shape included


@dataclass(frozen=True, eq=False)
class Basis:
    """What the reference fixes: shares ``p`` (U, K), missing share (U,), sizes, and the scores of numerical units.

    ``scores`` (U, 2, K); ``m`` (U,) values, ``rows`` (U,) rows; ``freedom`` (U,) degrees of freedom of shape.
    """

    kind: Kind
    p: Floats
    p_missing: Floats
    m: Floats
    rows: Floats
    scores: Floats | None
    freedom: Floats

    @property
    def n_contrasts(self) -> int:
        """Contrasts J of each unit, without shape."""
        return 4 if self.kind == "numerical" else self.p.shape[1] + 1

    @property
    def is_share(self) -> NDArray[np.bool_]:
        """(J,) whether the floor of a contrast is a change of a share rather than a number of deviations."""
        share = np.zeros(self.n_contrasts, bool)
        share[-2:] = True
        return share

    @property
    def weights(self) -> Floats:
        """(J + 1,) Bonferroni: the contrasts of a group share its weight; shape comes last."""
        groups = GROUPS[self.kind]
        weights = np.full(self.n_contrasts + 1, float(groups))
        if self.kind == "categorical":
            weights[:-3] *= max(self.n_contrasts - 2, 1)
        return weights


@dataclass(frozen=True, eq=False)
class Contrasts:
    """Of U units in T windows: ``z`` (U, T, J) signed; ``change`` (U, T, J) of a share, in [0, 1], infinite where the
    contrast is none; ``shape`` (U, T) squared distance; ``n`` values and ``rows`` (U, T)."""

    z: Floats
    change: Floats
    shape: Floats
    n: Floats
    rows: Floats

    def sizes(self) -> Floats:
        """(U, T, J) rows behind each contrast: all rows for *missing*, values for the others."""
        sizes = np.repeat(self.n[:, :, None], self.z.shape[2], axis=2)
        sizes[:, :, -1] = self.rows
        return sizes


def basis(batch: Batch) -> Basis:
    """What the reference of these units fixes."""
    m = batch.reference.sum(axis=1)
    rows = m + batch.reference_missing
    p = batch.reference / np.maximum(m, 1)[:, None]
    numerical = batch.kind == "numerical"
    used = (p > 0).sum(axis=1)
    return Basis(
        batch.kind,
        p,
        batch.reference_missing / np.maximum(rows, 1),
        m,
        rows,
        polynomial_scores(p) if numerical else None,
        np.maximum(used - (3 if numerical else 1), 0).astype(float),
    )


def polynomial_scores(p: Floats) -> Floats:
    """(U, 2, K) location and spread scores: polynomials of the mid-rank, orthonormal under ``p`` (U, K)."""
    rank = np.cumsum(p, axis=1) - p / 2
    found: list[Floats] = []
    for power in (1, 2):
        h = (rank - 0.5) ** power
        h = h - (p * h).sum(axis=1, keepdims=True)
        for g in found:
            h = h - (p * h * g).sum(axis=1, keepdims=True) * g
        size = np.sqrt((p * h * h).sum(axis=1, keepdims=True))
        found.append(np.divide(h, size, out=np.zeros_like(h), where=size > 1e-9))
    return np.stack(found, axis=1)


def share_contrast(q: Floats, p: Floats) -> Floats:
    """Change of a share with sampling variance of at most 1/n: the smaller of arcsine and Pearson.

    >>> share_contrast(np.array([0.5, 0.02]), np.array([0.5, 0.01])).round(3)
    array([0.   , 0.083])
    """
    arcsine = 2 * (np.arcsin(np.sqrt(np.clip(q, 0, 1))) - np.arcsin(np.sqrt(np.clip(p, 0, 1))))
    spread = np.sqrt(np.clip(p * (1 - p), 0, None))
    pearson = np.divide(q - p, spread, out=np.full(np.broadcast(q, p).shape, np.inf), where=spread > 0)
    return np.sign(q - p) * np.minimum(np.abs(arcsine), np.abs(pearson))


def contrasts(of: Basis, counts: Counts, missing: Counts) -> Contrasts:
    """Of counts (U, T, K) and missing rows (U, T). A window without values has z = 0 everywhere but *missing*."""
    n = counts.sum(axis=2)
    rows = n + missing
    p = of.p[:, None, :]
    q = np.where(n[:, :, None] > 0, counts / np.maximum(n, 1)[:, :, None], p)
    q_missing = np.where(rows > 0, missing / np.maximum(rows, 1), of.p_missing[:, None])
    lost = np.abs(q_missing - of.p_missing[:, None])
    z_missing = share_contrast(q_missing, np.broadcast_to(of.p_missing[:, None], q_missing.shape))
    pearson, hellinger = _distances(q, p)
    if of.scores is None:
        z = np.concatenate((share_contrast(q, np.broadcast_to(p, q.shape)), z_missing[:, :, None]), axis=2)
        change = np.concatenate((np.abs(q - p), lost[:, :, None]), axis=2)
        return Contrasts(z, change, np.minimum(pearson, hellinger), n, rows)
    moved = np.einsum("utk,ujk->utj", q, of.scores)
    outside, p_outside = q[:, :, 0] + q[:, :, -1], of.p[:, :1] + of.p[:, -1:]
    z_outside = share_contrast(outside, np.broadcast_to(p_outside, outside.shape))
    z = np.concatenate((moved, z_outside[:, :, None], z_missing[:, :, None]), axis=2)
    change = np.full(z.shape, np.inf)
    change[:, :, OUTSIDE], change[:, :, MISSING] = np.abs(outside - p_outside), lost
    explained = (moved**2).sum(axis=2)
    shape = np.maximum(np.minimum(pearson, hellinger) - explained, 0)
    return Contrasts(z, change, shape, n, rows)


def _distances(q: Floats, p: Floats) -> tuple[Floats, Floats]:
    """(U, T) Pearson's X²/n and Hellinger's 4 Σ(√q − √p)², over the bins that the reference fills."""
    seen = p > 0
    pearson = np.where(seen, (q - p) ** 2 / np.where(seen, p, 1), 0).sum(axis=2)
    hellinger = np.where(seen, 4 * (np.sqrt(q) - np.sqrt(p)) ** 2, 0).sum(axis=2)
    return pearson, hellinger
