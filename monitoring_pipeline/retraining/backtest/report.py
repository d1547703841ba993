"""What a backtest found."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class Retraining:
    """One retraining of the replay. ``seconds`` it trained; ``ended``: when it was decided on."""

    as_of: datetime
    trigger: str
    reason: str
    n_rows: int
    seconds: float
    outcome: str
    ended: datetime
    why: str


@dataclass(frozen=True)
class Month:
    """The metric of a calendar month (UTC): as it happened, and under the policy; NaN where it is undefined."""

    month: datetime
    n: int
    happened: float
    replayed: float


@dataclass(frozen=True)
class Backtest:
    """``gain`` is turned so that positive is better. ``waits``: looks that did not retrain, by guard or ``nothing``."""

    metric: str
    higher_is_better: bool
    first: datetime
    last: datetime
    months: tuple[Month, ...]
    retrainings: tuple[Retraining, ...]
    waits: dict[str, int]

    @property
    def minutes(self) -> float:
        """Training time of all retrainings."""
        return sum(one.seconds for one in self.retrainings) / 60

    @property
    def known(self) -> tuple[Month, ...]:
        """Months with both values."""
        return tuple(one for one in self.months if one.happened == one.happened and one.replayed == one.replayed)

    @property
    def sign(self) -> float:
        """1 where more is better, else -1."""
        return 1.0 if self.higher_is_better else -1.0

    def mean(self, name: str) -> float:
        """Mean over the months of ``happened`` or ``replayed``."""
        values = [getattr(one, name) for one in self.known]
        return sum(values) / len(values) if values else float("nan")

    def worst(self, name: str) -> float:
        """Value of the worst month."""
        values = [getattr(one, name) for one in self.known]
        return (min(values) if self.higher_is_better else max(values)) if values else float("nan")

    @property
    def gain(self) -> float:
        """Mean gain over the months."""
        return self.sign * (self.mean("replayed") - self.mean("happened"))

    @property
    def least_gain(self) -> float:
        """Gain of the month that gained least."""
        return min((self.sign * (one.replayed - one.happened) for one in self.known), default=float("nan"))

    def count(self, outcome: str) -> int:
        """Retrainings that ended so."""
        return sum(one.outcome == outcome for one in self.retrainings)
