"""Which classes an outcome has, over all rows: what says that a positive class is declared as the data never has it."""

from __future__ import annotations

from collections.abc import Sequence

import duckdb

from monitoring_pipeline.lake import values
from monitoring_pipeline.lake.duck import connected
from monitoring_pipeline.lake.relation import Relation
from monitoring_pipeline.lake.sources import sql
from monitoring_pipeline.lake.sources.files import list_files
from monitoring_pipeline.lake.sources.reading import reading
from monitoring_pipeline.lake.sources.scan import unreadable_named
from monitoring_pipeline.lake.times import timestamp, utc_sql
from monitoring_pipeline.monitors.declaration import Monitor, Source
from monitoring_pipeline.settings import Settings

MOST_CLASSES = 1000


def classes_in_source(monitor: Monitor, source: Source, column: str, settings: Settings) -> list[str]:
    """Class labels as they are compared, the most frequent first; of the reference, within its ``from`` and ``to``.

    Files that cannot be read, or lack the column, are passed over. Raises SourceError when the source cannot be listed,
    or pages of a file are damaged.
    """
    time, reference = monitor.schema_.event_time, monitor.reference
    bounded = source is reference and bool(reference.from_ or reference.to)
    wanted = [column, *([time] if bounded else [])]
    paths = [sql.pseudo_path(source, None)] if source.url else list(list_files(source, monitor.base_dir))
    with connected(settings) as connection, reading(connection, monitor, source, None, settings, wanted) as reader:
        scans, _ = reader.scans(paths)
        parts = []
        for scan in scans:
            if column not in scan.columns:
                continue
            where = ""
            if bounded and time in scan.columns:
                where = _within(monitor, utc_sql(scan.column(time), scan.columns[time], monitor.schema_.timezone))
            label = values.class_label(scan.column(column), scan.columns[column]).sql
            parts.append(f"SELECT {label} AS __label FROM ({scan.from_sql(wanted)}){where}")  # noqa: S608
        with unreadable_named(connection, [path for scan in scans for path in scan.files]):
            return _frequent(connection, f"({' UNION ALL '.join(parts)})") if parts else []


def classes_in_relations(relations: Sequence[Relation], files: Sequence[str], settings: Settings) -> list[str]:
    """The same of relations with ``__outcome`` over these files, all of them together."""
    protocols = {protocol for relation in relations for protocol in relation.protocols}
    with connected(settings, protocols) as connection, unreadable_named(connection, files):
        parts = " UNION ALL ".join(f"SELECT __outcome AS __label FROM ({r.sql})" for r in relations)  # noqa: S608
        return _frequent(connection, f"({parts})")


def no_positive_class(monitor: Monitor, column: str, where: str, met: Sequence[str]) -> str | None:
    """What is wrong when the positive class is none of the classes ``met``; None when nothing is."""
    positive = monitor.schema_.positive_class
    if monitor.task != "binary" or not met or positive in met:
        return None
    said = f"the outcome {column!r} of the {where} is {some(met)}, never {positive!r}"
    return f"{said}; write the value that counts as positive"


def some(classes: Sequence[str]) -> str:
    """The first five, quoted."""
    return ", ".join(map(repr, classes[:5])) + (", …" if len(classes) > 5 else "")


def _frequent(connection: duckdb.DuckDBPyConnection, rows: str) -> list[str]:
    found = connection.execute(
        f"SELECT __label, count(*) FROM {rows} WHERE __label IS NOT NULL"  # noqa: S608
        f" GROUP BY __label ORDER BY 2 DESC, 1 LIMIT {MOST_CLASSES}"
    ).fetchall()
    return [str(label) for label, _ in found]


def _within(monitor: Monitor, time: str) -> str:
    start, end = monitor.reference.from_, monitor.reference.to
    bounds = [f"{time} >= TIMESTAMP '{timestamp(start)}'"] if start else []
    bounds += [f"{time} < TIMESTAMP '{timestamp(end)}'"] if end else []
    return f" WHERE {' AND '.join(bounds)}"
