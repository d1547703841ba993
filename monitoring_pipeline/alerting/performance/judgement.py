"""Windows' evidence to p-values and verdicts: a fold over a history of windows in order of time.

Everything about window t follows from the evidence up to t, so that windows judged one by one, as a range or again get
the same answer; nothing is remembered but the rows. Lessons from accepted windows are drawn at fixed positions on the
calendar (``origin``), so that a longer history does not move them. What lessons need of a window is its state
(``Tests.state``); given the states of all windows before the first one that is to be judged, no more evidence is needed
than that of the longest merge.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from monitoring_pipeline.alerting.budget import Floats, benjamini_hochberg
from monitoring_pipeline.alerting.performance.calibration import Calibration
from monitoring_pipeline.alerting.performance.contrasts import Contrasts, each, stack
from monitoring_pipeline.alerting.performance.null import Null, learn
from monitoring_pipeline.alerting.performance.settings import PerformanceSettings
from monitoring_pipeline.alerting.rolling import rolling
from monitoring_pipeline.alerting.status import Flags, Texts, statuses

IMMATURE = "labels are not complete yet"
NO_LABELS = "no labelled rows"
SMALL_REFERENCE = "the reference holds too few of the rarer class"
SMALL_WINDOW = "the window holds too few of the rarer class"
DECLARED = "judged by a declared threshold"
UNCOVERED = "labels are missing: a change of level may be theirs"
TEXT = "<U80"


@dataclass(frozen=True)
class Tests:
    """S series by T windows, before the family of each window is corrected for.

    ``p`` (S, T) corrected for contrasts and horizons, NaN where not judged, with the ``reason`` (else empty).
    ``by_contrast`` and ``effect`` (S, T, H, J): p-values and contrasts of each horizon; p is NaN where not judged and
    1 below the effect floor. ``tried`` (S,) tests corrected for. ``horizon`` and ``contrast`` (S, T): positions of the
    smallest p. ``source`` (S, T) of the null. ``untrusted`` (S, T): the level moved while labels were missing.
    ``state`` (S, T, 1 + 2 J): whether the window may teach (0 or 1), its contrasts and their variances.
    """

    names: tuple[str, ...]
    horizons: tuple[int, ...]
    p: Floats
    by_contrast: Floats
    effect: Floats
    tried: NDArray[np.intp]
    horizon: NDArray[np.intp]
    contrast: NDArray[np.intp]
    source: Texts
    reason: Texts
    untrusted: Flags
    state: Floats


@dataclass(frozen=True)
class Verdicts:
    """S series by T windows, all (S, T): ``status``, ``q``, ``p``; what moved most (``contrast``), over how many merged
    windows (``horizon``) and by how much (``effect``, NaN where not judged); ``source`` of the null; ``reason`` of what
    was not judged or is a notice."""

    status: Texts
    q: Floats
    p: Floats
    contrast: Texts
    horizon: NDArray[np.intp]
    effect: Floats
    source: Texts
    reason: Texts


def judge(
    calibration: Calibration,
    evidence: Floats,
    mature: Flags,
    settings: PerformanceSettings,
    *,
    uncovered: Flags | None = None,
    declared: Collection[str] = (),
    origin: int = 0,
    first: int = 0,
    before: Floats | None = None,
) -> Tests:
    """Tests of S series over the T windows of a history, in order and without gaps (a window without rows is zeros).

    ``evidence`` (S, T, D), ``mature`` (S, T): others are not judged and left out of every merge. ``uncovered`` (S, T):
    windows whose coverage alarms. ``declared``: contrasts that a declared threshold judges. ``origin``: number of the
    first window since any fixed time. ``first``: position of the first window to judge; those before it are only
    merged. ``before`` (S, R, 1 + 2 J): states of all windows before that one, R at least ``first``. Raises ValueError
    when shapes do not fit.
    """
    if evidence.shape[:2] != mature.shape or len(evidence) != len(calibration):
        raise ValueError(f"evidence {evidence.shape}, maturity {mature.shape}, {len(calibration)} calibrations")
    family = calibration.family
    allowed = family.able & ~np.isin(family.names, list(declared))
    evidence = np.where(mature[..., None], evidence, 0.0)
    merges = [_merge(calibration, evidence, mature, h, allowed, settings) for h in settings.horizons]
    states = np.zeros((len(mature), 0, 1 + 2 * len(family.names))) if before is None else before
    if first > states.shape[1]:
        raise ValueError(f"states of {states.shape[1]} windows before window {first}")
    fold = _Fold(calibration, merges, allowed, settings, origin, first, states)
    by_contrast, source, state = fold.run(mature.shape)
    tried = allowed.sum(1) * len(settings.horizons)
    tested = np.where(np.isnan(by_contrast), np.inf, by_contrast).reshape(*mature.shape, -1)
    p = simes(tested, tried[:, None])
    horizon, contrast = np.divmod(tested.argmin(-1), len(family.names))
    tests = Tests(
        family.names, settings.horizons, p, by_contrast, np.stack([m.found.value for m in merges], 2), tried, horizon,
        contrast, source, _reasons(p, evidence, mature, family.able, allowed), np.zeros(mature.shape, bool), state,
    )  # fmt: skip
    return tests if uncovered is None else replace(tests, untrusted=_untrusted(tests, uncovered))


def simes(p: Floats, tried: NDArray[np.intp]) -> Floats:
    """One p-value (...) of (..., M) p-values of the same windows, min over i of tried p_(i) / i (Simes, Biometrika 73,
    1986); inf marks those that are not there, and where none is the result is NaN.

    Never larger than Bonferroni's tried p_(1): where a model changes, several contrasts and horizons show it.

    >>> simes(np.array([0.01, 0.012, 0.5, np.inf]), np.array(4)).item()
    0.024
    """
    least = (np.sort(p, axis=-1) / np.arange(1, p.shape[-1] + 1)).min(-1)
    return np.minimum(np.where(np.isinf(least), np.nan, least) * tried, 1.0)


def decide(tests: Sequence[Tests], level: float) -> list[Verdicts]:
    """Verdicts of everything that is judged in the same windows: all series of all ``tests`` are one family a window,
    corrected by Benjamini and Hochberg and judged at ``level`` (``budget.levels``)."""
    if not tests:
        return []
    q = benjamini_hochberg(np.concatenate([t.p for t in tests]).T).T
    cuts = np.cumsum([len(t.p) for t in tests])[:-1]
    return [_verdicts(t, part, level) for t, part in zip(tests, np.split(q, cuts), strict=True)]


@dataclass(frozen=True)
class _Merge:
    """One horizon: contrasts (S, T, J), where they are ``judged`` and ``large`` enough, and ``windows`` (S, T), of how
    many windows they are a mean in effect."""

    found: Contrasts
    judged: Flags
    large: Flags
    windows: Floats


def _merge(
    c: Calibration, evidence: Floats, mature: Flags, h: int, allowed: Flags, settings: PerformanceSettings
) -> _Merge:
    """The last h windows, as far as they are mature. Where one window holds most of the rows, the merge varies as few
    windows do: in effect it is (Σ n)² / Σ n² windows."""
    found = c.family.contrasts(rolling(evidence, h), settings)
    n = c.family.rows(evidence)
    held = rolling((n > 0).astype(float), h)
    windows = np.maximum(rolling(n, h) ** 2 / np.maximum(rolling(n * n, h), 1e-9), 1.0)
    judged = found.usable & allowed[:, None] & (mature & (held >= min(h, 2)))[..., None]
    floors = np.array([one.floor for one in each(c.family, settings)])
    return _Merge(found, judged, np.abs(found.value) >= floors, windows)


@dataclass(frozen=True)
class _Fold:
    """Windows from position ``first`` on, lesson by lesson; ``before``: states of all windows before it."""

    calibration: Calibration
    merges: list[_Merge]
    allowed: Flags
    settings: PerformanceSettings
    origin: int
    first: int
    before: Floats

    def run(self, shape: tuple[int, int]) -> tuple[Floats, Texts, Floats]:
        """p by horizon and contrast (S, T, H, J), the source of each window's null, and its state."""
        c, merges, allowed, settings = self.calibration, self.merges, self.allowed, self.settings
        series, windows = shape
        tried = np.maximum(allowed.sum(1) * len(merges), 1)
        p = np.full((series, windows, len(merges), len(c.family.names)), np.nan)
        source = np.zeros((series, windows), "<U16")
        earlier = self.before.shape[1] - self.first  # windows before position 0
        state = np.zeros((series, earlier + windows, self.before.shape[2]))
        state[:, : self.before.shape[1]] = self.before
        found = merges[0].found
        state[:, earlier + self.first :, 1:] = np.concatenate((found.value, found.variance), -1)[:, self.first :]
        for lesson in _lessons(windows, settings.relearn, self.origin):
            chunk = slice(max(lesson.start, self.first), lesson.stop)
            if chunk.start >= chunk.stop:
                continue
            begun = lesson.start or -(self.origin % settings.relearn)  # the first one may have begun before position 0
            null = _null(c, state[:, : max(earlier + begun, 0)], allowed, settings)
            p[:, chunk] = _p_values(c, null, merges, chunk, settings)
            source[:, chunk] = np.array(null.source)[:, None]
            whole = np.all(merges[0].judged[:, chunk] | ~allowed[:, None], axis=-1) & allowed.any(axis=1, keepdims=True)
            least = np.where(np.isnan(p[:, chunk]), 1.0, p[:, chunk]).min((2, 3))
            accepted = whole & (least * tried[:, None] > settings.accept_above)
            state[:, earlier + chunk.start : earlier + chunk.stop, 0] = accepted
        return p, source, state[:, earlier:]


def _lessons(windows: int, every: int, origin: int) -> list[slice]:
    """Stretches of windows between two lessons, which are at multiples of ``every`` counted from ``origin`` = 0."""
    first = every - origin % every
    cuts = [0, *range(first, windows, every), windows]
    return [slice(lo, hi) for lo, hi in pairwise(cuts) if hi > lo]


def _p_values(c: Calibration, null: Null, merges: list[_Merge], chunk: slice, settings: PerformanceSettings) -> Floats:
    """(S, len(chunk), H, J)."""
    ignored = np.array([one.ignored for one in each(c.family, settings)])
    found = []
    for h, m in zip(settings.horizons, merges, strict=True):
        use = _choose(c.by_day, c.daily, null) if settings.windows_a_day > 1 and h >= settings.windows_a_day else null
        value = m.found.value[:, chunk]
        excess = np.sign(value) * np.maximum(np.abs(value) - ignored, 0.0)
        variance = m.found.variance[:, chunk] + c.family.reference_variance[:, None]
        p = use.p(excess, variance, m.windows[:, chunk], c.family.sides)
        found.append(np.where(m.judged[:, chunk], np.where(m.large[:, chunk], p, 1.0), np.nan))
    return np.stack(found, axis=2)


def _null(c: Calibration, states: Floats, allowed: Flags, settings: PerformanceSettings) -> Null:
    """The reference's null; for a series whose accepted windows tell more, theirs: where the reference could teach
    none or merged blocks only, or its blocks were more than twice as noisy."""
    priors = np.array([one.prior_sd for one in each(c.family, settings)])
    learnt: list[Null] = []
    better = np.zeros(len(c), bool)
    for s in range(len(c)):
        taught = states[s, np.flatnonzero(states[s, :, 0])[-settings.memory :], 1:]
        value, variance = (np.ascontiguousarray(part) for part in np.split(taught, 2, axis=1))
        if len(taught) >= settings.least_learnt:
            calm = variance.mean(0) < c.null.noise[s] / 2
            weak = c.null.source[s] == "provisional" or c.null.span[s] > 1
            better[s] = weak or bool((calm | ~allowed[s]).all())
        learnt.append(learn(value, variance, priors, settings.null, learnt=True) if better[s] else _one(c.null, s))
    return stack(learnt)


def _one(null: Null, s: int) -> Null:
    at = slice(s, s + 1)
    return Null(
        null.variance[at], null.noise[at], null.df[at], null.rho[at], null.blocks[at], null.tail[at], null.span[at],
        null.source[at],
    )  # fmt: skip


def _choose(first: Flags, a: Null, b: Null) -> Null:
    """a where ``first`` (S,), else b."""
    return stack([_one(a if use else b, s) for s, use in enumerate(first)])


def _reasons(p: Floats, evidence: Floats, mature: Flags, able: Flags, allowed: Flags) -> Texts:
    """Why a window is not judged, empty where it is."""
    found = np.full(p.shape, SMALL_WINDOW, TEXT)
    found[~evidence.any(-1)] = NO_LABELS
    found[~mature] = IMMATURE
    found[~allowed.any(1)] = DECLARED
    found[~able.any(1)] = SMALL_REFERENCE
    found[~np.isnan(p)] = ""
    return found


def _untrusted(tests: Tests, uncovered: Flags) -> Flags:
    """Where the level moved most, over windows of which one is uncovered."""
    if "level" not in tests.names:
        return np.zeros(tests.p.shape, bool)
    recent = np.stack([rolling(uncovered.astype(float), h) > 0 for h in tests.horizons], axis=-1)
    touched = np.take_along_axis(recent, tests.horizon[..., None], -1)[..., 0]
    return touched & (tests.contrast == tests.names.index("level"))


def _verdicts(tests: Tests, q: Floats, level: float) -> Verdicts:
    status = statuses(q, level, tests.untrusted)
    at = tests.horizon[..., None, None]
    effect = np.take_along_axis(np.take_along_axis(tests.effect, at, 2)[:, :, 0], tests.contrast[..., None], -1)[..., 0]
    return Verdicts(
        status, q, tests.p, np.array(tests.names)[tests.contrast], np.array(tests.horizons)[tests.horizon],
        np.where(np.isnan(q), np.nan, effect), tests.source, np.where(status == "notice", UNCOVERED, tests.reason),
    )  # fmt: skip
