"""The year of 2013 with retraining on: replayed two weeks at a time, each answered by the champion of its time.

``python -m monitoring_pipeline.cli.demo_retraining FIRST END`` is run by ``demo`` beside the other monitors.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING

import typer

from monitoring_pipeline.cli.environment import dagster_environment
from monitoring_pipeline.errors import UserError
from monitoring_pipeline.settings import Settings

if TYPE_CHECKING:
    from monitoring_pipeline.demo.retrained import Scorer, Served
    from monitoring_pipeline.demo.retraining_report import RetrainingReport
    from monitoring_pipeline.monitors import Monitor
    from monitoring_pipeline.retraining.context import RetrainContext
    from monitoring_pipeline.warehouse.attempt_store import PromotionRow
    from monitoring_pipeline.warehouse.database import Warehouse

LATE_DAYS = 3
"""Rows and labels of so many days before reach their files later; their windows are looked at again."""


def retrained_monitor() -> Monitor:
    """As shipped."""
    from monitoring_pipeline.demo.retrained import NAME
    from monitoring_pipeline.monitors.loading import load_monitor
    from monitoring_pipeline.resources import data_dir

    return load_monitor(data_dir("monitors") / f"{NAME}.yaml")


def replay(settings: Settings, first: date, end: date) -> None:
    """Goes on from the last evaluation that is kept; then replays another policy over the same days. Dagster is told of
    all windows at the end, in one run.

    Raises UserError when a window cannot be computed.
    """
    from monitoring_pipeline.cli.demo_backtest import policy_file, replay_policy
    from monitoring_pipeline.cli.run import progress_bar, run_range
    from monitoring_pipeline.demo.retrained import evaluation_days, write_until
    from monitoring_pipeline.retraining.context import RetrainContext
    from monitoring_pipeline.windows import Window

    with dagster_environment(settings) as warehouse:
        ctx = RetrainContext(retrained_monitor(), warehouse, settings, run_id="demo")
        days = evaluation_days(first, end)
        done = _evaluated(ctx)
        scorers: dict[str, Scorer] = {}
        served = _served(ctx, first, days, scorers)
        for day in days:
            write_until(settings.home, day, served)
            if done is not None and _midnight(day) <= done:
                continue
            _compute(ctx, max(first, _before(days, day, first) - timedelta(days=LATE_DAYS)), day)
            _decide(ctx, day)
            served = _served(ctx, first, days, scorers)
        replay_policy(ctx, policy_file(), _midnight(end))
        last = Window.at(_midnight(end - timedelta(days=1)), ctx.monitor.window)
        with progress_bar():
            failed = run_range(ctx.monitor, Window.at(_midnight(first), ctx.monitor.window), last)
    if failed:
        raise UserError(f"{ctx.monitor.name}: {failed}")


def _before(days: Sequence[date], day: date, first: date) -> date:
    return max((one for one in days if one < day), default=first)


def _compute(ctx: RetrainContext, first: date, until: date) -> None:
    """All stages of the windows of these days, ``until`` excluded."""
    from monitoring_pipeline.stages.catalogue import STAGES
    from monitoring_pipeline.stages.context import StageContext
    from monitoring_pipeline.stages.reference import profile_reference
    from monitoring_pipeline.stages.working import work
    from monitoring_pipeline.windows import Window

    stages = StageContext(ctx.monitor, ctx.warehouse, ctx.settings, ctx.run_id)
    profile_reference(stages)
    days = [first + timedelta(days=n) for n in range((until - first).days)]
    windows = [Window.at(_midnight(day), ctx.monitor.window) for day in days]
    for stage in STAGES:
        if failed := [one.error for one in work(stage, stages, windows) if one.failed]:
            raise UserError(f"{ctx.monitor.name}, {stage.name}: {failed[0]}")


def _decide(ctx: RetrainContext, day: date) -> None:
    """The policy as of this day, and whatever it asks for."""
    from monitoring_pipeline.stages.retrain_decisions import evaluate
    from monitoring_pipeline.stages.retraining import carry_out

    decision = evaluate(ctx, as_of=_midnight(day))
    attempt = carry_out(ctx, now=_midnight(day))
    if decision.decision == "retrain" and attempt is not None:
        typer.echo(f"{ctx.monitor.name} {day}: {attempt.challenger_version} {attempt.state}", err=True)


def _evaluated(ctx: RetrainContext) -> datetime | None:
    from monitoring_pipeline.warehouse import retrain_decisions

    rows = ctx.warehouse.run(lambda conn: retrain_decisions.decisions(conn, ctx.monitor.name))
    return max((row.as_of for row in rows), default=None)


def _served(ctx: RetrainContext, first: date, days: Sequence[date], scorers: dict[str, Scorer]) -> list[Served]:
    """Which version answered from when on: a promotion is known to the service on the day it was decided.

    ``scorers``: of the versions loaded so far.
    """
    from monitoring_pipeline.demo.retrained import Served
    from monitoring_pipeline.warehouse import attempt_store

    rows = ctx.warehouse.run(lambda conn: attempt_store.promotions(conn, ctx.monitor.name))
    found = [Served(_midnight(first), "", None)]
    for row in (row for row in rows if row.kind != "first"):
        if row.model_version not in scorers:
            scorers[row.model_version] = _scorer(ctx, row)
        found.append(Served(_taken_over(row, days), row.model_version, scorers[row.model_version]))
    return found


def _taken_over(row: PromotionRow, days: Sequence[date]) -> datetime:
    """A shadow is decided on once its last windows are mature: on the evaluation day after."""
    as_of = row.as_of or row.at
    return min((_midnight(day) for day in days if _midnight(day) >= as_of), default=as_of)


def _scorer(ctx: RetrainContext, row: PromotionRow) -> Scorer:
    from monitoring_pipeline.retraining import artifacts, scoring

    model = artifacts.load(ctx, row.model_version)
    return lambda rows: scoring.outputs(model, rows, ctx.monitor)


def retraining_report(settings: Settings, warehouse: Warehouse) -> RetrainingReport:
    """What the policy did and what came of it, from the rows; AUC of the same flights from the two logs."""
    from monitoring_pipeline.cli.demo_backtest import POLICY
    from monitoring_pipeline.demo.retrained import NAME, by_month
    from monitoring_pipeline.demo.retraining_report import Retraining, RetrainingReport
    from monitoring_pipeline.warehouse import attempt_store, backtest_store, model_versions, retrain_decisions

    with warehouse.transaction() as conn:
        replayed = backtest_store.newest(conn, NAME, POLICY)
        decisions = retrain_decisions.decisions(conn, NAME)
        reasons = attempt_store.reasons(conn, NAME)
        versions = model_versions.model_versions(conn, NAME)
    asked = [row for row in decisions if row.decision == "retrain"]
    return RetrainingReport(
        monitor=NAME,
        n_evaluations=sum(row.n_evaluations for row in decisions),
        retrainings=[
            Retraining(
                row.as_of.date(), row.trigger, row.reason, row.challenger_version or "-", row.outcome or "waits",
                reasons.get(row.challenger_version or "", ""),
            )
            for row in sorted(asked, key=lambda row: row.as_of)
        ],
        training_seconds=sum(version.duration_seconds or 0.0 for version in versions.values()),
        months=by_month(settings.home),
        replayed=replayed,
    )  # fmt: skip


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


if __name__ == "__main__":
    try:
        replay(Settings(), date.fromisoformat(sys.argv[1]), date.fromisoformat(sys.argv[2]))
    except UserError as error:
        typer.secho(str(error), fg="red", err=True)
        sys.exit(1)
