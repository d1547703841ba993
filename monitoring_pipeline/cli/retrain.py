"""``retrain``: a challenger on demand, trained, compared and promoted or not, in this process."""

from __future__ import annotations

import uuid
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from monitoring_pipeline.cli.environment import monitor_named, open_warehouse
from monitoring_pipeline.cli.output import JsonOption, print_json, wants_json
from monitoring_pipeline.errors import UserError
from monitoring_pipeline.settings import Settings

if TYPE_CHECKING:
    from monitoring_pipeline.monitors import Monitor
    from monitoring_pipeline.retraining.context import RetrainContext
    from monitoring_pipeline.warehouse.attempt_store import AttemptRow
    from monitoring_pipeline.warehouse.retrain_decisions import DecisionRow

CAME_OF_IT = {
    "promoted": "is the new champion",
    "kept": "is not better enough, and the champion stays",
    "inconclusive": "could not be compared, and the champion stays",
    "failed": "could not be made, and the champion stays",
    "shadowing": "is trained and scores the windows that follow before it is compared",
}


def retrain(
    name: Annotated[str, typer.Argument(help="Name of the monitor.")],
    as_of: Annotated[
        datetime | None,
        typer.Option(
            "--as-of",
            formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M"],
            help="Train on what was known at this moment, UTC. [the end of the newest judged window]",
        ),
    ] = None,
    reason: Annotated[str | None, typer.Option(help="Why; kept with the decision.")] = None,
    json: JsonOption = False,
) -> None:
    """Train a challenger now, compare it with the champion, promote it if it is good enough.

    Guards of the policy do not hold a person back; they are named. A retraining that a killed process left is carried
    on instead.
    """
    from monitoring_pipeline.retraining.context import RetrainContext

    settings = Settings()
    monitor = monitor_named(name, settings)
    _check(monitor)
    moment = as_of.replace(tzinfo=UTC) if as_of else None
    with open_warehouse(settings) as warehouse:
        ctx = RetrainContext(monitor, warehouse, settings, run_id=f"retrain-{uuid.uuid4().hex[:12]}")
        decision, attempt = _carried_out(ctx, reason, moment)
    if wants_json(json):
        print_json({"decision": asdict(decision), "attempt": asdict(attempt)})
    else:
        typer.echo(f"{name}: {decision.reason}")
        typer.secho(f"{name}: {_sentence(attempt)}", fg="red" if attempt.state == "failed" else None)
    if attempt.state == "failed":
        raise typer.Exit(1)


def _check(monitor: Monitor) -> None:
    if not (monitor.retrain.trainer or monitor.retrain.estimator):
        raise UserError(
            f"{monitor.name}: declares nothing to train; write `retrain.trainer: module:function`, or"
            " `retrain.estimator`"
        )
    if monitor.ground_truth is None:
        raise UserError(f"{monitor.name}: declares no `ground_truth`, so there are no outcomes to learn from")


def _carried_out(ctx: RetrainContext, reason: str | None, as_of: datetime | None) -> tuple[DecisionRow, AttemptRow]:
    from monitoring_pipeline.stages.retrain_decisions import ask
    from monitoring_pipeline.stages.retraining import carry_out
    from monitoring_pipeline.warehouse import attempt_store

    decision = ask(ctx, reason, as_of)
    attempt = carry_out(ctx, now=as_of)
    if attempt is None:
        raise UserError(f"{ctx.monitor.name}: {decision.reason} Another process retrains it; see `status`")
    return decision, ctx.warehouse.run(lambda conn: attempt_store.attempt(conn, attempt.attempt_id))


def _sentence(attempt: AttemptRow) -> str:
    """What came of it."""
    until = f" (until {attempt.shadow_until:%Y-%m-%d %H:%M} UTC)" if attempt.state == "shadowing" else ""
    said: Any = attempt.error or attempt.reason
    more = f": {said}" if said else ""
    return f"challenger {attempt.challenger_version} {CAME_OF_IT.get(attempt.state, attempt.state)}{until}{more}"
