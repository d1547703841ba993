"""What is too old is counted and deleted here: rows of Postgres, and which lake files are no longer referred to.

A window counts as too old by its end. One that was taken in less than a day ago is left, however old its rows are: a
backfill may still be computing it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, TextClause, text
from sqlalchemy.exc import OperationalError

from monitoring_pipeline.warehouse.ledger import lock_monitor

# Each condition is about the row t. A cutoff that is null is never reached.
PAST = """t.monitor = :monitor and t.window_end <= :{before} and not exists (
  select from monitoring.prediction_window p
  where p.monitor = t.monitor and p.window_start = t.window_start and p.ingested_at >= :settled)"""
REPLACED = "t.monitor = :monitor and t.superseded_at <= :revisions"
JUDGES_GONE = """t.monitor = :monitor and exists (
  select from monitoring.measurement m
  where m.window_start = t.window_start and m.measurement_id = t.measurement_id
    and (m.superseded_at <= :revisions or m.window_end <= :verdicts and not exists (
      select from monitoring.prediction_window p
      where p.monitor = m.monitor and p.window_start = m.window_start and p.ingested_at >= :settled)))"""
# In the order of deletion: a verdict goes before the measurement it judges.
ROWS: tuple[tuple[str, str, str], ...] = (
    # A reference and its blocks lie in the same table; they are kept.
    ("profiles", "monitoring.profile", f"t.scope = 'window' and {PAST.format(before='profiles')}"),
    ("verdicts", "monitoring.verdict", JUDGES_GONE),
    # What the verdicts on columns rested on (judged_window) is kept: without it they would be made again.
    ("verdicts", "monitoring.column_verdict", PAST.format(before="verdicts")),
    ("verdicts", "monitoring.window_verdict", PAST.format(before="verdicts")),
    ("measurements", "monitoring.measurement", PAST.format(before="measurements")),
    ("measurements", "monitoring.parity", PAST.format(before="measurements")),
    ("revisions", "monitoring.measurement", f"{REPLACED} and ({PAST.format(before='measurements')}) is not true"),
)
DELETE = [(kind, text(f"delete from {table} t where {rows}")) for kind, table, rows in ROWS]  # noqa: S608
COUNT = [(kind, text(f"select count(*) from {table} t where {rows}")) for kind, table, rows in ROWS]  # noqa: S608
DELETE_UNUSED = (
    text("""
delete from monitoring.computation c
where c.monitor = :monitor and c.computed_at < :settled and not exists (
  select from monitoring.measurement m where m.window_start = c.window_start and m.computation_id = c.computation_id)
"""),
    text("""
delete from monitoring.judgement j
where j.monitor = :monitor and j.judged_at < :settled and not exists (
  select from monitoring.verdict v where v.monitor = j.monitor and v.judgement_id = j.judgement_id)
and not exists (
  select from monitoring.judged_window w where w.monitor = j.monitor and w.judgement_id = j.judgement_id)
and not exists (
  select from monitoring.window_verdict w where w.monitor = j.monitor and w.judgement_id = j.judgement_id)
"""),
)
# Files read in place are sources: a window with one of these has nothing of its own in the lake but labels.
LAKE_WINDOWS = text("""
select p.window_start from monitoring.prediction_window p
where p.monitor = :monitor and p.window_end <= :lake_files and p.ingested_at < :settled
  and not exists (select from unnest(p.lake_files) f where not starts_with(f, :lake))
  and (cardinality(p.lake_files) > 0 or exists (
    select from monitoring.label_batch_window b
    where b.monitor = p.monitor and b.window_start = p.window_start and b.lake_file <> ''))
order by p.window_start
""")
FORGET_LAKE_FILES = text("""
update monitoring.prediction_window set lake_files = '{}'
where monitor = :monitor and window_start = any (cast(:starts as timestamptz[]))
""")
FORGET_LABEL_FILES = text("""
update monitoring.label_batch_window set lake_file = ''
where monitor = :monitor and window_start = any (cast(:starts as timestamptz[]))
""")
MARK = text("""
update monitoring.prediction_window set pruned_at = :now
where monitor = :monitor and pruned_at is null and window_end <= :newest and ingested_at < :settled
""")
WITHOUT_LAKE_FILES = text("""
select p.window_start from monitoring.prediction_window p
where p.monitor = :monitor and p.pruned_at is not null and p.window_end <= :lake_files and cardinality(p.lake_files) = 0
  and not exists (select from monitoring.label_batch_window b
                  where b.monitor = p.monitor and b.window_start = p.window_start and b.lake_file <> '')
""")
UNCHANGED_SINCE_PRUNED = text("""
select p.window_start from monitoring.prediction_window p
where p.monitor = :monitor and p.pruned_at is not null and p.window_start = any (cast(:starts as timestamptz[]))
  and p.source_revision >= coalesce((
    select max(f.revision) from monitoring.source_file_window f
    where f.monitor = p.monitor and f.role = 'predictions' and f.window_start = p.window_start), 0)
""")
MONTHS = text("""
select c.relname as partition, r.relname as parent,
       (regexp_match(pg_get_expr(c.relpartbound, c.oid), 'TO \\(''([^'']+)''\\)'))[1]::timestamptz as ends
from pg_inherits i
join pg_class c on c.oid = i.inhrelid
join pg_class r on r.oid = i.inhparent
where c.relnamespace = 'monitoring'::regnamespace and r.relkind = 'p'
order by r.relname, ends
""")
DO_NOT_QUEUE = text("set local lock_timeout = '2s'")  # who waits for a lock lets all who come later wait too


@dataclass(frozen=True)
class Cutoffs:
    """Windows that end at or before a kind's moment are too old (``revisions``: replaced by then); None: none is.

    ``settled``: only what was taken in before this moment is deleted.
    """

    profiles: datetime | None
    measurements: datetime | None
    verdicts: datetime | None
    revisions: datetime | None
    lake_files: datetime | None
    settled: datetime

    @property
    def newest(self) -> datetime | None:
        """Windows that end by then have lost something they are computed from, or into."""
        return max((c for c in (self.profiles, self.measurements, self.lake_files) if c is not None), default=None)


def count_rows(conn: Connection, monitor: str, cutoffs: Cutoffs) -> dict[str, int]:
    """How many rows ``delete_rows`` would delete, by kind."""
    return _each_kind(conn, COUNT, _parameters(monitor, cutoffs), lambda result: int(result.scalar_one()))


def delete_rows(conn: Connection, monitor: str, cutoffs: Cutoffs, now: datetime) -> dict[str, int]:
    """Deletes rows that are too old and marks their windows as pruned. Returns how many rows, by kind."""
    parameters = _parameters(monitor, cutoffs)
    deleted = _each_kind(conn, DELETE, parameters, lambda result: int(result.rowcount))
    if any(deleted[kind] for kind in ("verdicts", "measurements", "revisions")):
        for statement in DELETE_UNUSED:
            conn.execute(statement, parameters)
    conn.execute(MARK, parameters | {"newest": cutoffs.newest, "now": now})
    return deleted


def windows_in_lake(conn: Connection, monitor: str, cutoffs: Cutoffs, lake: str) -> list[datetime]:
    """Starts of windows that are too old and that have files below ``lake``, the monitor's directory with its slash."""
    return list(conn.execute(LAKE_WINDOWS, _parameters(monitor, cutoffs) | {"lake": lake}).scalars())


def forget_lake_files(conn: Connection, monitor: str, starts: Sequence[datetime]) -> None:
    """These windows have no lake files any more; that they had label batches stays known."""
    lock_monitor(conn, monitor)  # labels are matched with the files of all windows under this lock
    for statement in (FORGET_LAKE_FILES, FORGET_LABEL_FILES):
        conn.execute(statement, {"monitor": monitor, "starts": list(starts)})


def windows_without_lake_files(conn: Connection, monitor: str, cutoffs: Cutoffs) -> list[datetime]:
    """Pruned windows that refer to no lake file: what may still lie there of them is to be deleted."""
    return list(conn.execute(WITHOUT_LAKE_FILES, _parameters(monitor, cutoffs)).scalars())


def unchanged_since_pruned(conn: Connection, monitor: str, starts: Sequence[datetime]) -> set[datetime]:
    """Which of these windows retention has been at, and no new rows have come for."""
    return set(conn.execute(UNCHANGED_SINCE_PRUNED, {"monitor": monitor, "starts": list(starts)}).scalars())


def drop_empty_months(conn: Connection, before: dict[str, datetime | None]) -> list[str]:
    """Drops monthly partitions without rows that end at or before their table's moment. Returns their names.

    ``before``: by table name, the moment that no monitor needs anything older of; None: some monitor keeps all. A
    partition that somebody is using is left for the next time.
    """
    dropped = []
    for month in conn.execute(MONTHS).all():
        bound = before.get(month.parent)
        if bound is not None and month.ends <= bound and _dropped(conn, month.parent, month.partition):
            dropped.append(month.partition)
    return dropped


def _dropped(conn: Connection, parent: str, partition: str) -> bool:
    quote = conn.dialect.identifier_preparer.quote_identifier
    table, child = (f"monitoring.{quote(name)}" for name in (parent, partition))
    try:
        with conn.begin_nested():
            conn.execute(DO_NOT_QUEUE)
            if conn.exec_driver_sql(f"select exists (select from {child})").scalar():  # noqa: S608
                return False
            conn.exec_driver_sql(f"lock table {table} in access exclusive mode")
            if conn.exec_driver_sql(f"select exists (select from {child})").scalar():  # noqa: S608
                return False
            conn.exec_driver_sql(f"drop table {child}")
    except OperationalError as error:
        if getattr(error.orig, "pgcode", None) in ("55P03", "40P01"):  # lock_not_available, deadlock_detected
            return False
        raise
    return True


def _parameters(monitor: str, cutoffs: Cutoffs) -> dict[str, Any]:
    return {"monitor": monitor} | vars(cutoffs)


def _each_kind(
    conn: Connection, statements: Sequence[tuple[str, TextClause]], parameters: dict[str, Any], count: Any
) -> dict[str, int]:
    found = dict.fromkeys((kind for kind, _ in statements), 0)
    for kind, statement in statements:
        found[kind] += count(conn.execute(statement, parameters))
    return found
