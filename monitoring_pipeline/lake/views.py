"""Relations over what the lake holds: predictions of many windows, the same with their winning labels."""

from __future__ import annotations

from collections.abc import Sequence

from monitoring_pipeline.errors import SourceError
from monitoring_pipeline.lake.cleaning import canonical_columns, clean_reference
from monitoring_pipeline.lake.duck import connected, file_list, identifier, protocol_of
from monitoring_pipeline.lake.relation import Relation
from monitoring_pipeline.lake.sources.files import list_files
from monitoring_pipeline.lake.sources.scan import parquet_scans
from monitoring_pipeline.monitors.declaration import Monitor
from monitoring_pipeline.settings import Settings
from monitoring_pipeline.warehouse.records import IngestedWindow

REFERENCE_WINDOW = "1970-01-01 00:00:00"


def predictions_relation(monitor: Monitor, windows: Sequence[IngestedWindow]) -> Relation:
    """Every kept prediction of these windows, under canonical columns; no rows when all of them are empty."""
    columns = canonical_columns(monitor)
    files = [path for window in windows for path in window.files]
    return Relation(_as_declared(columns, [_lake_sql(files)] if files else []), tuple(columns))


def labelled_relation(monitor: Monitor, windows: Sequence[IngestedWindow], label_files: Sequence[str]) -> Relation:
    """Predictions with ``__outcome`` (null: not labelled yet). Of several labels the latest wins: label time, then batch."""
    predictions = predictions_relation(monitor, windows)
    kind = "DOUBLE" if monitor.task == "regression" else "VARCHAR"
    columns = (*predictions.columns, "__outcome")
    if not label_files:
        return Relation(f"SELECT *, CAST(NULL AS {kind}) AS __outcome FROM ({predictions.sql})", columns)  # noqa: S608
    labels = (
        "SELECT __id, arg_max(__outcome, (coalesce(__label_time, TIMESTAMP '0001-01-01'), __batch)) AS __outcome "  # noqa: S608
        f"FROM read_parquet({file_list(label_files)}) GROUP BY __id"
    )
    picked = ", ".join(f"p.{identifier(c)}" for c in predictions.columns)
    sql = (
        f"SELECT {picked}, CAST(l.__outcome AS {kind}) AS __outcome "  # noqa: S608
        f"FROM ({predictions.sql}) p LEFT JOIN ({labels}) l ON p.__id = l.__id"
    )
    return Relation(sql, columns, predictions.protocols)


def reference_relation(monitor: Monitor, settings: Settings) -> Relation:
    """The reference under canonical columns, with ``__outcome`` (last) where ``reference.outcome`` is declared.

    ``__id`` and ``__time`` are null where the reference has none; ``__window`` is one constant. Raises SourceError when
    no file is there, one cannot be read, or a required column is missing.
    """
    source = monitor.reference
    paths = list(list_files(source, monitor.base_dir))
    if not paths:
        raise SourceError(f"reference.path: no file matches {', '.join(source.paths)}; correct the path")
    protocols = tuple(sorted({protocol_of(path) for path in paths} - {""}))
    with connected(settings, protocols) as connection:
        scans, broken = parquet_scans(connection, paths)
    if broken:
        raise SourceError("; ".join(broken.values()))
    cleaning = clean_reference(monitor, scans)
    columns = ", ".join(
        f"TIMESTAMP '{REFERENCE_WINDOW}' AS __window" if c == "__window" else identifier(c) for c in cleaning.columns
    )
    return Relation(f"SELECT {columns} FROM ({cleaning.sql}) WHERE __reason IS NULL", cleaning.columns, protocols)  # noqa: S608


def ids_sql(monitor: Monitor, windows: Sequence[IngestedWindow]) -> str:
    """__id and __window of every kept prediction."""
    return f"SELECT __id, __window FROM ({predictions_relation(monitor, windows).sql})"  # noqa: S608


def _lake_sql(files: Sequence[str]) -> str:
    return f"SELECT * FROM read_parquet({file_list(files)}, union_by_name=true, hive_partitioning=false)"  # noqa: S608


def _as_declared(columns: dict[str, str], parts: Sequence[str]) -> str:
    """The parts by name under the declared columns: a column that older files lack is null, a changed type is cast."""
    empty = ", ".join(f"CAST(NULL AS {kind}) AS {identifier(name)}" for name, kind in columns.items())
    rows = " UNION ALL BY NAME ".join([f"SELECT {empty} WHERE false", *parts])  # noqa: S608
    picked = ", ".join(f"TRY_CAST({identifier(c)} AS {kind}) AS {identifier(c)}" for c, kind in columns.items())
    return f"SELECT {picked} FROM ({rows})"  # noqa: S608
