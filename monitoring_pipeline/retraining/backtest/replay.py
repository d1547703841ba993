"""The replay: each judged window is a look of the policy; what it retrains serves the rows that follow."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from monitoring_pipeline.errors import RetrainError, UserError
from monitoring_pipeline.metrics.performance import higher_is_better
from monitoring_pipeline.retraining.backtest.challenger import (
    TRAILING,
    Challenger,
    Fits,
    Line,
    challenger,
    fit_with_trainer,
    line_of,
)
from monitoring_pipeline.retraining.backtest.history import History
from monitoring_pipeline.retraining.backtest.report import Backtest, Month, Retraining
from monitoring_pipeline.retraining.comparison import compare
from monitoring_pipeline.retraining.judged_rows import paired
from monitoring_pipeline.retraining.measuring import metric_of, value_of
from monitoring_pipeline.retraining.policy import Decision, Facts, decide
from monitoring_pipeline.retraining.policy.facts import ChampionFact, OpenAttempt, PastRetraining, PerformanceWindow
from monitoring_pipeline.retraining.policy.rows import shadow_first, training_window
from monitoring_pipeline.windows import Window

LEAST_ROWS = 500  # of a trailing week that an imagined champion is judged on
OUTCOMES = {"promote": "promoted", "kept": "kept", "inconclusive": "inconclusive"}


def replay(
    history: History, first: datetime, last: datetime, fits: Fits = fit_with_trainer, all_promoted: bool = False
) -> Backtest:
    """Looks at each judged window that ends in (first, last] with the policy of ``history.monitor``.

    ``all_promoted``: what the triggers alone are worth. Every challenger is fitted on all that was known, and promoted
    at once, without a comparison. Raises UserError when no window was judged in the range.
    """
    run = _Run(history, fits, all_promoted)
    windows = [one.window for one in history.moved if first < one.window.end <= last]
    if not windows:
        raise UserError(f"{history.monitor.name}: no window between {first:%Y-%m-%d} and {last:%Y-%m-%d} is judged")
    for window in windows:
        run.look(window.end)
    metric = metric_of(history.monitor)
    return Backtest(
        metric, higher_is_better(metric) is not False, windows[0].start, windows[-1].end,
        tuple(run.months(windows[0].start, windows[-1].end)), tuple(run.done), dict(run.waits),
    )  # fmt: skip


@dataclass
class _Open:
    """A challenger that waits for the windows of its shadow."""

    decision: Decision
    number: int
    as_of: datetime
    until: datetime
    made: Challenger


@dataclass
class _Run:
    history: History
    fits: Fits
    all_promoted: bool
    champion: ChampionFact | None = None
    model: Challenger | None = None
    line: Line | None = None
    since: datetime | None = None
    waiting: _Open | None = None
    past: list[PastRetraining] = field(default_factory=list)
    used: set[str] = field(default_factory=set)
    done: list[Retraining] = field(default_factory=list)
    waits: Counter[str] = field(default_factory=Counter)
    judged: dict[datetime, PerformanceWindow] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.policy, self.monitor = self.history.monitor.retrain, self.history.monitor
        self.metric = metric_of(self.monitor)
        self.champion = self.history.champion
        self.happened = _as_logged(self.history.rows)
        self.served = self.happened.copy()
        self.days = self.history.rows["event_time"].dt.date

    # -- a look ----------------------------------------------------------------------------------------------------

    def look(self, now: datetime) -> None:
        """One evaluation, after a shadow that has ended was compared."""
        facts = self._facts(now)
        mature = [one for one in facts.labels if one.mature]
        if self.waiting and mature and mature[-1].window.end >= self.waiting.until:
            self._compare(self.waiting, self.waiting.until, now, shadow=True)
            facts = self._facts(now)
        decision = decide(self.policy, facts, now)
        if decision.answer == "retrain":
            self._retrain(decision, facts, now)
        else:
            self.waits[decision.held[0].guard if decision.held else "nothing"] += 1

    def _facts(self, now: datetime) -> Facts:
        facts = self.history.facts_at(now)
        waiting = self.waiting
        attempt = OpenAttempt(waiting.number, "shadowing", waiting.as_of) if waiting else None
        facts = replace(
            facts,
            champion=self.champion,
            retrainings=tuple(self.past),
            used=frozenset(self.used),
            attempt=attempt,
        )
        if self.model is None or self.since is None:
            return facts
        since = self.since
        fresh = tuple(one for one in facts.incidents if one.first >= since)
        windows = [one.window for one in facts.labels if one.mature and one.window.start >= since]
        judged = tuple(one for one in (self._judge(window) for window in windows) if one is not None)
        return replace(facts, incidents=fresh, performance=judged)

    def _judge(self, window: Window) -> PerformanceWindow | None:
        """The imagined champion over the week that ends with a mature window; None where too few rows tell."""
        if window.start not in self.judged:
            assert self.model is not None and self.since is not None
            rows = self.history.between(max(window.end - TRAILING, self.since), window.end)
            if self.line is None or rows.stop - rows.start < LEAST_ROWS:
                return None
            value = self._value(self.model.said, np.arange(rows.start, rows.stop))
            below = self.line.value - self._turned(value)
            self.judged[window.start] = PerformanceWindow(
                window, "realized", self.metric, below > 0, True, value, below
            )
        return self.judged[window.start]

    # -- a retraining ----------------------------------------------------------------------------------------------

    def _retrain(self, decision: Decision, facts: Facts, now: datetime) -> None:
        self.used |= set(decision.keys)
        number = len(self.past)
        self.past.append(PastRetraining(number, now, decision.trigger, None))
        newest = max((one.window.end for one in facts.labels if one.mature), default=now)
        span = training_window(self.policy, decision.trigger, newest, decision.since)
        if self.all_promoted and self.policy.training.window in ("expanding", "sliding"):
            span = (None if span[0] is None else newest - self.policy.train_on, newest)
        try:
            made = challenger(self.history, now, span, self.fits)
        except RetrainError as error:
            self._end(_Open(decision, number, now, now, _nothing(now)), "failed", now, str(error))
            return
        begun = _Open(decision, number, now, now + self.policy.promote.shadow_for, made)
        if self.all_promoted:
            self._end(begun, "promoted", now, "taken as promoted")
        elif shadow_first(self.policy, decision.trigger):
            self.waiting = begun
        else:
            self._compare(begun, newest, now, shadow=False)

    def _compare(self, of: _Open, end: datetime, now: datetime, shadow: bool) -> None:
        """Champion against challenger on the newest rows that neither was fitted on and whose labels are known."""
        cut = self.champion.cut if self.champion else None
        trained = [one for one in (of.made.train_end, self.model.train_end if self.model else cut) if one is not None]
        rows = self.history.between(
            max([(of.as_of if shadow else end) - self.policy.promote.compare_on, *trained]), end
        )
        at = np.arange(rows.start, rows.stop)
        at = at[self.history.before(now)[at] & self._answered(at)]
        frame = self.history.rows.iloc[at].reset_index(drop=True)
        champion = (self.model.said if self.model else self.happened).iloc[at].reset_index(drop=True)
        if frame.empty:
            self._end(of, "inconclusive", now, "no labelled row that neither model was trained on")
            return
        answered = of.made.said.iloc[at].reset_index(drop=True)
        found = compare(
            paired(self.monitor, frame, champion, answered), self.metric, self.policy.promote,
            self.policy.min_improvement, shadow,
        )  # fmt: skip
        self._end(of, OUTCOMES[found.outcome], now, found.reason)

    def _end(self, of: _Open, outcome: str, now: datetime, why: str) -> None:
        made, self.waiting = of.made, None
        ended = replace(self.past[of.number], outcome=outcome, minutes=made.seconds / 60)
        self.past[of.number] = ended
        said = Retraining(
            of.as_of, of.decision.trigger, of.decision.reason, made.n_rows, made.seconds, outcome, now, why
        )
        self.done.append(said)
        if outcome == "promoted":
            self.champion = ChampionFact(f"{of.as_of:%Y-%m-%d}", of.as_of, made.n_rows)
            self.model, self.since, self.judged = made, now, {}
            self.line = line_of(made, lambda at: self._turned(self._value(made.said, at)), self.days)
            later = self.history.between(now, datetime.max.replace(tzinfo=now.tzinfo))
            self.served.iloc[later] = made.said[self.served.columns].iloc[later].to_numpy()

    # -- metrics ---------------------------------------------------------------------------------------------------

    def months(self, first: datetime, last: datetime) -> list[Month]:
        """Each calendar month of the range, on the rows that were answered both ways."""
        found, start = [], first.replace(day=1, hour=0, minute=0)
        while start < last:
            end = (start + timedelta(days=32)).replace(day=1)
            rows = self.history.between(max(start, first), min(end, last))
            at = np.arange(rows.start, rows.stop)
            at = at[self._answered(at)]
            found.append(Month(start, len(at), self._value(self.happened, at), self._value(self.served, at)))
            start = end
        return found

    def _answered(self, at: NDArray[np.intp]) -> NDArray[np.bool_]:
        """Rows whose logged prediction is whole."""
        answered: NDArray[np.bool_] = self.happened.iloc[at].notna().all(axis=1).to_numpy()
        return answered

    def _value(self, said: pd.DataFrame, at: NDArray[np.intp]) -> float:
        """The metric of some rows; NaN where it is undefined."""
        outcome, some = self.history.rows["outcome"].iloc[at], said.iloc[at]
        try:
            return value_of(self.monitor, self._classes, outcome, some, self.metric)[0] if len(at) else float("nan")
        except RetrainError:
            return float("nan")

    def _turned(self, value: float) -> float:
        return value if higher_is_better(self.metric) is not False else -value

    @property
    def _classes(self) -> tuple[str, ...]:
        if self.monitor.task == "binary":
            return ("0", self.monitor.schema_.positive_class)
        if self.monitor.task == "regression":
            return ()
        return tuple(sorted({str(one) for one in self.history.rows["outcome"].unique()}))


def _as_logged(rows: pd.DataFrame) -> pd.DataFrame:
    """What the service answered, under the names of ``scoring.outputs``."""
    names = [c for c in rows if c in ("prediction", "score") or str(c).startswith("score[")]
    said = rows[names].copy()
    if "prediction" not in said and "score" in said:
        said["prediction"] = (said["score"] >= 0.5).astype(float).where(said["score"].notna())
    return said


def _nothing(now: datetime) -> Challenger:
    return Challenger(now, now, 0, 0.0, pd.DataFrame(), np.empty(0, np.intp))
