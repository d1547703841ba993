"""How much contrasts vary from window to window while nothing is wrong, and the p-values that follow.

A contrast of a window is noise of two kinds: that of the window's rows, whose variance is known, and τ², that of the
windows themselves: days differ. τ² is learnt from the reference's blocks: s² is the variance of the blocks' contrasts,
its sampling part the mean of their variances, τ² the rest.

p(z) of a merge of h windows is that of variance V = v + v_ref + τ² (g_h(ρ) + 1/B_eff): v of the window, v_ref of the
reference, g_h the variance of a mean of h effects with autocorrelation ρ over that of one, B_eff the blocks the
reference is worth. What the blocks leave open about τ² is averaged over: τ² = max(0, df s²/χ²_df - noise) at the nodes
of χ²_df. Where sampling noise rules the deviate is normal, where τ² does Student's t of the windows' tail.

Three changes to the null of the drift verdicts, because three contrasts are few:
1. ρ pooled over the contrasts is taken only if their mean autocorrelation is beyond 1/√(J B); else ``least_rho``.
2. B_eff = B (1 - ρτ²/s²) / (1 + ρτ²/s²): sampling noise has no autocorrelation.
3. Where windows are hours, horizons of a day and more use τ² of blocks of days (``calibration``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

import numpy as np
from scipy.special import gammaincinv, ndtr

from monitoring_pipeline.alerting.budget import Floats
from monitoring_pipeline.alerting.performance.contrasts import weighted
from monitoring_pipeline.alerting.performance.settings import NullSettings
from monitoring_pipeline.alerting.status import Source

_EDGES = np.concatenate(([0.0], 10.0 ** np.linspace(-7, -1, 13), np.linspace(0.2, 1.0, 9)))
NODES = np.concatenate(([3e-8], (_EDGES[1:-1] + _EDGES[2:]) / 2))  # quantiles of χ², dense where τ² is large
WEIGHTS = np.diff(_EDGES)
SURE_PART = 0.2  # share of the blocks' variance that must be τ² for its tail to say anything
LEAST_PART = 0.2  # τ²/s² below which a pooled autocorrelation is not scaled up any further
SOURCES: tuple[Source, ...] = get_args(Source)


@dataclass(frozen=True)
class Null:
    """Of S series and J contrasts: ``variance`` s², its sampling part ``noise``, ``df``, ``rho``, ``blocks`` B_eff (S,
    J); ``tail`` degrees of the windows' own distribution, ``span`` windows a block holds, ``source`` (S,)."""

    variance: Floats
    noise: Floats
    df: Floats
    rho: Floats
    blocks: Floats
    tail: Floats
    span: Floats
    source: tuple[Source, ...]

    def nodes(self) -> Floats:
        """(S, J, Q) τ² at the nodes of its confidence distribution, whose weights are ``WEIGHTS``."""
        chi2 = 2 * gammaincinv(self.df[..., None] / 2, NODES)
        return np.maximum((self.df * self.variance)[..., None] / chi2 - self.noise[..., None], 0.0)

    def p(self, excess: Floats, variance: Floats, merged: Floats, sides: tuple[int, ...]) -> Floats:
        """p-values (S, T, J) of contrasts and their sampling variances (the reference's included), each (S, T, J).

        ``merged`` (S, T): how many windows each is a mean of, in effect. ``sides`` (J,): -1 only a fall is bad, 1 only
        a rise, 0 both.
        """
        steps = np.maximum(merged / self.span[:, None], 1e-9)[..., None]
        factor = np.where(steps >= 1, mean_factor(self.rho[:, None, :], np.maximum(steps, 1.0)), 1 / steps)
        between = self.nodes()[:, None] * (factor + 1 / self.blocks[:, None, :])[..., None]
        both = two_sided(excess, variance, between, self.tail[:, None, None, None])
        side = np.array(sides)
        return np.where(side == 0, both, np.where(side * excess > 0, both / 2, 1 - both / 2))


def two_sided(value: Floats, sampling: Floats, between: Floats, tail: Floats) -> Floats:
    """Mean over the nodes of P(|deviate| > |value|), with ``between`` (..., Q) and the others (...).

    Degrees of freedom by Satterthwaite, ``tail`` (1 + sampling / between)²; the normal deviate of t by Wallace (Ann.
    Math. Stat. 30, 1959).
    """
    whole = np.maximum(sampling[..., None] + between, 1e-300)
    degrees = np.minimum(tail * (whole / np.maximum(between, 1e-12 * whole)) ** 2, 1e6)
    t2 = value[..., None] ** 2 / whole
    deviate = (8 * degrees + 1) / (8 * degrees + 3) * np.sqrt(degrees * np.log1p(t2 / degrees))
    return np.minimum(2 * weighted(ndtr(-deviate), WEIGHTS), 1.0)


def mean_factor(rho: Floats, h: Floats) -> Floats:
    """Variance of the mean of h effects of autocorrelation rho (first order) over that of one.

    >>> mean_factor(np.array([0.0, 0.5]), np.array([4.0, 2.0]))
    array([0.25, 0.75])
    """
    return (1 + rho) / (1 - rho) / h - 2 * rho * (1 - rho**h) / ((1 - rho) ** 2 * h * h)


def learn(
    contrasts: Floats, variances: Floats, prior_sd: Floats, settings: NullSettings, span: int = 1, learnt: bool = False
) -> Null:
    """The null of one series (S = 1) from contrasts of blocks and their sampling variances, (B, J) in order of time.

    Fewer than ``least_blocks`` give the prior's variance with ``prior_df``, ``provisional``. ``learnt``: the blocks are
    accepted windows, not the reference's.
    """
    blocks = len(contrasts)
    if blocks < settings.least_blocks:
        return _assumed(prior_sd, settings)
    centred = contrasts - contrasts.mean(0)
    s2 = np.maximum((centred**2).sum(0) / (blocks - 1), 1e-12)
    noise = variances.mean(0)
    part = np.maximum(s2 - noise, 0) / s2
    covariance = (centred[1:] * centred[:-1]).sum(0) / (blocks - 1) + s2 / blocks  # s²/B: the bias of centring
    rho = _autocorrelation(covariance, s2, noise, settings, blocks)
    total = rho * part
    worth = np.maximum(blocks * (1 - total) / (1 + total), settings.least_effective)
    s2 = noise + np.maximum(s2 - noise, 0) / (1 - 1 / worth)
    tail = _tail(centred, part, settings)
    short = blocks < settings.short
    source: Source = "learnt" if learnt else "calibrated-short" if short else "calibrated"
    return Null(
        s2[None], noise[None], worth[None] - 1, rho[None], worth[None], np.array([tail]), np.array([float(span)]),
        (source,),
    )  # fmt: skip


def _assumed(prior_sd: Floats, settings: NullSettings) -> Null:
    one = np.ones((1, len(prior_sd)))
    return Null(
        prior_sd[None] ** 2, 0 * one, settings.prior_df * one, settings.short_rho * one, settings.prior_blocks * one,
        np.array([settings.short_tail]), np.ones(1), ("provisional",),
    )  # fmt: skip


def _autocorrelation(covariance: Floats, s2: Floats, noise: Floats, settings: NullSettings, blocks: int) -> Floats:
    """(J,) ρ of the windows' effects: a contrast's own where it is beyond chance, at least the pooled one."""
    r = covariance / s2
    part = float((np.maximum(s2 - noise, 0) / s2).mean())
    mean = float(r.mean())
    beyond_chance = mean > 1 / np.sqrt(len(r) * blocks)
    pooled = min(max(mean / max(part, LEAST_PART), 0.0), settings.most_pooled) if beyond_chance else 0.0
    effects = np.maximum(s2 - noise, 0.5 * s2)
    own = np.where(r > 2 / np.sqrt(blocks), np.clip(covariance / effects, 0, settings.most_rho), 0.0)
    return np.maximum(own, max(pooled, settings.short_rho if blocks < settings.short else settings.least_rho))


def _tail(centred: Floats, part: Floats, settings: NullSettings) -> float:
    """Degrees of freedom of the effects' t: 4 + 6 / excess kurtosis of the effects, pooled over the contrasts."""
    blocks = len(centred)
    second = np.maximum((centred**2).mean(0), 1e-12)
    excess = (centred**4).mean(0) / second**2 - 3 * (blocks - 1) / (blocks + 1)
    sure = part > SURE_PART
    # the blocks' excess is (τ²/s²)² times that of the effects: the ratio of the sums estimates the latter
    found, weight = float(excess[sure].sum()), float((part[sure] ** 2).sum())
    degrees = 4 + 6 * weight / found if found > 0 and weight > 1 else settings.most_tail
    most = settings.short_tail if blocks < settings.short else settings.most_tail
    return float(np.clip(degrees, settings.least_tail, most))
