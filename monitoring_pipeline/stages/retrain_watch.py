"""Which monitors are to be retrained now: policies evaluated where something is new, and work that waits."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from monitoring_pipeline.alerting.incidents.kinds import ARTIFACT
from monitoring_pipeline.errors import UserError, WarehouseError
from monitoring_pipeline.monitors.retraining import Trigger
from monitoring_pipeline.retraining.context import RetrainContext
from monitoring_pipeline.retraining.policy.triggers.schedule import last_due
from monitoring_pipeline.stages import artifact_incidents
from monitoring_pipeline.stages.retrain_decisions import evaluate, policy_version
from monitoring_pipeline.warehouse import incident_store, retrain_decisions
from monitoring_pipeline.warehouse.retrain_decisions import LastLook, Work
from monitoring_pipeline.windows import LENGTH

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Watched:
    """``work``: monitors with a retraining to carry out. ``said``: why the others are not retrained. ``errors``: of
    monitors that could not be looked at."""

    work: dict[str, Work] = field(default_factory=dict)
    said: dict[str, str] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)


def look(fleet: Sequence[RetrainContext], now: datetime | None = None) -> Watched:
    """Evaluates the policies that something is new for, then says which monitors have work. One bad monitor is named
    in ``errors`` and the others go on; raises WarehouseError when the database is away."""
    if not fleet:
        return Watched()
    moment, names = now or datetime.now(UTC), [ctx.monitor.name for ctx in fleet]
    warehouse = fleet[0].warehouse
    looks = warehouse.run(lambda conn: retrain_decisions.last_looks(conn, names))
    damaged = warehouse.run(lambda conn: incident_store.open_of_change(conn, names, ARTIFACT.name))
    found = Watched()
    for ctx in fleet:
        last = looks.get(ctx.monitor.name)
        if last is not None and is_due(ctx, last, moment):
            _evaluate(ctx, found)
        elif ctx.monitor.name in damaged:
            artifact_incidents.look(ctx)
    waiting = warehouse.run(lambda conn: retrain_decisions.work(conn, names, moment))
    found.work.update({name: one for name, one in waiting.items() if name not in found.errors})
    return found


def is_due(ctx: RetrainContext, last: LastLook, now: datetime) -> bool:
    """Whether another look may say something else: new verdicts, another policy, or a moment that has passed."""
    if last.judged_at is None:
        return False
    if last.evaluated_at is None or last.judged_at > last.evaluated_at:
        return True
    if last.policy_version != policy_version(ctx.monitor.retrain):
        return True
    if now - last.evaluated_at >= LENGTH[ctx.monitor.window]:  # labels come of age without a verdict
        return True
    return any(last.evaluated_at < one <= now for one in _moments(ctx, last.evidence, now))


def _moments(ctx: RetrainContext, evidence: Mapping[str, Any], now: datetime) -> list[datetime]:
    """When guards let go, and when schedules were due last."""
    free = [datetime.fromisoformat(one["free_at"]) for one in evidence.get("guards", ()) if one.get("free_at")]
    due = [last_due(cron, now) for cron in _schedules(ctx.monitor.retrain.when)]
    return [*free, *(one for one in due if one is not None)]


def _schedules(trigger: Trigger) -> list[str]:
    parts = trigger.any or trigger.all or ()
    return [trigger.schedule] if trigger.schedule else [cron for one in parts for cron in _schedules(one)]


def _evaluate(ctx: RetrainContext, found: Watched) -> None:
    name = ctx.monitor.name
    try:
        artifact_incidents.look(ctx)
        row = evaluate(ctx)
    except WarehouseError:
        raise
    except UserError as error:
        found.errors[name] = str(error)
    except Exception as error:  # a defect that one monitor meets must not keep the others from being retrained
        log.exception("the retrain policy of %s", name)
        found.errors[name] = f"unexpected {type(error).__name__}: {error}"
    else:
        found.said[name] = row.reason
