"""Reads what a backtest replays: stored verdicts and incidents, and the labelled rows of the lake."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta

import pandas as pd
from sqlalchemy import Connection

from monitoring_pipeline import __version__
from monitoring_pipeline.errors import UserError
from monitoring_pipeline.retraining.backtest import Backtest, History, replay
from monitoring_pipeline.retraining.context import RetrainContext
from monitoring_pipeline.retraining.training_set import labelled_rows
from monitoring_pipeline.stages.retrain_facts import Moment, history_facts
from monitoring_pipeline.warehouse import backtest_store, promotions, retrain_facts
from monitoring_pipeline.windows import LENGTH

LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


def backtest(
    ctx: RetrainContext, first: datetime | None = None, last: datetime | None = None, all_promoted: bool = False
) -> Backtest:
    """The policy of ``ctx.monitor`` replayed over the windows of [first, last], whole history when None.

    Writes nothing. See ``retraining.backtest.replay``. Raises UserError without judged windows or labelled rows.
    """
    history = history_of(ctx, first)
    length = LENGTH[ctx.monitor.window]
    begin = first or history.moved[0].window.start
    end = last + length if last else history.moved[-1].window.end
    return replay(history, begin, end, all_promoted=all_promoted)


def keep(ctx: RetrainContext, found: Backtest, policy_name: str, all_promoted: bool = False) -> int:
    """Keeps what a replay of the policy of ``ctx.monitor`` found, for the dashboard and SQL; its number."""
    run = {
        "monitor": ctx.monitor.name, "policy_name": policy_name, "all_promoted": all_promoted,
        "policy": ctx.monitor.retrain.model_dump(mode="json", by_alias=True), "first": found.first, "last": found.last,
        "metric": found.metric, "higher_is_better": found.higher_is_better, "n_retrainings": len(found.retrainings),
        "n_promoted": found.count("promoted"), "minutes": found.minutes, "mean_happened": found.mean("happened"),
        "mean_replayed": found.mean("replayed"), "worst_happened": found.worst("happened"),
        "worst_replayed": found.worst("replayed"), "gain": found.gain, "least_gain": found.least_gain,
        "code_version": __version__,
    }  # fmt: skip
    months = [vars(one) for one in found.months]
    retrainings = [{"position": i, **vars(one)} for i, one in enumerate(found.retrainings)]
    return ctx.warehouse.run(lambda conn: backtest_store.add(conn, run, months, retrainings))


def history_of(ctx: RetrainContext, first: datetime | None = None) -> History:
    """Everything that is stored of the monitor's windows, and every labelled row. Raises UserError without any.

    The champion is the one that served when ``first`` began, or the history: what was promoted since is what happened.
    """
    monitor = ctx.monitor
    begin = first or datetime.combine(monitor.start, time(), UTC)

    def read(conn: Connection) -> tuple:
        newest = retrain_facts.newest_judged(conn, monitor.name, datetime.now(UTC), 1)
        if not newest:
            raise UserError(f"{monitor.name}: no window is judged yet; run `monitoring-pipeline run {monitor.name}`")
        at = Moment(newest[0].window_end, newest[0].window_end)
        return (
            history_facts(conn, monitor, ctx.settings, at, _champion_at(conn, monitor.name, begin)),
            {r.window_start: r.n_rows for r in retrain_facts.label_counts(conn, monitor.name, at.until)},
            {r.incident_id: r.resolved_at for r in retrain_facts.incidents(conn, monitor.name, at.until)},
        )

    facts, n_rows, resolved = ctx.warehouse.run(read)
    known = facts.windows[-1].window.end + monitor.labels.max_delay + timedelta(days=1)
    rows = labelled_rows(ctx, LONG_AGO, known, known)
    if rows.empty or not len(rows[rows["event_time"] >= datetime.combine(monitor.start, time(), UTC)]):
        raise UserError(f"{monitor.name}: the lake holds no labelled rows, so there is nothing to learn from")
    return History(
        monitor, facts.windows, facts.incidents, {k: v for k, v in resolved.items() if v is not None},
        facts.performance, n_rows, facts.champion, facts.n_reference, _by_time(rows),
    )  # fmt: skip


def _champion_at(conn: Connection, monitor: str, moment: datetime) -> str | None:
    """Of a monitor whose champion changed, the one before the first change after ``moment``; else None."""
    changes = promotions.replacements(conn, monitor)
    later = [before for before, _, at in changes if at > moment]
    if later:
        return later[0]
    return changes[-1][1] if changes else None


def _by_time(rows: pd.DataFrame) -> pd.DataFrame:
    """In the order of event time, rows without one last."""
    return rows.sort_values("event_time", kind="stable", na_position="last").reset_index(drop=True)
