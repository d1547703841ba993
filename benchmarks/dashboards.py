"""How long each query of each dashboard takes on a warehouse of many monitors.

python -m benchmarks.dashboards postgresql://… [--monitors 100] [--days 365] [--slowest 30]

The database must hold the demo, and should be a copy: ``create database big template monitor``. Its monitors are copied
until there are as many as asked for, and their last windows are put before their first ones until there are as many
days. So rows are as many and as large as real ones: 28 columns in 4 segments, 2 baselines, all methods.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import psycopg2
from psycopg2 import sql
from psycopg2.extensions import connection as Connection
from psycopg2.extensions import cursor as Cursor

from grafana.expansion import Range, dashboards, expanded, of_postgres, targets

GOAL = 200.0  # milliseconds, warm
END = datetime(2014, 1, 1, tzinfo=UTC)
KEPT = 275  # days of the demo
MONTHS = "select monitoring.ensure_months(%s, array(select generate_series(%s::timestamptz, %s, '10 days')))"
COLUMNS = """
select attname from pg_attribute
where attrelid = ('monitoring.' || %s)::regclass and attnum > 0 and not attisdropped
"""
TABLES = (
    "monitor", "monitor_declaration", "known_version", "model_version", "prediction_window", "window_stage",
    "computation", "profile", "reference_profile", "judgement", "judged_window", "column_verdict", "window_verdict",
    "window_headline", "incident", "measurement", "verdict",
)  # fmt: skip
NUMBERED = {"measurement_id", "computation_id", "judgement_id"}
GENERATED = {"revision_id"}
STEP = 10_000_000  # between the numbers of two copies


@dataclass(frozen=True)
class Timed:
    """One query: milliseconds of the first time and the best of the next three; rows of its answer."""

    page: str
    what: str
    first: float
    warm: float
    rows: int


def fill(cursor: Cursor, monitors: int, days: int) -> None:
    """Copies of the demo's monitors, so many days each."""
    cursor.execute("select monitor from monitoring.monitor order by 1")
    known = [name for (name,) in cursor.fetchall()]
    shift = max(days - KEPT, 0)
    if shift and len(known) == 2:
        for table in ("measurement", "verdict", "profile", "column_verdict"):
            cursor.execute(MONTHS, (table, END - timedelta(days=days), END))
        for table in TABLES:
            _copy(cursor, table, known, {}, timedelta(days=KEPT), END - timedelta(days=shift), STEP // 2)
    for n in range(2, monitors - len(known) + 2):
        source = known[n % 2]
        if n % 10 == 0:
            print(f"{n} copies", flush=True)
        for table in TABLES:
            _copy(cursor, table, [source], {source: f"{source}_{n:03d}"}, timedelta(), None, n * STEP)
        cursor.connection.commit()


def _copy(
    cursor: Cursor,
    table: str,
    of: list[str],
    renamed: dict[str, str],
    back: timedelta,
    since: datetime | None,
    offset: int,
) -> None:
    """The rows of these monitors once more, under another name or so much earlier."""
    names = _columns(cursor, table)
    if since is not None and ("window_start" not in names or table in ("reference_profile", "incident")):
        return
    moved = ("window_start", "window_end", "last_event_at") if since is not None else ()
    picked = []
    for name in names:
        column = sql.Identifier(name)
        if name == "monitor" and renamed:
            picked.append(sql.Literal(renamed[of[0]]))
        elif name in moved:
            picked.append(sql.SQL("{} - {}").format(column, sql.Literal(back)))
        elif name in NUMBERED:
            picked.append(sql.SQL("{} + {}").format(column, sql.Literal(offset)))
        else:
            picked.append(column)
    condition = sql.SQL("monitor = any ({})").format(sql.Literal(of))
    if since is not None:
        condition = sql.SQL("{} and window_start >= {}").format(condition, sql.Literal(since))
    if table == "profile":
        condition = sql.SQL("{} and (scope = 'window' or {})").format(condition, sql.Literal(since is None))
    statement = sql.SQL(
        "insert into monitoring.{0} ({1}) overriding system value select {2} from monitoring.{0} where {3}"
    )
    listed = sql.SQL(", ").join(map(sql.Identifier, names))
    cursor.execute(statement.format(sql.Identifier(table), listed, sql.SQL(", ").join(picked), condition))


def _columns(cursor: Cursor, table: str) -> list[str]:
    cursor.execute(COLUMNS, (table,))
    return [name for (name,) in cursor.fetchall() if name not in GENERATED]


def measure(connection: Connection, span: Range) -> Iterator[Timed]:
    """Every query of Postgres, with the values that its variables begin with."""
    for name, page in dashboards().items():
        values: dict[str, str] = {}
        for variable in page["templating"]["list"]:
            if not of_postgres(variable):
                values[variable["name"]] = str(variable.get("current", {}).get("value", ""))
                continue
            timed, rows, columns = _time(connection, expanded(variable["query"], values, span))
            at = columns.index("__value") if "__value" in columns else 0
            values[variable["name"]] = str(rows[0][at]) if rows else ""
            yield Timed(name, f"variable {variable['name']}", *timed, len(rows))
        for panel, target in targets(page):
            if of_postgres(target):
                timed, rows, _ = _time(connection, expanded(target["rawSql"], values, span))
                yield Timed(name, f"{panel['title']} {target['refId']}", *timed, len(rows))
        for event in page["annotations"]["list"]:
            if of_postgres(event):
                timed, rows, _ = _time(connection, expanded(event["target"]["rawSql"], values, span))
                yield Timed(name, f"annotation {event['name']}", *timed, len(rows))


def _time(connection: Connection, query: str) -> tuple[tuple[float, float], list[tuple[object, ...]], list[str]]:
    took = []
    with connection.cursor() as cursor:
        for _ in range(4):
            began = time.perf_counter()
            cursor.execute(query)
            rows = cursor.fetchall()
            took.append(1000 * (time.perf_counter() - began))
        return (took[0], min(took[1:])), rows, [column.name for column in cursor.description]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("url")
    parser.add_argument("--monitors", type=int, default=100)
    parser.add_argument("--days", type=int, default=365)
    parser.add_argument("--slowest", type=int, default=30)
    asked = parser.parse_args()
    connection = psycopg2.connect(asked.url)
    with connection.cursor() as cursor:
        cursor.execute("select count(*) from monitoring.monitor")
        if cursor.fetchone()[0] < asked.monitors:
            fill(cursor, asked.monitors, asked.days)
    connection.commit()
    connection.set_session(autocommit=True)
    with connection.cursor() as cursor:
        cursor.execute("analyze")
        cursor.execute("select relation, bytes, n_rows from monitoring.database_size_current order by 2 desc limit 8")
        for relation, size, rows in cursor.fetchall():
            print(f"{relation:20} {size / 2**20:9.0f} MiB {rows:12,} rows")
    connection.set_session(readonly=True, autocommit=True)
    found = sorted(measure(connection, Range(END - timedelta(days=asked.days), END)), key=lambda one: -one.warm)
    print(f"{'page':12} {'query':48} {'first':>8} {'warm':>8}  rows")
    for one in found[: asked.slowest]:
        print(f"{one.page:12} {one.what[:48]:48} {one.first:8.0f} {one.warm:8.0f}  {one.rows}")
    slow, cold = sum(one.warm > GOAL for one in found), sum(one.first > 1000 for one in found)
    print(f"{len(found)} queries, {slow} above {GOAL:.0f} ms warm, {cold} above 1 s the first time")


if __name__ == "__main__":
    main()
