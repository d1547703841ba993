"""Which contrasts of which windows are beyond the effect floor, and what their p-values are.

A contrast below the floor says nothing (p = 1), so that p-values are computed for the few that are beyond it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from monitoring_pipeline.alerting.drift import p_values
from monitoring_pipeline.alerting.drift.contrasts import OUTSIDE, Basis, Contrasts, Floats, contrasts
from monitoring_pipeline.alerting.drift.null import Null
from monitoring_pipeline.alerting.drift.season import SEASONS, Expected, expected, step, with_blocks
from monitoring_pipeline.alerting.drift.units import Batch
from monitoring_pipeline.alerting.rolling import Counted
from monitoring_pipeline.monitors.alarms import DriftAlarms, SeasonAlarms

Ints = NDArray[np.int64]
Seasonal = tuple[Floats, Floats, Floats, Floats]  # x, sampling, factor, the window's own sampling
CERTAIN = 1e-9  # p-values below are alike when it is said what moved
SHARE, SIGNED, SHAPE = 0, 1, 2  # of what is equally certain, the plainest is named


@dataclass(frozen=True, eq=False)
class Entries:
    """Contrasts beyond the floor, E of them, of one kind: those with a sign, or shapes.

    ``unit``, ``at`` number of the window, ``source`` position in the null's arrays (of the unit, for shapes),
    ``contrast`` position within the unit, ``horizon`` windows merged, ``many`` of them that hold rows; ``x`` what is
    tested (z beyond what is ignored, or squared distance), ``effect`` what is shown, ``sampling`` variance, ``freedom``
    of a shape, ``weight`` of Bonferroni; ``season_x``, ``season_sampling``, ``season_factor`` (0: no season known), and
    ``season_now``, the part of the sampling variance that is the window's own; ``plainness`` for naming it.
    """

    unit: Ints
    at: Ints
    source: Ints
    contrast: Ints
    horizon: Ints
    many: Floats
    x: Floats
    effect: Floats
    sampling: Floats
    freedom: Floats
    weight: Floats
    season_x: Floats
    season_sampling: Floats
    season_factor: Floats
    season_now: Floats
    plainness: Ints

    @classmethod
    def joined(cls, parts: Sequence[Entries]) -> Entries:
        """One after the other."""
        return cls(*(np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(cls)))

    def chosen(self, which: NDArray[np.bool_]) -> Entries:
        """Those that ``which`` (E,) is true of."""
        return Entries(*(getattr(self, f.name)[which] for f in fields(self)))


@dataclass(frozen=True, eq=False)
class Best:
    """(M, T) the least p of each unit and window that counts for an alarm, and what has it; contrast -1: nothing."""

    p_alarm: Floats
    contrast: NDArray[np.int16]
    horizon: NDArray[np.int16]
    effect: Floats


@dataclass(frozen=True, eq=False)
class Candidates:
    """All entries; ``judged`` (M, T) whether enough values, ``season_known`` (M, T), ``n`` (M, T) values
    of ``rows``."""

    signed: Entries
    shapes: Entries
    judged: NDArray[np.bool_]
    season_known: NDArray[np.bool_]
    n: Floats
    rows: Floats

    def between(self, low: int, high: int) -> Candidates:
        """The entries of windows with numbers in [low, high)."""
        signed, shapes = (e.chosen((e.at >= low) & (e.at < high)) for e in (self.signed, self.shapes))
        return Candidates(signed, shapes, self.judged, self.season_known, self.n, self.rows)

    def tested(self, null: Null, n_horizons: int, season_of: SeasonAlarms) -> Tested:
        """The p of every entry, adjusted for its unit's contrasts and the horizons."""
        both = Entries.joined((self.signed, self.shapes))
        many = both.weight * n_horizons
        p = np.concatenate((_signed_p(self.signed, null), _shape_p(self.shapes, null)))
        season = np.concatenate((_signed_season(self.signed, null), _shape_season(self.shapes, null)))
        differs = _expected_to_differ(self.signed, null, season_of.told)
        told = np.concatenate((differs, np.ones(len(self.shapes.unit), bool)))
        new = season <= np.where(told, season_of.confirmed, season_of.untold)
        return Tested(both, np.minimum(p * many, 1), np.minimum(season * many, 1), new)


@dataclass(frozen=True, eq=False)
class Tested:
    """Entries with ``p`` against the reference and ``season`` (E,), both adjusted; ``new`` (E,): earlier weeks do not
    explain the difference."""

    entries: Entries
    p: Floats
    season: Floats
    new: NDArray[np.bool_]

    def least(self, shape: tuple[int, int], low: int) -> Floats:
        """(M, T) the least p against the reference; 1 where no contrast is beyond the floor."""
        found = np.ones(shape)
        np.minimum.at(found, (self.entries.unit, self.entries.at - low), self.p)
        return _stored(found)

    def best(self, shape: tuple[int, int], low: int, standing: NDArray[np.bool_]) -> Best:
        """What alarms first in each unit and window. ``standing`` (M, T): the difference from the reference is an old
        one, so that only the seasonal p speaks of something new."""
        e = self.entries
        old = standing[e.unit, e.at - low] | ~self.new
        alarm = np.where(old, np.maximum(self.p, self.season), self.p)
        best = Best(np.ones(shape), np.full(shape, -1, np.int16), np.zeros(shape, np.int16), np.zeros(shape))
        at = e.unit * shape[1] + e.at - low
        np.minimum.at(best.p_alarm.reshape(-1), at, _stored(alarm))
        certain, sure = np.maximum(alarm, CERTAIN), np.maximum(self.p, CERTAIN)
        order = np.lexsort((e.horizon, e.contrast, -np.abs(e.effect), e.plainness, sure, certain, at))
        first = order[np.unique(at[order], return_index=True)[1]]
        for into, values in (
            (best.contrast, e.contrast), (best.horizon, e.horizon), (best.effect, _stored(e.effect))
        ):  # fmt: skip
            into.reshape(-1)[at[first]] = values[first]
        return best


def candidates(
    batches: Sequence[Batch], bases: Sequence[Basis], alarms: DriftAlarms, horizons: Sequence[int], period: int,
    start: int,
) -> Candidates:  # fmt: skip
    """Of the windows from number ``start`` on, by every horizon."""
    found = []
    unit = source = 0
    reach = max(SEASONS * step(h, period) + h for h in horizons)  # what is further back cannot matter
    for whole, of in zip(batches, bases, strict=True):
        batch = whole.between(max(start - reach, whole.first), whole.first + whole.windows.shape[1])
        found.append(_of_batch(batch, of, alarms, horizons, period, (unit, source, start)))
        unit += len(batch.units)
        source += len(batch.units) * of.n_contrasts
    signed, shapes = (Entries.joined([getattr(one, name) for one in found]) for name in ("signed", "shapes"))
    judged, known, n, rows = (
        np.concatenate([getattr(one, name) for one in found]) for name in ("judged", "season_known", "n", "rows")
    )
    return Candidates(signed, shapes, judged, known, n, rows)


def _of_batch(
    batch: Batch, of: Basis, alarms: DriftAlarms, horizons: Sequence[int], period: int, places: tuple[int, int, int],
) -> Candidates:  # fmt: skip
    """Of one batch. ``places``: of its first unit, of its first contrast, and the number of the first window judged."""
    signed, shapes = [], []
    position = places[2] - batch.first
    stop, filled = batch.windows.shape[1], batch.windows.sum(axis=2) + batch.windows_missing > 0
    at = np.arange(position, stop)
    all_counted = [Counted(counts) for counts in (batch.windows, batch.windows_missing, filled)]
    seasonal = _both(*with_blocks(batch)) if alarms.season else None
    judged = np.zeros((len(batch.units), stop - position), bool)
    known = np.zeros_like(judged)
    newest = contrasts(of, batch.windows[:, position:], batch.windows_missing[:, position:])
    for h in horizons:
        counts, missing, many = (one.last(h, at) for one in all_counted)
        now = contrasts(of, counts, missing)
        after = expected(of, seasonal, h, period, position, stop) if seasonal is not None else None
        here = (now.rows >= alarms.rows) & (of.rows >= alarms.rows)[:, None] & (many >= min(h, 2))
        here &= filled[:, position:]  # a window without rows is not judged by those before it
        judged |= here
        known |= here & after.known if after is not None else False
        shown = np.abs(newest.z) * (np.sign(newest.z) == np.sign(now.z)) >= alarms.echo * np.abs(now.z)
        signed.append(_signed(of, now, after, many, here[:, :, None] & shown, (*places, h), alarms))
        shown = newest.shape >= alarms.echo * now.shape
        shapes.append(_shapes(of, now, after, many, here & shown, (*places, h), alarms))
    n = batch.windows.sum(axis=2)[:, position:]
    rows = n + batch.windows_missing[:, position:]
    return Candidates(Entries.joined(signed), Entries.joined(shapes), judged, known, n, rows)


def _both(counts: Floats, missing: Floats) -> tuple[Counted, Counted]:
    return Counted(counts), Counted(missing)


def _signed(
    of: Basis, now: Contrasts, after: Expected | None, many: Floats, here: NDArray[np.bool_],
    places: tuple[int, int, int, int], alarms: DriftAlarms,
) -> Entries:  # fmt: skip
    unit, source, start, h = places
    share = of.is_share
    floor = np.full(of.n_contrasts, alarms.share)
    if of.kind == "numerical":
        floor[OUTSIDE] = alarms.outside
    sizes = now.sizes()
    beyond = np.where(share, now.change >= floor, np.abs(now.z) >= alarms.shift) & here
    beyond &= sizes >= alarms.rows
    u, t, j = np.nonzero(beyond)
    z = now.z[u, t, j]
    m = np.where(j == of.n_contrasts - 1, of.rows[u], of.m[u])
    tested = np.where(share[j], z, np.sign(z) * np.maximum(np.abs(z) - alarms.ignored_shift, 0))
    season: Seasonal = _nothing(len(u)) if after is None else (
        after.d[u, t, j], after.sampling[u, t, j], np.where(after.known[u, t], after.factor[u, t], 0.0),
        1 / np.maximum(sizes[u, t, j], 1),
    )  # fmt: skip
    return Entries(
        unit + u, start + t, source + u * of.n_contrasts + j, j, np.full(len(u), h), many[u, t],
        tested, z, 1 / np.maximum(sizes[u, t, j], 1) + 1 / np.maximum(m, 1), np.zeros(len(u)), of.weights[j], *season,
        plainness=np.where(share[j], SHARE, SIGNED),
    )  # fmt: skip


def _shapes(
    of: Basis, now: Contrasts, after: Expected | None, many: Floats, here: NDArray[np.bool_],
    places: tuple[int, int, int, int], alarms: DriftAlarms,
) -> Entries:  # fmt: skip
    unit, _, start, h = places
    sampling = 1 / np.maximum(now.n, 1) + (1 / np.maximum(of.m, 1))[:, None]
    effect = np.sqrt(np.maximum(now.shape - of.freedom[:, None] * sampling, 0))
    u, t = np.nonzero((effect >= alarms.shift) & here & (now.n >= alarms.rows) & (of.freedom > 0)[:, None])
    season: Seasonal = _nothing(len(u)) if after is None else (
        after.shape[u, t], after.sampling[u, t, 0], np.where(after.known[u, t], after.factor[u, t], 0.0),
        1 / np.maximum(now.n[u, t], 1),
    )  # fmt: skip
    return Entries(
        unit + u, start + t, unit + u, np.full(len(u), of.n_contrasts), np.full(len(u), h), many[u, t],
        now.shape[u, t], effect[u, t], sampling[u, t], of.freedom[u], np.full(len(u), of.weights[-1]), *season,
        plainness=np.full(len(u), SHAPE),
    )  # fmt: skip


def _nothing(n: int) -> Seasonal:
    return np.zeros(n), np.ones(n), np.zeros(n), np.zeros(n)


def _signed_p(e: Entries, null: Null) -> Floats:
    at = e.source
    nodes = p_values.variance_nodes(null.s2[at], null.noise[at], null.df[at])
    share = p_values.mean_factor(null.rho[at], e.many) + 1 / (null.df[at] + 1)
    return p_values.two_sided(e.x, e.sampling, nodes * share[:, None], null.tail[at])


def _signed_season(e: Entries, null: Null) -> Floats:
    """The seasonal p; 0 where it is not known, so that the other one decides, and 1 where the window lies closer to the
    reference than expected: after a step, the trend of the weeks across it overshoots."""
    at = e.source
    nodes = p_values.variance_nodes(null.season_s2[at], null.noise[at], null.season_df[at])
    between = nodes * (e.season_factor / np.maximum(e.horizon, 1))[:, None]
    p = p_values.two_sided(e.season_x, e.season_sampling, between, null.tail[at])
    p = np.where(np.sign(e.season_x) == np.sign(e.effect), p, 1.0)
    return np.where(e.season_factor > 0, p, 0.0)


def _expected_to_differ(e: Entries, null: Null, told: float) -> NDArray[np.bool_]:
    """Whether what earlier weeks lead to expect differs itself from the reference, to the same side."""
    at = e.source
    factor = np.maximum(e.season_factor - 1, 0) / np.maximum(e.horizon, 1)
    variance = e.season_sampling - e.season_now + np.maximum(null.season_s2[at] - null.noise[at], 0) * factor
    base = (e.effect - e.season_x) * np.sign(e.effect)
    return base >= told * np.sqrt(np.maximum(variance, 0))


def _shape_p(e: Entries, null: Null) -> Floats:
    g = p_values.mean_factor(null.shape_rho[e.source], e.many)
    extra = null.shape[e.source] * (g + 1 / (null.shape_df[e.source] + 1)) + null.ignored**2
    return p_values.of_shape(
        e.x, e.freedom, e.sampling, extra, null.shape_df[e.source], null.shape_var[e.source] * g**2
    )


def _shape_season(e: Entries, null: Null) -> Floats:
    g = e.season_factor / np.maximum(e.horizon, 1)
    p = p_values.of_shape(
        e.season_x, e.freedom, e.season_sampling, null.shape[e.source] * g, null.shape_df[e.source],
        null.shape_var[e.source] * g**2,
    )  # fmt: skip
    return np.where(e.season_factor > 0, p, 0.0)


def _stored(values: Floats) -> Floats:
    """As they are stored: a verdict that rests on earlier ones must not depend on whether those were read back."""
    return values.astype(np.float32).astype(np.float64)
