"""Looks whether rows stay away, while nothing arrives and therefore no run looks: all monitors of a fleet together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from sqlalchemy import Connection

from monitoring_pipeline.stages import freshness, incidents
from monitoring_pipeline.stages.context import StageContext
from monitoring_pipeline.stages.judging import open_judgement
from monitoring_pipeline.warehouse import fleet, ledger
from monitoring_pipeline.warehouse.window_verdict_store import WindowVerdict
from monitoring_pipeline.windows import LENGTH

Looked = dict[str, int]  # by monitor: how many steps late it was when last looked at


def watch(fleet_of: Sequence[StageContext], before: Mapping[str, int], now: datetime | None = None) -> Looked:
    """Judges the freshness of the monitors whose next window is overdue, and folds their incidents if that changes a
    verdict.

    A monitor is looked at again when it is later by another ``alarms.freshness.floor``: what ``before`` says it was.
    """
    if not fleet_of:
        return {}
    moment = now or datetime.now(UTC)
    names = [stages.monitor.name for stages in fleet_of]
    newest = fleet_of[0].warehouse.run(lambda conn: fleet.newest_rows(conn, names))
    looked: Looked = {}
    for stages in fleet_of:
        monitor = stages.monitor
        if monitor.name not in newest:
            continue
        length = LENGTH[monitor.window]
        steps = int((moment - newest[monitor.name] - length) / (length * monitor.alarms.freshness.floor))
        if steps < 1:
            continue
        looked[monitor.name] = steps
        if before.get(monitor.name) != steps:
            look(stages, moment)
    return looked


def late_now(conn: Connection, now: datetime | None = None) -> dict[str, WindowVerdict]:
    """By monitor: the verdict on the window whose rows are waited for, where they are later than usual. Writes nothing,
    so that it can be asked at any moment."""
    found = {}
    for name, monitor in ledger.declarations(conn).items():
        verdicts = freshness.judged(conn, monitor, now or datetime.now(UTC)).verdicts
        waiting = [one for one in verdicts if one.reason == freshness.COMING and one.status == "alarm"]
        if waiting:
            found[name] = waiting[-1]
    return found


def look(stages: StageContext, now: datetime) -> list[WindowVerdict]:
    """The verdicts on freshness of one monitor as of ``now``, written, with the incidents that follow."""

    def judge(conn: Connection) -> freshness.Late:
        ledger.lock_verdicts(conn, stages.monitor.name)
        return freshness.judge_again(conn, stages.monitor, lambda: open_judgement(conn, stages), now)

    late = stages.warehouse.run(judge)
    if late.changed:
        incidents.fold(stages)
    return list(late.verdicts)
