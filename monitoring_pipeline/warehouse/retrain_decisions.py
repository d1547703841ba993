"""Decisions about retraining: equal ones that follow each other are one row, and evidence asks once."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, text

from monitoring_pipeline.warehouse.attempt_store import MOST_ATTEMPTS

PAUSE = timedelta(hours=1)
"""After the first failure of a decision; what it failed of may pass, and a person may mend the rest."""
LOCK = text("select pg_advisory_xact_lock(hashtextextended(:monitor, 2))")
COLUMNS = """revision_id as decision_id, monitor, decided_at, as_of, trigger, decision, reason, evidence, evidence_key,
  challenger_version, outcome, n_evaluations, last_evaluated_at"""
LAST = text(f"""
select {COLUMNS}, fold_key, policy_version from monitoring.retrain_decision
where monitor = :monitor and superseded_at is null order by revision_id desc limit 1
""")  # noqa: S608
ALL = text(f"""
select {COLUMNS} from monitoring.retrain_decision
where monitor = :monitor and superseded_at is null order by revision_id
""")  # noqa: S608
FOLD = text(f"""
update monitoring.retrain_decision
set n_evaluations = n_evaluations + 1, last_evaluated_at = clock_timestamp(), as_of = :as_of, reason = :reason,
    evidence = cast(:evidence as jsonb), evidence_key = :evidence_key
where revision_id = :decision_id returning {COLUMNS}
""")  # noqa: S608
ADD = text(f"""
insert into monitoring.retrain_decision (monitor, decided_at, last_evaluated_at, as_of, trigger, decision, reason,
  evidence, evidence_key, fold_key, policy_version, run_id)
select :monitor, t.now, t.now, :as_of, :trigger, :decision, :reason, cast(:evidence as jsonb), :evidence_key, :fold_key,
  :policy_version, :run_id
from (select clock_timestamp() as now) t
on conflict (monitor, evidence_key) where decision = 'retrain' and superseded_at is null do nothing
returning {COLUMNS}
""")  # noqa: S608
LOOKED = text("""
select m.monitor, (select max(j.judged_at) from monitoring.judgement j where j.monitor = m.monitor) as judged_at,
       d.last_evaluated_at, d.policy_version, d.evidence
from monitoring.monitor m
left join lateral (
  select * from monitoring.retrain_decision d where d.monitor = m.monitor and d.superseded_at is null
  order by d.revision_id desc limit 1) d on true
where m.monitor = any (cast(:monitors as text[]))
""")
# A shadow is over when a window at its end is mature: covered by labels, or past the longest delay.
WORK = text("""
select distinct on (d.monitor) d.monitor, d.revision_id as decision_id, d.trigger, coalesce(a.state, 'decided') as state
from monitoring.retrain_decision d
left join lateral (
  select * from monitoring.retrain_attempt a where a.decision_id = d.revision_id
  order by a.attempt_id desc limit 1) a on true
cross join lateral (
  select count(*) as n from monitoring.retrain_attempt t where t.decision_id = d.revision_id and t.state = 'failed') f
where d.monitor = any (cast(:monitors as text[])) and d.superseded_at is null and d.decision = 'retrain'
  and (d.outcome is null or d.outcome in ('training', 'shadowing'))
  and (a.state is distinct from 'shadowing' or a.shadow_until <= :now and exists (
    select 1 from monitoring.prediction_window w join monitoring.monitor m on m.monitor = w.monitor
    where w.monitor = d.monitor and w.window_end >= a.shadow_until
      and (w.window_end + m.label_max_delay <= :now or m.label_coverage * w.n_rows <= (
        select coalesce(sum(p.n_labelled), 0) from monitoring.profile p
        where p.monitor = w.monitor and p.window_start = w.window_start and p.segment = '*' and p.scope = 'window'
          and p.part = 'outcomes'))))
  and f.n < :most
  and (a.state is distinct from 'failed' or a.state_since + cast(:pause as interval) * 4 ^ (f.n - 1) <= :now)
order by d.monitor, d.revision_id
""")


@dataclass(frozen=True)
class DecisionRow:
    """One decision as it is stored; times in UTC, ``evidence`` plain JSON. ``decision_id``: its revision_id."""

    decision_id: int
    monitor: str
    decided_at: datetime
    as_of: datetime
    trigger: str
    decision: str
    reason: str
    evidence: dict[str, Any]
    evidence_key: str | None
    challenger_version: str | None
    outcome: str | None
    n_evaluations: int
    last_evaluated_at: datetime


@dataclass(frozen=True)
class NewDecision:
    """What is to be written. ``fold_key``: see the column."""

    as_of: datetime
    trigger: str
    decision: str
    reason: str
    evidence: Mapping[str, Any]
    evidence_key: str | None
    fold_key: str
    policy_version: str


@dataclass(frozen=True)
class LastLook:
    """When a monitor was last judged, and when and under which policy its policy was last evaluated."""

    judged_at: datetime | None
    evaluated_at: datetime | None
    policy_version: str | None
    evidence: Mapping[str, Any]


@dataclass(frozen=True)
class Work:
    """A retraining that waits to be carried out. ``state``: of its attempt, or ``decided``."""

    decision_id: int
    trigger: str
    state: str


def lock_decisions(conn: Connection, monitor: str) -> None:
    """Until the end of the transaction nobody else decides for this monitor."""
    conn.execute(LOCK, {"monitor": f"monitoring:{monitor}:retrain_decision"})


def write(conn: Connection, monitor: str, new: NewDecision, run_id: str | None) -> DecisionRow | None:
    """Keeps a decision; the row that speaks of it. None: this evidence has already led to a retraining.

    One that equals the last one (same ``fold_key`` and policy, not to retrain) is counted in its row, whose reason and
    evidence become the newest. Call ``lock_decisions`` first.
    """
    values = vars(new) | {"evidence": json.dumps(new.evidence)}
    last = conn.execute(LAST, {"monitor": monitor}).first()
    same = last is not None and (last.fold_key, last.policy_version) == (new.fold_key, new.policy_version)
    if last is not None and same and new.decision != "retrain":
        found = conn.execute(FOLD, values | {"decision_id": last.decision_id})
    else:
        found = conn.execute(ADD, values | {"monitor": monitor, "run_id": run_id})
    row = found.first()
    return None if row is None else DecisionRow(**row._mapping)


def decisions(conn: Connection, monitor: str) -> Sequence[DecisionRow]:
    """All of them, in the order they were taken."""
    return [DecisionRow(**row._mapping) for row in conn.execute(ALL, {"monitor": monitor})]


def last_looks(conn: Connection, monitors: Sequence[str]) -> dict[str, LastLook]:
    """By monitor, of those that are known."""
    rows = conn.execute(LOOKED, {"monitors": list(monitors)})
    return {r.monitor: LastLook(r.judged_at, r.last_evaluated_at, r.policy_version, r.evidence or {}) for r in rows}


def work(conn: Connection, monitors: Sequence[str], now: datetime) -> dict[str, Work]:
    """By monitor: the retraining to begin or to go on with. An attempt that shadows waits until the windows
    of its shadow are mature, one that failed for ``PAUSE``, then four times as long."""
    wanted = {"monitors": list(monitors), "now": now, "most": MOST_ATTEMPTS, "pause": PAUSE}
    return {row.monitor: Work(row.decision_id, row.trigger, row.state) for row in conn.execute(WORK, wanted)}
