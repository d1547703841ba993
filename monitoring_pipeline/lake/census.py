"""Counts over all rows of a source, where a sample would mislead: rows by day, repeated ids, how labels lag."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import duckdb

from monitoring_pipeline.errors import SourceError
from monitoring_pipeline.lake import values
from monitoring_pipeline.lake.duck import connected
from monitoring_pipeline.lake.sources import sql
from monitoring_pipeline.lake.sources.files import list_files
from monitoring_pipeline.lake.sources.reading import Reader, reading
from monitoring_pipeline.lake.times import FUTURE_TOLERANCE, aware, timestamp, utc_sql
from monitoring_pipeline.monitors.declaration import Monitor, Source
from monitoring_pipeline.monitors.summary import LabelDelays, Repeats, Whole
from monitoring_pipeline.settings import Settings

COUNTED_IDS = 2_000_000  # of more, those whose hash falls on one in so many are counted: all copies of an id, or none
_ORDERED_ROWS = 200_000


@dataclass(frozen=True)
class Census:
    """``repeats`` by column; ``alternation`` by column: changes of the value from row to row in the order of time, as
    a share of those that shuffled rows would have (near 0: few steps; near 1: values side by side)."""

    whole: Whole
    repeats: dict[str, Repeats]
    alternation: dict[str, float]


def take_census(
    monitor: Monitor,
    source: Source,
    settings: Settings,
    time: str | None,
    ids: Sequence[str],
    versions: Sequence[str],
    now: datetime | None = None,
) -> Census:
    """Look at every row of the source, in these columns only. Files that cannot be read are left out and counted.

    Rows by UTC day leave out times after ``now``. Raises SourceError when there is no file.
    """
    wanted = [name for name in dict.fromkeys([time, *ids, *versions]) if name is not None]
    with _reader(monitor, source, settings, wanted) as (reader, paths):
        rows, n_unread = _rows(reader, paths, time, ids, versions, monitor.schema_.timezone)
        whole = _whole(reader.connection, rows, now or datetime.now(UTC), n_unread)
        step = max(1, whole.n_rows // COUNTED_IDS)
        repeats = {name: _repeats(reader.connection, rows, f"__k{i}", step) for i, name in enumerate(ids)}
        step = max(1, whole.n_rows // _ORDERED_ROWS)
        found = {name: _alternation(reader.connection, rows, f"__v{i}", step) for i, name in enumerate(versions)}
    return Census(whole, repeats, {name: share for name, share in found.items() if share is not None})


def label_delays(
    log: tuple[Monitor, Source, str, str], truth: tuple[Monitor, Source, str, str], settings: Settings
) -> LabelDelays:
    """How long after the prediction its outcome became known, of the labels at hand.

    Each side is (monitor that says the zone, source, column of the id, column of the time). Of several labels of an id
    the first counts, since a later one corrects it. Of large sources one id in so many is looked at, on both sides.
    """
    tables = []
    with connected(settings) as connection:
        for name, (monitor, source, key, time) in (("__logged", log), ("__labelled", truth)):
            with reading(connection, monitor, source, None, settings, [key, time]) as reader:
                paths = _paths(monitor, source)
                rows, _ = _rows(reader, paths, time, [key], [], monitor.schema_.timezone)
                (n,) = _first(connection, f"SELECT count(*) FROM {rows}")  # noqa: S608
                tables.append(n)
                step = max(1, tables[0] // COUNTED_IDS)
                connection.execute(
                    f"CREATE TEMP TABLE {name} AS SELECT hash(__k0) AS __h, min(__t) AS __first FROM {rows}"  # noqa: S608
                    f" WHERE __k0 IS NOT NULL AND __t IS NOT NULL AND hash(__k0) % {step} = 0 GROUP BY ALL"
                )
        seconds = "epoch(__labelled.__first) - epoch(__logged.__first)"
        n, early, most, nearly_most = _first(
            connection,
            f"SELECT count(*), count(*) FILTER (__s < 0), max(__s), quantile_cont(__s, 0.99)"  # noqa: S608
            f" FROM (SELECT {seconds} AS __s FROM __logged JOIN __labelled USING (__h))",
        )
    return LabelDelays(int(n), int(early), timedelta(seconds=most or 0), timedelta(seconds=nearly_most or 0))


def ids_of(
    connection: duckdb.DuckDBPyConnection, monitor: Monitor, source: Source, column: str, settings: Settings
) -> str:
    """SQL of every ``__id`` in a column of the source, as ids are compared; copied to a temporary table."""
    table = f"__all_ids_{len(connection.execute('SHOW TABLES').fetchall())}"
    with reading(connection, monitor, source, None, settings, [column]) as reader:
        rows, _ = _rows(reader, _paths(monitor, source), None, [column], [], monitor.schema_.timezone)
        connection.execute(f"CREATE TEMP TABLE {table} AS SELECT DISTINCT __k0 AS __id FROM {rows}")  # noqa: S608
    return f"SELECT __id FROM {table}"  # noqa: S608


@contextmanager
def _reader(
    monitor: Monitor, source: Source, settings: Settings, wanted: Sequence[str]
) -> Iterator[tuple[Reader, list[str]]]:
    with connected(settings) as connection, reading(connection, monitor, source, None, settings, wanted) as reader:
        yield reader, _paths(monitor, source)


def _paths(monitor: Monitor, source: Source) -> list[str]:
    if source.url is not None:
        return [sql.pseudo_path(source, None)]
    return list(list_files(source, monitor.base_dir))


def _rows(
    reader: Reader, paths: Sequence[str], time: str | None, ids: Sequence[str], versions: Sequence[str], zone: str
) -> tuple[str, int]:
    """What stands behind FROM: __t, __k0 …, __v0 …, __f and __r of each row; and how many files cannot be read.

    Each scan is typed on its own: files need not agree in the type of a column.
    """
    scans, broken = reader.scans(paths)
    if not scans:
        raise SourceError("; ".join(broken.values()) or "there is no file to read")
    parts = []
    for scan in scans:
        met = scan.columns
        moment = (
            utc_sql(scan.column(time), met[time], zone)
            if time is not None and time in met
            else "CAST(NULL AS TIMESTAMP)"
        )
        picked = [f"{moment} AS __t"]
        for prefix, names in (("__k", ids), ("__v", versions)):
            for i, name in enumerate(names):
                value = values.key(scan.column(name), met[name]) if name in met else "CAST(NULL AS VARCHAR)"
                picked.append(f"{value} AS {prefix}{i}")
        columns = [name for name in (time, *ids, *versions) if name is not None]
        picked += ["hash(__file) AS __f", "__row AS __r"]
        parts.append(f"SELECT {', '.join(picked)} FROM ({scan.from_sql(columns)})")  # noqa: S608
    return f"({' UNION ALL '.join(parts)})", len(broken)


def _whole(connection: duckdb.DuckDBPyConnection, rows: str, now: datetime, n_unread: int) -> Whole:
    future = f"__t > TIMESTAMP '{timestamp(now + FUTURE_TOLERANCE)}'"
    found = connection.execute(
        f"SELECT coalesce({future}, false), date_trunc('day', __t), count(*), min(__t), max(__t)"  # noqa: S608
        f" FROM {rows} GROUP BY ALL ORDER BY 2"
    ).fetchall()
    (n_hours,) = _first(
        connection,
        f"SELECT count(DISTINCT date_trunc('hour', __t)) FROM {rows} WHERE NOT coalesce({future}, false)",  # noqa: S608
    )
    past = [(day, n, first, last) for ahead, day, n, first, last in found if not ahead and day is not None]
    return Whole(
        n_rows=sum(n for _, _, n, *_ in found),
        days=tuple((aware(day).date(), n, aware(first), aware(last)) for day, n, first, last in past),
        n_hours=int(n_hours),
        n_future=sum(n for ahead, _, n, *_ in found if ahead),
        n_untimed=sum(n for _, day, n, *_ in found if day is None),
        n_unread_files=n_unread,
    )


def _repeats(connection: duckdb.DuckDBPyConnection, rows: str, column: str, step: int) -> Repeats:
    n, once, once_a_file = _first(
        connection,
        "SELECT count(*), count(DISTINCT __h), count(DISTINCT hash(__h, __f)) FROM"  # noqa: S608
        f" (SELECT hash({column}) AS __h, __f FROM {rows} WHERE {column} IS NOT NULL) WHERE __h % {step} = 0",
    )
    return Repeats(1 - once / n, 1 - once_a_file / n) if n else Repeats(0.0, 0.0)


def _alternation(connection: duckdb.DuckDBPyConnection, rows: str, column: str, step: int) -> float | None:
    """Rows of one moment are shuffled: a batch that is written in order of a column is no change over time."""
    some = f"SELECT {column} AS __v, __t, hash(__f, __r) AS __h FROM {rows}"  # noqa: S608
    some += f" WHERE {column} IS NOT NULL AND __t IS NOT NULL"
    some = f"SELECT __v, lag(__v) OVER (ORDER BY __t, __h) AS __before FROM ({some}) WHERE __h % {step} = 0"  # noqa: S608
    n, changes = _first(
        connection,
        f"SELECT count(*), count(*) FILTER (__before IS NOT NULL AND __v != __before) FROM ({some})",  # noqa: S608
    )
    (alike,) = _first(
        connection,
        f"SELECT sum(__k * __k) FROM (SELECT count(*) AS __k FROM ({some}) GROUP BY __v)",  # noqa: S608
    )
    if n < 2:
        return None
    expected = (n - 1) * (1 - float(alike) / (n * n))
    return changes / expected if expected else 0.0


def _first(connection: duckdb.DuckDBPyConnection, statement: str) -> tuple[Any, ...]:
    row = connection.execute(statement).fetchone()
    assert row is not None
    return row
