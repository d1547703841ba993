"""How long each query of each dashboard takes on a warehouse of many monitors, warm and cold.

python -m benchmarks.dashboards HOME [--monitors 100] [--days 365] [--columns 50] [--slowest 30] [--no-cold]

The first time, one monitor's days are computed by the stages themselves: a binary model in four segments, against two
baselines, with weeks and months merged; its rows are then copied under other names. HOME keeps the warehouse of some GB
for further measurements. Cold: before each query Postgres' buffers are emptied and the kernel is told to forget the
files, for which the user must own them. What lies below the kernel, a host's cache, stays as it is.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import psycopg2
from psycopg2 import sql
from psycopg2.extensions import connection as Connection
from psycopg2.extensions import cursor as Cursor

from grafana.expansion import Range, dashboards, expanded, of_postgres, targets
from monitoring_pipeline.monitors import Monitor
from monitoring_pipeline.settings import Settings
from monitoring_pipeline.stages.catalogue import STAGES
from monitoring_pipeline.stages.context import StageContext
from monitoring_pipeline.stages.declaring import declare
from monitoring_pipeline.stages.reference import profile_reference
from monitoring_pipeline.stages.working import work
from monitoring_pipeline.warehouse.database import Warehouse
from monitoring_pipeline.windows import Window

WARM, COLD = 200.0, 1000.0  # the goals, in milliseconds
FIRST = datetime(2025, 1, 1, tzinfo=UTC)
ROWS, REFERENCE_DAYS = 300, 60
FIRST_NAME = "model_000"
COLUMNS = """
select attname from pg_attribute
where attrelid = ('monitoring.' || %s)::regclass and attnum > 0 and not attisdropped
"""
TABLES = (
    "monitor", "monitor_declaration", "known_version", "model_version", "prediction_window", "window_stage",
    "computation", "profile", "reference_profile", "judgement", "judged_window", "column_verdict", "window_verdict",
    "window_headline", "incident", "measurement", "verdict", "rollup", "rollup_measurement", "rollup_verdict",
)  # fmt: skip
NUMBERED = {"measurement_id", "computation_id", "judgement_id"}
GENERATED = {"revision_id"}
STEP = 10_000_000  # between the numbers of two copies
SIZES = """
select relation, bytes, (select count(*) from monitoring.ingestion_current) as windows
from monitoring.database_size_current order by 2 desc limit 10
"""


@dataclass(frozen=True)
class Timed:
    """One query: milliseconds cold (NaN: not asked for) and the best of three warm; rows of its answer."""

    page: str
    what: str
    cold: float
    warm: float
    rows: int


# -- the warehouse -----------------------------------------------------------------------------------------------------


def declared(home: Path, columns: int, days: int) -> Monitor:
    """Three quarters of the columns numbers, the others categories."""
    names = [f"column_{n:02}" for n in range(columns)]
    return Monitor.model_validate({
        "name": FIRST_NAME, "task": "binary", "base_dir": home, "start": f"{FIRST:%Y-%m-%d}",
        "end": f"{FIRST + timedelta(days=days):%Y-%m-%d}", "baselines": ["training", "previous"], "segments": ["plan"],
        "rollups": ["week", "month"], "labels": {"max_delay": "7d"},
        "schema": {
            "prediction_id": "id", "event_time": "time", "prediction": "prediction", "score": "score",
            "numerical": names[: columns * 3 // 4], "categorical": names[columns * 3 // 4 :],
        },
        "predictions": {"path": "predictions/*.parquet"}, "ground_truth": {"path": "labels/*.parquet", "outcome": "y"},
        "reference": {"path": "reference.parquet", "outcome": "y"},
    })  # fmt: skip


def write(monitor: Monitor, days: int) -> None:
    """A file a day of log and of labels, and the reference: the days before. Some columns follow the season."""
    home = monitor.base_dir
    for name in ("predictions", "labels"):
        (home / name).mkdir(parents=True, exist_ok=True)
    before = [_day(monitor, n) for n in range(-REFERENCE_DAYS, 0)]
    pd.concat(before).to_parquet(home / "reference.parquet", index=False)
    for n in range(days):
        rows = _day(monitor, n)
        rows.drop(columns="y").to_parquet(home / "predictions" / f"{n:03}.parquet", index=False)
        rows[["id", "y"]].to_parquet(home / "labels" / f"{n:03}.parquet", index=False)


def _day(monitor: Monitor, number: int) -> pd.DataFrame:
    rng = np.random.default_rng(number + REFERENCE_DAYS)
    schema, season = monitor.schema_, np.sin(2 * np.pi * number / 365)
    seconds = np.sort(rng.integers(0, 86_400, ROWS))
    frame: dict[str, object] = {
        "id": [f"{number}-{i}" for i in range(ROWS)],
        "time": pd.Timestamp(FIRST + timedelta(days=number)) + pd.to_timedelta(seconds, unit="s"),
        "plan": rng.choice(["basic", "plus", "pro"], ROWS, p=[0.5, 0.3, 0.2]),
    }
    for i, name in enumerate(schema.numerical):
        frame[name] = rng.normal(0.5 * season if i % 7 == 0 else 0, 1, ROWS)
    for i, name in enumerate(schema.categorical):
        frame[name] = rng.choice([f"value {k}" for k in range(4 + 3 * i)], ROWS)
    p = 1 / (1 + np.exp(-np.asarray(frame[schema.numerical[0]])))
    return pd.DataFrame(
        frame | {"score": p, "prediction": (p > 0.5).astype(int), "y": (rng.random(ROWS) < p).astype(int)}
    )


def fill(warehouse: Warehouse, settings: Settings, monitors: int, columns: int, days: int) -> None:
    """One monitor by its stages, the others copied from it."""
    monitor = declared(settings.home / "data", columns, days)
    write(monitor, days)
    with warehouse.transaction() as conn:
        declare(conn, monitor)
    stages = StageContext(monitor, warehouse, settings, "benchmark")
    profile_reference(stages)
    windows = [Window(FIRST + timedelta(days=n), FIRST + timedelta(days=n + 1)) for n in range(days)]
    for stage in STAGES:
        if failed := [one.error for one in work(stage, stages, windows) if one.failed]:
            raise RuntimeError(f"{stage.name}: {failed[0]}")
    raw = warehouse.engine.raw_connection()
    try:
        for n in range(1, monitors):
            for table in TABLES:
                _copy(raw.cursor(), table, f"model_{n:03}", n * STEP)
            raw.commit()
            if n % 10 == 0:
                print(f"{n} copies", flush=True)
    finally:
        raw.close()


def _copy(cursor: Cursor, table: str, name: str, offset: int) -> None:
    """The rows of the first monitor once more, under another name."""
    cursor.execute(COLUMNS, (table,))
    names = [column for (column,) in cursor.fetchall() if column not in GENERATED]
    picked = []
    for column in names:
        if column == "monitor":
            picked.append(sql.Literal(name))
        elif column in NUMBERED:
            picked.append(sql.SQL("{} + {}").format(sql.Identifier(column), sql.Literal(offset)))
        else:
            picked.append(sql.Identifier(column))
    statement = sql.SQL(
        "insert into monitoring.{0} ({1}) overriding system value select {2} from monitoring.{0} where monitor = {3}"
    )
    listed = sql.SQL(", ").join(map(sql.Identifier, names))
    cursor.execute(statement.format(sql.Identifier(table), listed, sql.SQL(", ").join(picked), sql.Literal(FIRST_NAME)))


# -- the queries -------------------------------------------------------------------------------------------------------


def forgetting(connection: Connection) -> Callable[[], None]:
    """Empties the buffers of Postgres, and the kernel's pages of its files."""
    with connection.cursor() as cursor:
        cursor.execute("create extension if not exists pg_buffercache")
        cursor.execute("select current_setting('data_directory')")
        place = Path(cursor.fetchone()[0]) / "base"

    def forget() -> None:
        with connection.cursor() as cursor:
            cursor.execute("select pg_buffercache_evict_all()")
        for path in place.rglob("*"):
            with suppress(FileNotFoundError):
                if path.is_file():
                    descriptor = os.open(path, os.O_RDONLY)
                    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
                    os.close(descriptor)

    return forget


def measure(connection: Connection, span: Range, forget: Callable[[], None] | None) -> Iterator[Timed]:
    """Every query of Postgres, with the values that its variables begin with."""
    for name, page in dashboards().items():
        values: dict[str, str] = {}
        for variable in page["templating"]["list"]:
            if not of_postgres(variable):
                values[variable["name"]] = str(variable.get("current", {}).get("value", ""))
                continue
            timed, rows, columns = _time(connection, expanded(variable["query"], values, span), forget)
            at = columns.index("__value") if "__value" in columns else 0
            values[variable["name"]] = str(rows[0][at]) if rows else ""
            yield Timed(name, f"variable {variable['name']}", *timed, len(rows))
        for panel, target in targets(page):
            if of_postgres(target):
                timed, rows, _ = _time(connection, expanded(target["rawSql"], values, span), forget)
                yield Timed(name, f"{panel['title']} {target['refId']}", *timed, len(rows))
        for event in page["annotations"]["list"]:
            if of_postgres(event):
                timed, rows, _ = _time(connection, expanded(event["target"]["rawSql"], values, span), forget)
                yield Timed(name, f"annotation {event['name']}", *timed, len(rows))


def _time(
    connection: Connection, query: str, forget: Callable[[], None] | None
) -> tuple[tuple[float, float], list[tuple[object, ...]], list[str]]:
    took = []
    with connection.cursor() as cursor:
        cursor.execute(query)  # what the session learns once of the tables is not the query's
        if forget is not None:
            forget()
        for _ in range(4):
            began = time.perf_counter()
            cursor.execute(query)
            rows = cursor.fetchall()
            took.append(1000 * (time.perf_counter() - began))
        cold = float("nan") if forget is None else took[0]
        return (cold, min(took[1:])), rows, [column.name for column in cursor.description]


def report(connection: Connection, days: int, slowest: int, cold: bool) -> None:
    """Sizes, the slowest queries warm and cold, and how many miss the goals."""
    with connection.cursor() as cursor:
        cursor.execute("analyze")
        cursor.execute("checkpoint")
        cursor.execute(SIZES)
        for relation, size, windows in cursor.fetchall():
            print(f"{relation:20} {size / 2**20:9.0f} MiB {size / windows / 1000:9.2f} KB a monitor and day")
    forget = forgetting(connection) if cold else None
    found = list(measure(connection, Range(FIRST, FIRST + timedelta(days=days)), forget))
    for what, key in (("warm", lambda one: -one.warm), ("cold", lambda one: -one.cold))[: 1 + cold]:
        print(f"\nslowest {what}\n{'page':12} {'query':48} {'cold':>8} {'warm':>8}  rows")
        for one in sorted(found, key=key)[:slowest]:
            print(f"{one.page:12} {one.what[:48]:48} {one.cold:8.0f} {one.warm:8.0f}  {one.rows}")
    slow, late = sum(one.warm > WARM for one in found), sum(one.cold > COLD for one in found)
    print(f"{len(found)} queries, {slow} above {WARM:.0f} ms warm, {late} above {COLD:.0f} ms cold")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("home", type=Path)
    parser.add_argument("--monitors", type=int, default=100)
    parser.add_argument("--days", type=int, default=365)
    parser.add_argument("--columns", type=int, default=50)
    parser.add_argument("--slowest", type=int, default=30)
    parser.add_argument("--cold", action=argparse.BooleanOptionalAction, default=True)
    asked = parser.parse_args()
    settings = Settings(home=asked.home.resolve())
    with Warehouse.open(settings, patience=30) as warehouse:
        with warehouse.transaction() as conn:
            empty = not conn.exec_driver_sql("select count(*) from monitoring.monitor").scalar_one()
        if empty:
            fill(warehouse, settings, asked.monitors, asked.columns, asked.days)
        url = warehouse.engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
        connection = psycopg2.connect(url)
        connection.set_session(autocommit=True)
        report(connection, asked.days, asked.slowest, asked.cold)
        connection.close()


if __name__ == "__main__":
    main()
