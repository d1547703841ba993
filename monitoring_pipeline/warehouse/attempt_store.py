"""Attempts at a better model, what they were compared by, and every change of champion."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text
from sqlalchemy.exc import InterfaceError, OperationalError

from monitoring_pipeline.warehouse.model_versions import know_version

MOST_ATTEMPTS = 3
"""A decision that has been tried so often is not tried again."""

OPEN_STATES = ("training", "trained", "compared", "shadowing")
TRY_LOCK = text("select pg_try_advisory_lock(hashtextextended(:key, 2))")
UNLOCK = text("select pg_advisory_unlock(hashtextextended(:key, 2))")
_COLUMNS = """
select a.attempt_id, a.monitor, a.decision_id, a.challenger_version, a.champion_version, a.state, a.epoch, a.as_of,
       a.shadow_until, a.run_id, a.reason, a.error, a.failed_in, d.trigger
from monitoring.retrain_attempt a join monitoring.retrain_decision d on d.revision_id = a.decision_id
"""
OPEN = text(f"{_COLUMNS} where a.monitor = :monitor and a.state in ('training', 'trained', 'compared', 'shadowing')")
BY_ID = text(f"{_COLUMNS} where a.attempt_id = :attempt_id")
REASONS = text("""
select challenger_version, coalesce(error, reason) as said from monitoring.retrain_attempt where monitor = :monitor
""")
TAKE_OVER = text("""
update monitoring.retrain_attempt set epoch = epoch + 1, run_id = :run_id where attempt_id = :attempt_id
""")
# A decision may have later revisions: it is known by the monitor and when it was taken.
_TRIED = """
select a.state from monitoring.retrain_attempt a join monitoring.retrain_decision o on o.revision_id = a.decision_id
where o.monitor = d.monitor and o.decided_at = d.decided_at
"""
WAITING = text(f"""
select d.revision_id as decision_id, d.trigger, coalesce(d.as_of, d.decided_at) as as_of,
       (select count(*) from ({_TRIED}) t) as n_tried
from monitoring.retrain_decision d
where d.monitor = :monitor and d.decision = 'retrain' and d.superseded_at is null
  and (d.outcome is null or d.outcome in ('training', 'shadowing'))
  and not exists (select 1 from ({_TRIED}) t where t.state <> 'failed')
  and (select count(*) from ({_TRIED}) t) < :most
order by d.decided_at limit 1
""")  # noqa: S608  (constants of this module)
BEGIN = text("""
insert into monitoring.retrain_attempt (monitor, decision_id, challenger_version, champion_version, state, as_of,
  run_id)
values (:monitor, :decision_id, :challenger_version, :champion_version, 'training', :as_of, :run_id)
returning attempt_id
""")
TAKEN_NAMES = text("""
select model_version from monitoring.known_version
where monitor = :monitor and starts_with(model_version, :prefix)
""")
ADVANCE = text("""
update monitoring.retrain_attempt set state = :to, state_since = clock_timestamp(), reason = coalesce(:reason, reason),
  error = :error, failed_in = :failed_in, shadow_until = coalesce(:shadow_until, shadow_until)
where attempt_id = :attempt_id and epoch = :epoch and state = :from_state
""")
OUTCOME = text("""
update monitoring.retrain_decision d set outcome = :outcome, challenger_version = :challenger_version
from monitoring.retrain_decision o
where o.revision_id = :decision_id and d.monitor = o.monitor and d.decided_at = o.decided_at
  and d.superseded_at is null
""")
FORGET_COMPARISONS = text("delete from monitoring.model_comparison where attempt_id = :attempt_id")
COMPARED = text("""
insert into monitoring.model_comparison (attempt_id, guard, segment, metric, champion_version, challenger_version,
  rows_from, rows_to, labels_known_at, n, n_blocks, method, champion_value, challenger_value, difference, ci_low,
  ci_high, level, delta, verdict, reason)
values (:attempt_id, :guard, :segment, :metric, :champion_version, :challenger_version, :rows_from, :rows_to,
  :labels_known_at, :n, :n_blocks, :method, :champion_value, :challenger_value, :difference, :ci_low, :ci_high, :level,
  :delta, :verdict, :reason)
""")
COMPARISONS = text("""
select guard, segment, metric, champion_version, challenger_version, rows_from, rows_to, n, n_blocks, method,
       champion_value, challenger_value, difference, ci_low, ci_high, level, delta, verdict, reason
from monitoring.model_comparison where attempt_id = :attempt_id
order by guard not in ('headline', 'shadow'), guard, segment, metric
""")
HEADLINES = text("""
select distinct on (challenger_version) challenger_version, champion_version, metric, difference, ci_low, ci_high,
       verdict
from monitoring.model_comparison_current where monitor = :monitor and guard in ('headline', 'shadow')
order by challenger_version, computed_at desc
""")
CHANGE_ROLE = text("""
with old as (
  update monitoring.model_version set superseded_at = greatest(as_known_at, clock_timestamp())
  where monitor = :monitor and model_version = :model_version and superseded_at is null and role <> :role returning *
)
insert into monitoring.model_version (monitor, model_version, role, trained_at, train_start, train_end, algorithm,
  hyperparameters, training_metrics, artifact_uri, artifact_sha256, run_id, code_version, attempt_id, parent_version,
  n_rows, labels_known_at, data_version, artifact_format, artifact_bytes, environment, duration_seconds, cpu_seconds,
  peak_rss_bytes, pruned_at, as_known_at)
select monitor, model_version, :role, trained_at, train_start, train_end, algorithm, hyperparameters, training_metrics,
  artifact_uri, artifact_sha256, run_id, code_version, attempt_id, parent_version, n_rows, labels_known_at,
  data_version, artifact_format, artifact_bytes, environment, duration_seconds, cpu_seconds, peak_rss_bytes, pruned_at,
  clock_timestamp()
from old
""")
REJECT = text("""
select model_version from monitoring.model_version_current
where monitor = :monitor and model_version = :model_version and role = 'challenger'
""")
PROMOTE = text("""
insert into monitoring.promotion (monitor, model_version, previous_version, attempt_id, kind, by_whom, reason, as_of)
values (:monitor, :model_version, :previous_version, :attempt_id, :kind, :by_whom, :reason, :as_of)
returning seq
""")
PROMOTIONS = text("""
select seq, model_version, previous_version, attempt_id, kind, by_whom, reason, at, as_of
from monitoring.promotion where monitor = :monitor order by seq
""")
IN_LOG = text("""
select v.key as model_version
from monitoring.prediction_window w cross join lateral jsonb_each_text(w.versions) v
where w.monitor = :monitor and w.n_rows > 0
order by w.window_start desc, v.value::bigint desc, v.key limit 1
""")
ARTIFACTS = text("""
select distinct artifact_uri from monitoring.model_version where monitor = :monitor and artifact_uri is not null
""")


@dataclass(frozen=True)
class AttemptRow:
    """An attempt as it is stored, with the trigger of its decision. Times in UTC."""

    attempt_id: int
    monitor: str
    decision_id: int
    challenger_version: str
    champion_version: str | None
    state: str
    epoch: int
    as_of: datetime
    shadow_until: datetime | None
    run_id: str | None
    reason: str | None
    error: str | None
    failed_in: str | None
    trigger: str


@dataclass(frozen=True)
class WaitingDecision:
    """A decision to retrain that has no attempt, or only failed ones. ``n_tried``: how many."""

    decision_id: int
    trigger: str
    as_of: datetime
    n_tried: int


@dataclass(frozen=True)
class PromotionRow:
    """One change of champion."""

    seq: int
    model_version: str
    previous_version: str | None
    attempt_id: int | None
    kind: str
    by_whom: str
    reason: str
    at: datetime
    as_of: datetime | None


@contextmanager
def owned(session: Connection, monitor: str) -> Iterator[bool]:
    """Whether this process owns the retraining of the monitor until the end of the block.

    A lock of ``session``, which does nothing else: the server frees it when the process dies. What a lost connection
    lets two owners do is caught by the attempt's epoch.
    """
    key = {"key": f"monitoring:{monitor}:retrain"}
    session = session.execution_options(isolation_level="AUTOCOMMIT")
    mine = bool(session.execute(TRY_LOCK, key).scalar_one())
    try:
        yield mine
    finally:
        if mine:
            with suppress(OperationalError, InterfaceError):  # the lock went with the connection
                session.execute(UNLOCK, key)


def open_attempt(conn: Connection, monitor: str) -> AttemptRow | None:
    """The attempt of the monitor that has not ended; at most one."""
    row = conn.execute(OPEN, {"monitor": monitor}).mappings().first()
    return None if row is None else AttemptRow(**row)


def attempt(conn: Connection, attempt_id: int) -> AttemptRow:
    """The attempt as it stands now."""
    return AttemptRow(**conn.execute(BY_ID, {"attempt_id": attempt_id}).mappings().one())


def take_over(conn: Connection, attempt_id: int, run_id: str) -> AttemptRow:
    """From now on only who knows the new epoch changes the attempt."""
    conn.execute(TAKE_OVER, {"attempt_id": attempt_id, "run_id": run_id})
    return attempt(conn, attempt_id)


def waiting_decision(conn: Connection, monitor: str) -> WaitingDecision | None:
    """The oldest decision to retrain that is still to be carried out."""
    row = conn.execute(WAITING, {"monitor": monitor, "most": MOST_ATTEMPTS}).mappings().first()
    return None if row is None else WaitingDecision(**row)


def begin(
    conn: Connection, monitor: str, decision: WaitingDecision, challenger: str, champion: str | None, run_id: str
) -> AttemptRow:
    """A new attempt in state ``training``; the challenger's name is known from now on."""
    know_version(conn, monitor, challenger)
    values = {
        "monitor": monitor,
        "decision_id": decision.decision_id,
        "challenger_version": challenger,
        "champion_version": champion,
        "as_of": decision.as_of,
        "run_id": run_id,
    }
    return attempt(conn, conn.execute(BEGIN, values).scalar_one())


def names_taken(conn: Connection, monitor: str, prefix: str) -> set[str]:
    """Known model versions that begin with ``prefix``."""
    return set(conn.execute(TAKEN_NAMES, {"monitor": monitor, "prefix": prefix}).scalars())


def advance(
    conn: Connection,
    of: AttemptRow,
    to: str,
    *,
    reason: str | None = None,
    error: str | None = None,
    shadow_until: datetime | None = None,
) -> bool:
    """Moves the attempt on. False, and nothing changed, when another owner took it over or it is elsewhere already."""
    values = {
        "attempt_id": of.attempt_id,
        "epoch": of.epoch,
        "from_state": of.state,
        "to": to,
        "reason": reason,
        "error": error,
        "failed_in": of.state if error is not None else None,
        "shadow_until": shadow_until,
    }
    return conn.execute(ADVANCE, values).rowcount == 1


def set_outcome(conn: Connection, decision_id: int, outcome: str, challenger: str | None) -> None:
    """What came of the decision so far."""
    values = {"decision_id": decision_id, "outcome": outcome, "challenger_version": challenger}
    conn.execute(OUTCOME, values)


def save_comparisons(conn: Connection, attempt_id: int, rows: Sequence[Mapping[str, Any]]) -> None:
    """Replaces the comparisons of the attempt."""
    conn.execute(FORGET_COMPARISONS, {"attempt_id": attempt_id})
    if rows:
        conn.execute(COMPARED, [{"attempt_id": attempt_id, **row} for row in rows])


def comparisons(conn: Connection, attempt_id: int) -> list[dict[str, Any]]:
    """The comparisons of the attempt, the headline first."""
    return [dict(row) for row in conn.execute(COMPARISONS, {"attempt_id": attempt_id}).mappings()]


def headlines(conn: Connection, monitor: str) -> dict[str, dict[str, Any]]:
    """By challenger: how it compared with the champion of its time."""
    rows = conn.execute(HEADLINES, {"monitor": monitor}).mappings()
    return {row["challenger_version"]: dict(row) for row in rows}


def change_role(conn: Connection, monitor: str, model_version: str, role: str) -> None:
    """A new revision of the version with this role and all else as before; nothing for a version that has it."""
    conn.execute(CHANGE_ROLE, {"monitor": monitor, "model_version": model_version, "role": role})


def reject(conn: Connection, monitor: str, model_version: str) -> None:
    """The challenger is none any more; nothing happens when it was not registered or has another role."""
    values = {"monitor": monitor, "model_version": model_version}
    if conn.execute(REJECT, values).first() is not None:
        change_role(conn, monitor, model_version, "rejected")


def record_promotion(conn: Connection, monitor: str, **values: Any) -> int:
    """A change of champion; its number in the order that services see."""
    return int(conn.execute(PROMOTE, {"monitor": monitor, "attempt_id": None, "as_of": None} | values).scalar_one())


def promotions(conn: Connection, monitor: str) -> list[PromotionRow]:
    """Every change of champion, in order."""
    return [PromotionRow(**row) for row in conn.execute(PROMOTIONS, {"monitor": monitor}).mappings()]


def reasons(conn: Connection, monitor: str) -> dict[str, str]:
    """By challenger: the sentence its attempt ended with, or why it failed."""
    return {row.challenger_version: row.said or "" for row in conn.execute(REASONS, {"monitor": monitor})}


def version_in_log(conn: Connection, monitor: str) -> str | None:
    """The version with the most rows in the newest window that has any."""
    row = conn.execute(IN_LOG, {"monitor": monitor}).first()
    return None if row is None else row.model_version


def artifacts(conn: Connection, monitor: str) -> set[str]:
    """Where the artifacts of all versions lie, former revisions included."""
    return set(conn.execute(ARTIFACTS, {"monitor": monitor}).scalars())
