"""Every constant of performance verdicts, with its default."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import log
from typing import Any

from monitoring_pipeline.alerting.budget import LARGEST_LEVEL
from monitoring_pipeline.monitors.alarms import ContrastAlarms, PerformanceAlarms

DAY = 86_400.0
HOURLY = (1, 3, 24, 168)
CONTRASTS = ("auc", "level", "slope", "bias", "scale", "error")


@dataclass(frozen=True)
class ContrastSettings:
    """``floor``: least effect that may alarm. ``ignored``: change that is nobody's concern; what is tested is the
    excess over it. ``prior_sd``: standard deviation between windows that is assumed where none can be learnt.
    ``least``: what a window must hold to be judged, ``least_reference`` what the reference must (see the contrasts).
    """

    floor: float
    ignored: float
    prior_sd: float
    least: float
    least_reference: float


@dataclass(frozen=True)
class NullSettings:
    """How the variance between windows is learnt (``null.learn``).

    ``least_blocks``: fewer teach nothing. ``short``: fewer blocks than this get ``short_rho`` as least autocorrelation
    and ``short_tail`` as most degrees of freedom of the tail; others ``least_rho`` and ``most_tail``. ``least_tail``:
    fewest degrees of the tail. ``most_pooled`` and ``most_rho``: largest autocorrelation pooled over the contrasts and
    of one contrast. ``least_effective``: fewest effective blocks. ``prior_df``, ``prior_blocks``: degrees of freedom
    and effective blocks of an assumed variance. ``longest_span``: most neighbouring blocks that are merged into one
    until a block holds enough events.
    """

    least_blocks: int = 5
    short: int = 14
    least_rho: float = 0.3
    short_rho: float = 0.6
    most_pooled: float = 0.9
    most_rho: float = 0.95
    least_tail: float = 5.0
    most_tail: float = 20.0
    short_tail: float = 8.0
    least_effective: float = 3.0
    prior_df: float = 4.0
    prior_blocks: float = 5.0
    longest_span: int = 7


@dataclass(frozen=True)
class PerformanceSettings:
    """Contrasts first, each with its floor; their units and what ``least`` counts are in ``scores``, ``errors`` and
    ``predicted``.

    ``horizons``: how many windows are merged, of which the mature ones count. ``windows_a_day``: 24 where windows are
    hours; horizons of a day and more then use the variance between days. ``accept_above``: a window whose own p-value
    (after the correction for contrasts and horizons) is larger may teach what is usual. ``memory`` and
    ``least_learnt``: how many accepted windows teach it, at most and at least. ``relearn``: windows between two such
    lessons. ``notice_z``: standard errors that a reference must be off to be called not calibrated. ``mix_share``: part
    of a fall of the AUC that the window's scores must explain to be called a harder mix. ``missing_share``,
    ``missing_rows``: labels that may be missing in a mature window, as a share of the rarer class, and of all rows in a
    regression; the labelled share is at least ``least_coverage``.
    """

    auc: ContrastSettings = ContrastSettings(floor=0.02, ignored=0.002, prior_sd=0.01, least=10, least_reference=100)
    level: ContrastSettings = ContrastSettings(floor=0.2, ignored=0.02, prior_sd=0.10, least=5, least_reference=50)
    slope: ContrastSettings = ContrastSettings(floor=0.1, ignored=0.01, prior_sd=0.05, least=10, least_reference=100)
    bias: ContrastSettings = ContrastSettings(floor=0.1, ignored=0.01, prior_sd=0.05, least=30, least_reference=100)
    scale: ContrastSettings = ContrastSettings(
        floor=log(1.05), ignored=0.005, prior_sd=0.05, least=30, least_reference=100
    )
    error: ContrastSettings = ContrastSettings(floor=0.2, ignored=0.02, prior_sd=0.10, least=5, least_reference=50)
    horizons: tuple[int, ...] = (1, 2, 7, 28)
    windows_a_day: int = 1
    accept_above: float = 0.25 / 30
    memory: int = 60
    least_learnt: int = 14
    relearn: int = 14
    notice_z: float = 3.0
    mix_share: float = 0.5
    missing_share: float = 0.1
    missing_rows: float = 0.05
    least_coverage: float = 0.0
    null: NullSettings = field(default_factory=NullSettings)

    def __post_init__(self) -> None:
        """Refuse horizons that are not lengths, and an acceptance that would let alarms teach."""
        if not self.horizons or min(self.horizons) < 1 or len(set(self.horizons)) < len(self.horizons):
            raise ValueError(f"horizons: {self.horizons}; write different numbers of windows, each at least 1")
        if not 0 < self.accept_above <= LARGEST_LEVEL:
            raise ValueError(f"accept_above: {self.accept_above}; write a p-value in (0, {LARGEST_LEVEL}]")

    @classmethod
    def declared(cls, alarms: PerformanceAlarms, seconds: float, least_coverage: float = 0.0) -> PerformanceSettings:
        """As ``alarms.performance`` says, for windows of this length."""
        names = ("accept_above", "memory", "least_learnt", "relearn", "mix_share", "missing_share", "missing_rows")
        values: dict[str, Any] = {name: getattr(alarms, name) for name in names}
        values |= {name: _of_contrast(getattr(alarms, name)) for name in CONTRASTS}
        made = cls(least_coverage=least_coverage, **values).for_windows(seconds)
        return made if alarms.horizons is None else replace(made, horizons=alarms.horizons)

    def for_windows(self, seconds: float) -> PerformanceSettings:
        """These settings for windows of this length: hours get the horizons 1, 3, 24 and 168."""
        a_day = max(round(DAY / seconds), 1)
        return self if a_day == 1 else replace(self, horizons=HOURLY, windows_a_day=a_day)


def _of_contrast(declared: ContrastAlarms) -> ContrastSettings:
    return ContrastSettings(**declared.model_dump())
