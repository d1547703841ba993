"""How much windows vary without drift: the variance of each contrast between the reference's blocks.

Of the blocks' z: s² = variance, noise = mean 1/n_b, and τ² = s² − noise is the variance between windows, which depends
on a window's duration, not on its rows. The lag-1 autocovariance γ₁ gives ρ, and B_eff = max(3, B(1 − ρ)/(1 + ρ)) the
degrees of freedom. Effects of days lie in few directions, so that each contrast has a variance of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import digamma, polygamma

from monitoring_pipeline.alerting.drift.contrasts import OUTSIDE, Basis, Contrasts, Floats, contrasts, share_contrast
from monitoring_pipeline.alerting.drift.units import Batch, Index
from monitoring_pipeline.monitors.alarms import DriftAlarms

LEAST_ROWS = 20  # of a block or window that variance is learnt from
LEAST_BLOCKS, FEW_BLOCKS = 5, 14
SHORT_RHO, SHORT_TAIL = 0.6, 8.0  # assumed at least, and at most, where there are few blocks
LARGEST_RHO = 0.95
TAIL_BOUNDS = 3.0, 60.0
BIASED_BLOCKS = 30.0  # up to as many, a sample's kurtosis is as if its tail had 4 degrees of freedom more
CLEARLY = 3.0  # standard errors beyond noise from which a contrast keeps its own variance; of 100 contrasts that do not
# vary, 2 show one of two standard errors, and would never alarm on small changes
ALIKE = 10.0  # least degrees of freedom of a prior that contrasts borrow from; fewer: they differ too much
LEAST_ALIKE = 20  # contrasts that a prior is estimated from
Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Sample:
    """What some blocks or windows show; N contrasts and M units of all batches one after the other.

    (N,): ``s2`` variance of z, ``noise`` its sampling part, ``gamma1`` lag-1 covariance, ``blocks`` their number,
    ``excess`` kurtosis, ``season_s2`` and ``season_df`` about the mean of each slot of the season (NaN, 0: none).
    (M,): ``shape`` mean of the squared distance beyond sampling, ``shape_blocks``, ``shape_var`` its variance beyond
    sampling.
    """

    s2: Floats
    noise: Floats
    gamma1: Floats
    blocks: Floats
    excess: Floats
    season_s2: Floats
    season_df: Floats
    shape: Floats
    shape_blocks: Floats
    shape_var: Floats

    @classmethod
    def joined(cls, samples: Sequence[Sample]) -> Sample:
        """One after the other."""
        return cls(*(np.concatenate([getattr(s, f.name) for s in samples]) for f in fields(cls)))


@dataclass(frozen=True, eq=False)
class Null:
    """The null distribution of every contrast; (N,) unless said otherwise.

    ``s2`` between blocks and ``noise``, its sampling part; ``df``, ``rho``, ``tail`` degrees of freedom of the effects
    themselves; ``season_s2``, ``season_df`` of the difference from the same slots of earlier weeks. (M,): ``shape``,
    ``shape_df``, ``shape_var``, ``shape_rho``. ``source`` (N,): calibrated, calibrated-short, learnt or provisional.
    ``ignored``: shift that nobody minds, in standard deviations.
    """

    s2: Floats
    noise: Floats
    df: Floats
    rho: Floats
    tail: Floats
    season_s2: Floats
    season_df: Floats
    shape: Floats
    shape_df: Floats
    shape_var: Floats
    shape_rho: Floats
    source: NDArray[np.str_]
    ignored: float


def observe_blocks(of: Basis, batch: Batch, period: int) -> Sample:
    """What the reference's own blocks show; they are part of the reference."""
    found = contrasts(of, batch.blocks, batch.blocks_missing)
    sample = observe(of, found, found.n >= LEAST_ROWS, batch.block_at, period)
    return replace(sample, s2=_inherited(of, batch, found.n >= LEAST_ROWS, sample.s2))


def observe(of: Basis, found: Contrasts, chosen: Mask, at: Index, period: int, *, inside: bool = True) -> Sample:
    """Of the ``chosen`` (U, B) blocks or windows at ``at`` (B,). ``inside``: they are part of the reference."""
    n_units, _, n_contrasts = found.z.shape
    number = chosen.sum(axis=1).astype(float)
    weight = chosen[:, :, None] / np.maximum(number, 1)[:, None, None]
    centred = np.where(chosen[:, :, None], found.z - (found.z * weight).sum(axis=1, keepdims=True), 0)
    many = number[:, None]
    s2 = (centred**2).sum(axis=1) / np.maximum(many - 1, 1)
    noise = (weight / np.maximum(found.sizes(), 1)).sum(axis=1)
    shape, shape_var = _shape(of, found, chosen, inside=inside)
    season_s2, season_df = _season(found.z, chosen, at, period)
    flat = n_units * n_contrasts
    return Sample(
        s2.reshape(flat),
        noise.reshape(flat),
        (_lagged(centred, chosen, at) + s2 / np.maximum(many, 1)).reshape(flat),
        np.repeat(number, n_contrasts),
        _excess(centred, number).reshape(flat),
        season_s2.reshape(flat),
        np.repeat(season_df, n_contrasts),
        shape,
        number,
        shape_var,
    )


@dataclass(frozen=True, eq=False)
class Kin:
    """What belongs together. ``pools`` (N,), ``versions`` (N,), ``units`` (N,): number of each contrast's pool, model
    version and unit. ``whole`` (N,) and ``whole_units`` (M,): the same contrast and unit counted in all rows (segment
    ``*``) of the version; itself, where there is none."""

    pools: Index
    versions: Index
    units: Index
    whole: Index
    whole_units: Index


def settle(sample: Sample, kin: Kin, alarms: DriftAlarms, source: str) -> Null:
    """The null of every contrast. A segment's few rows show neither tails nor autocorrelation: what all segments of the
    version show together is believed of each."""
    timed = sample.blocks >= LEAST_BLOCKS
    short = sample.blocks < FEW_BLOCKS
    rho = np.where(timed, _autocorrelation(sample, kin, timed), 0.0)
    rho = np.where(timed & short, np.maximum(rho, SHORT_RHO), rho)
    effective = _effective(sample.blocks, rho)
    s2 = sample.noise + (sample.s2 - sample.noise) / (1 - 1 / effective)
    tail = np.minimum(_tails(sample, kin.pools, timed), _tails(sample, kin.versions, timed))
    s2, df = _moderated(s2, effective - 1, sample.noise, kin.pools, timed)
    tail = np.where(short, np.minimum(tail, SHORT_TAIL), tail)
    prior, of_unit = alarms.prior_sd**2, np.zeros(len(sample.shape), bool)
    of_unit[kin.units[timed]] = True
    shape_rho, first = _of_shape(rho, kin.units), np.searchsorted(kin.units, np.arange(len(sample.shape)))
    shape_df = np.minimum(_effective(sample.shape_blocks, shape_rho) - 1, tail[first])
    null = Null(
        s2=np.where(timed, s2, prior),
        noise=np.where(timed, sample.noise, 0.0),
        df=np.where(timed, df, alarms.prior_df),
        rho=rho,
        tail=tail,
        season_s2=sample.season_s2,
        season_df=sample.season_df,
        shape=np.where(of_unit, sample.shape, prior),
        shape_df=np.where(of_unit, shape_df, alarms.prior_df),
        shape_var=np.where(of_unit, sample.shape_var, 0.0),
        shape_rho=shape_rho,
        source=np.where(timed, np.where(short & (source == "calibrated"), "calibrated-short", source), "provisional"),
        ignored=alarms.ignored_shift,
    )
    return _with_the_whole(null, kin)


def _effective(blocks: Floats, rho: Floats) -> Floats:
    """Independent blocks that ``blocks`` autocorrelated ones are worth; at least 3."""
    return np.maximum(blocks * (1 - rho) / (1 + rho), 3.0)


def _with_the_whole(null: Null, kin: Kin) -> Null:
    """Effects of days that all rows show are in each segment too, though its fewer rows hide them: where the whole
    varies more, a segment has the variance of the whole."""
    between, at, units = np.maximum(null.s2 - null.noise, 0), kin.whole, kin.whole_units
    unknown = (null.source == "provisional") & (null.source[at] != "provisional")
    taken = unknown | ((between[at] > between) & (null.source[at] != "provisional"))
    shapes = (null.shape[units] > null.shape) | unknown[np.searchsorted(kin.units, np.arange(len(units)))]
    names = ("s2", "noise", "df", "season_s2", "season_df", "source")
    changed = {name: np.where(taken, getattr(null, name)[at], getattr(null, name)) for name in names}
    of_unit = ("shape", "shape_df", "shape_var", "shape_rho")
    changed |= {name: np.where(shapes, getattr(null, name)[units], getattr(null, name)) for name in of_unit}
    return replace(null, **changed, rho=np.maximum(null.rho, null.rho[at]), tail=np.minimum(null.tail, null.tail[at]))


# -- of one batch ------------------------------------------------------------------------------------------------------


def _lagged(centred: Floats, chosen: Mask, at: Index) -> Floats:
    """(U, J) mean product of neighbours in time."""
    if centred.shape[1] < 2:
        return np.zeros((centred.shape[0], centred.shape[2]))
    pair = chosen[:, 1:] & chosen[:, :-1] & (np.diff(at) == 1)
    products = (centred[:, 1:] * centred[:, :-1] * pair[:, :, None]).sum(axis=1)
    return products / np.maximum(pair.sum(axis=1), 1)[:, None]


def _excess(centred: Floats, number: Floats) -> Floats:
    """(U, J) excess kurtosis, corrected for the number of blocks."""
    many = np.maximum(number, 1)[:, None]
    variance = (centred**2).sum(axis=1) / many
    fourth = (centred**4).sum(axis=1) / many
    kurtosis = np.divide(fourth, variance**2, out=np.zeros_like(fourth), where=variance > 1e-10)
    return np.where(variance > 1e-10, kurtosis - 3 * (many - 1) / (many + 1), 0.0)


def _shape(of: Basis, found: Contrasts, chosen: Mask, *, inside: bool) -> tuple[Floats, Floats]:
    """(U,) mean squared distance beyond sampling, a standard error above; (U,) its variance beyond sampling."""
    number = chosen.sum(axis=1)
    many, k = np.maximum(number, 1), of.freedom[:, None]
    inverse = 1 / np.maximum(found.n, 1)
    own = -1 / np.maximum(of.m, 1) if inside else 1 / np.maximum(of.m, 1)
    beyond = np.where(chosen, found.shape - k * (inverse + own[:, None]), 0).sum(axis=1) / many
    kept = 1 - 1 / np.maximum(many, 2) if inside else 1.0
    mean = np.where(chosen, found.shape, 0).sum(axis=1) / many
    variance = np.where(chosen, (found.shape - mean[:, None]) ** 2, 0).sum(axis=1) / np.maximum(number - 1, 1)
    error = np.sqrt(variance / many)
    sampling = 2 * of.freedom * (np.where(chosen, inverse, 0).sum(axis=1) / many) ** 2
    return np.maximum(beyond, 0) / kept + error, np.maximum(variance - sampling, 0)


def _season(z: Floats, chosen: Mask, at: Index, period: int) -> tuple[Floats, Floats]:
    """(U, J) variance about the mean of each slot and (U,) its degrees of freedom; NaN and 0 below three seasons."""
    total = np.zeros((z.shape[0], z.shape[2]))
    number, slots = chosen.sum(axis=1), np.zeros(z.shape[0])
    for slot in range(period):
        here = chosen & (at % period == slot)
        many = here.sum(axis=1)
        mean = (z * here[:, :, None]).sum(axis=1) / np.maximum(many, 1)[:, None]
        total += np.where(here[:, :, None], (z - mean[:, None]) ** 2, 0).sum(axis=1)
        slots += many > 0
    enough = number >= 3 * period
    df = np.where(enough, number - slots, 0.0)
    return np.where(enough[:, None], total / np.maximum(df, 1)[:, None], np.nan), df


def _inherited(of: Basis, batch: Batch, chosen: Mask, s2: Floats) -> Floats:
    """(N,) the same, but what the reference lacks by construction varies as its neighbours do: *outside* as the end
    bins, *unseen* as the categories on average."""
    by_unit = s2.reshape(len(batch.units), -1).copy()
    if batch.kind == "categorical":
        known = of.p[:, :-1] > 0
        mean = (by_unit[:, :-2] * known).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
        by_unit[:, -2] = np.maximum(by_unit[:, -2], mean)
        return by_unit.reshape(-1)
    rows, n = np.arange(len(batch.units)), np.maximum(batch.blocks.sum(axis=2), 1)
    used = of.p > 0
    for end in (used.argmax(axis=1), used.shape[1] - 1 - used[:, ::-1].argmax(axis=1)):
        p = np.broadcast_to(of.p[rows, end][:, None], n.shape)
        z = share_contrast(batch.blocks[rows, :, end] / n, p)
        many = np.maximum(chosen.sum(axis=1), 1)[:, None]
        centred = np.where(chosen, z - np.where(chosen, z, 0).sum(axis=1, keepdims=True) / many, 0)
        variance = (centred**2).sum(axis=1) / np.maximum(chosen.sum(axis=1) - 1, 1)
        by_unit[:, OUTSIDE] = np.maximum(by_unit[:, OUTSIDE], variance)
    return by_unit.reshape(-1)


# -- of a pool ---------------------------------------------------------------------------------------------------------


def _summed(values: Floats, pools: NDArray[np.intp], where: Mask) -> Floats:
    """(N,) the sum over each contrast's pool."""
    sums: Floats = np.bincount(pools[where], values[where], int(pools.max(initial=0)) + 1).astype(float)
    return sums[pools]


def _autocorrelation(sample: Sample, kin: Kin, timed: Mask) -> Floats:
    """A contrast's own where it is significant, at least that of the pool and of the version together."""
    live = timed & (sample.s2 > 1e-10)
    s2 = np.maximum(sample.s2, 1e-12)
    r1, share = sample.gamma1 / s2, np.maximum(sample.s2 - sample.noise, 0) / s2
    together = np.zeros_like(s2)
    for of in (kin.pools, kin.versions):
        many = _summed(np.ones_like(s2), of, live)
        below = np.maximum(np.maximum(_summed(share, of, live), 0.1 * many), 1e-9)
        pooled = np.clip(_summed(r1, of, live) / below, 0, 0.9)
        together = np.maximum(together, pooled)
    tau2 = np.maximum(sample.s2 - sample.noise, 0.5 * s2)
    own = np.clip(sample.gamma1 / tau2, 0, LARGEST_RHO)
    return np.maximum(np.where(r1 > 2 / np.sqrt(np.maximum(sample.blocks, 1)), own, 0.0), together)


def _of_shape(rho: Floats, units: NDArray[np.intp]) -> Floats:
    """(M,) the autocorrelation of a unit's first two contrasts, the larger one."""
    first = np.searchsorted(units, np.arange(int(units.max(initial=-1)) + 1))
    return np.maximum(rho[first], rho[first + 1])


def _tails(sample: Sample, pools: NDArray[np.intp], timed: Mask) -> Floats:
    """Degrees of freedom 4 + 6/excess of Student's t, the excess kurtosis pooled over contrasts that vary beyond noise.

    Few blocks show less kurtosis than there is; up to ``BIASED_BLOCKS`` 6/excess is nearer to the truth."""
    beyond = np.maximum(1 - sample.noise / np.maximum(sample.s2, 1e-12), 0) ** 2
    varying = timed & (sample.s2 > 1e-10) & (beyond > 0.04)
    excess, size = _summed(sample.excess, pools, varying), _summed(beyond, pools, varying)
    known = (excess > 0) & (size > 3)
    many = _summed(sample.blocks, pools, varying) / np.maximum(_summed(np.ones_like(size), pools, varying), 1)
    theory = 4 * np.maximum(1 - BIASED_BLOCKS / np.maximum(many, 1), 0)
    tail = np.where(known, theory + 6 * size / np.where(known, excess, 1), np.inf)
    return np.clip(tail, *TAIL_BOUNDS)


def _moderated(s2: Floats, df: Floats, noise: Floats, pools: NDArray[np.intp], timed: Mask) -> tuple[Floats, Floats]:
    """Empirical Bayes over a pool's ratios s²/noise (Smyth 2004, Statistical Applications in Genetics 3:3): where all
    vary alike, each contrast gains the prior's degrees of freedom. One that varies clearly beyond noise keeps its
    variance, which is the larger of the two."""
    s2, df = s2.copy(), df.copy()
    told = timed & (noise > 0) & (s2 > 0.3 * noise)  # rarer than one row a block tells nothing
    for pool in np.unique(pools[told]):
        at = np.flatnonzero(told & (pools == pool))
        found = _borrowed(s2[at] / noise[at], df[at]) if len(at) >= LEAST_ALIKE else None
        if found is not None:
            s2[at], df[at] = noise[at] * found[0], found[1]
    return s2, df


def _borrowed(ratio: Floats, df: Floats) -> tuple[Floats, Floats] | None:
    """Moderated ratios and their degrees of freedom; None where the contrasts differ: nothing to borrow.

    A ratio below 1 is chance. It counts as it is where no contrast varies, else the others would seem to; where some
    do, it only makes them look more different than they are."""
    for each in (ratio, np.maximum(ratio, 1)):
        prior_df, prior = _prior(each, df)
        if prior_df >= ALIKE:
            new = (prior_df * prior + df * each) / (prior_df + df)
            kept = (new < each) & (each >= 1 + CLEARLY * np.sqrt(2 / df))
            return np.where(kept, each, new), df + prior_df
    return None


def _prior(ratio: Floats, df: Floats) -> tuple[float, float]:
    """Degrees of freedom (at most 200) and scale of the scaled inverse chi-square prior of variance ratios."""
    e = np.log(ratio) - digamma(df / 2) + np.log(df / 2)
    extra = float(e.var(ddof=1) - polygamma(1, df / 2).mean())
    prior_df = min(2 * _trigamma_inverse(extra), 200.0) if extra > 1e-3 else 200.0
    return prior_df, float(np.exp(e.mean() + digamma(prior_df / 2) - np.log(prior_df / 2)))


def _trigamma_inverse(y: float) -> float:
    """x with trigamma(x) = y > 0, by Newton's steps (Smyth 2004, appendix)."""
    x = 0.5 + 1 / y
    for _ in range(50):
        now = float(polygamma(1, x))
        step = now * (1 - now / y) / float(polygamma(2, x))
        x += step
        if abs(step / x) < 1e-8:
            break
    return x
