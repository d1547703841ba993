"""Relations over what the lake holds: predictions of many windows, the same with their winning labels."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

import duckdb

from monitoring_pipeline.errors import SourceError, UnscoredError
from monitoring_pipeline.lake import store
from monitoring_pipeline.lake.cleaning import (
    canonical_columns,
    clean_predictions,
    clean_reference,
    lacks_outputs,
    missing_column,
    output_columns,
    renamed_columns,
    source_columns,
)
from monitoring_pipeline.lake.duck import connected, file_list, identifier, literal, protocol_of, register
from monitoring_pipeline.lake.relation import Relation
from monitoring_pipeline.lake.scan import ReferenceRows, RowRange, Scan
from monitoring_pipeline.lake.sources.files import how_labels_are_read, list_files, version_of
from monitoring_pipeline.lake.sources.reading import reading
from monitoring_pipeline.lake.sources.scan import Scan as FileScan
from monitoring_pipeline.lake.sources.scan import parquet_scans, same_path
from monitoring_pipeline.lake.sources.sql import is_sql, pseudo_path
from monitoring_pipeline.lake.times import timestamp
from monitoring_pipeline.monitors.declaration import Monitor
from monitoring_pipeline.records import IngestedWindow
from monitoring_pipeline.settings import Settings

REFERENCE_WINDOW = "1970-01-01 00:00:00"


def relation_of(scan: Scan) -> Relation:
    """The rows of a scan: a reference, predictions, or predictions with their labels."""
    if scan.reference is not None:
        return _reference_relation(scan.monitor, scan.reference, scan.row_range)
    if scan.labels is None:
        return predictions_relation(scan.monitor, scan.windows, scan.row_range)
    return labelled_relation(scan.monitor, scan.windows, scan.labels, scan.row_range)


def predictions_relation(monitor: Monitor, windows: Sequence[IngestedWindow], rows: RowRange | None = None) -> Relation:
    """Every kept prediction of these windows, under canonical columns; no rows when all of them are empty. ``rows``: of
    the one file that they have, only these."""
    columns = canonical_columns(monitor)
    copied = [path for window in windows if not is_in_place(window) for path in window.files]
    in_place = [window for window in windows if is_in_place(window)]
    parts = [_lake_sql(copied, rows)] if copied else []
    parts += [_in_place_sql(monitor, in_place, rows)] if in_place else []
    protocols = {protocol_of(path) for window in windows for path in window.files} - {""}
    return Relation(_as_declared(columns, parts), tuple(columns), tuple(sorted(protocols)), renamed_columns(monitor))


def labelled_relation(
    monitor: Monitor, windows: Sequence[IngestedWindow], label_files: Sequence[str], rows: RowRange | None = None
) -> Relation:
    """Predictions with ``__outcome`` (null: not labelled). Of several labels the latest wins: by time, then batch."""
    predictions = predictions_relation(monitor, windows, rows)
    kind = "DOUBLE" if monitor.task == "regression" else "VARCHAR"
    columns = (*predictions.columns, "__outcome")
    if not label_files:
        sql = f"SELECT *, CAST(NULL AS {kind}) AS __outcome FROM ({predictions.sql})"  # noqa: S608
        return Relation(sql, columns, predictions.protocols, predictions.renamed)
    labels = winning_sql(monitor, label_files, "__last.__outcome AS __outcome")
    picked = ", ".join(f"__p.{identifier(c)}" for c in predictions.columns)
    sql = (
        f"SELECT {picked}, CAST(__l.__outcome AS {kind}) AS __outcome "  # noqa: S608
        f"FROM ({predictions.sql}) __p LEFT JOIN ({labels}) __l ON __p.__id = __l.__id"
    )
    return Relation(sql, columns, predictions.protocols, predictions.renamed)


def reference_relation(monitor: Monitor, settings: Settings) -> Relation:
    """The reference under canonical columns, with ``__outcome`` (last) where ``reference.outcome`` is declared.

    ``__id`` and ``__time`` are null where the reference has none; ``__window`` is one constant. Raises as
    ``prepared_reference``.
    """
    return _reference_relation(monitor, prepared_reference(monitor, settings), None)


def prepared_reference(monitor: Monitor, settings: Settings) -> ReferenceRows:
    """The reference as files that can be scanned: Parquet in place; text and tables are first copied to the lake.

    Of one that holds features alone, the copy that a registered model scored (``lake.unscored``). Raises SourceError
    when no file is there, one cannot be read, or a required column is missing; UnscoredError when nobody scored it yet.
    """
    source = monitor.reference
    paths = reference_paths(monitor)
    if not paths:
        raise SourceError(f"reference.path: no file matches {', '.join(source.paths)}; correct the path")
    time_column, wanted = monitor.schema_.event_time, source_columns(monitor, source.outcome)
    protocols = {protocol_of(path) for path in paths} - {""}
    with (
        connected(settings, protocols) as connection,
        reading(connection, monitor, source, time_column, settings, wanted) as reader,
    ):
        scans, broken = reader.scans(paths)
        if broken:
            raise SourceError("; ".join(broken.values()))
        if lacks_outputs(monitor, scans):
            return _scored_copy(monitor, scans, paths, settings)
        sql = _cleaned_reference_sql(monitor, scans, None)
        if not any(scan.staged for scan in scans):
            return ReferenceRows(tuple(paths))
        path = store.join(settings.lake, monitor.name, "reference", f"{_reference_version(monitor, paths)}.parquet")
        store.write_parquet(connection, sql, path)
        return ReferenceRows((path,), copied=True)


def _scored_copy(
    monitor: Monitor, scans: Sequence[FileScan], paths: Sequence[str], settings: Settings
) -> ReferenceRows:
    path = scored_path(monitor, paths, settings)
    if store.exists(path):
        return ReferenceRows((path,), copied=True)
    field, column = next(iter(output_columns(monitor).items()))
    said = missing_column(scans[0].source, column, field, scans[0].columns)
    raise UnscoredError(
        f"{said}; or register the model that made the predictions, with its artifact: it then scores the reference"
    )


def scored_path(monitor: Monitor, paths: Sequence[str], settings: Settings) -> str:
    """Where the scored copy of a reference of features alone lies: another one for other files or columns."""
    versions = [str(version_of(path)) for path in paths if not is_sql(path)]
    declared = json.dumps([monitor.canonical()[key] for key in ("task", "schema", "reference", "segments")])
    digest = hashlib.sha256("\n".join([*paths, *versions, declared]).encode()).hexdigest()[:16]
    return store.join(settings.lake, monitor.name, "reference", f"scored-{digest}.parquet")


def reference_paths(monitor: Monitor) -> list[str]:
    """What the reference's source stands for now: files, or its query's own name."""
    source = monitor.reference
    return [pseudo_path(source, None)] if source.url else list(list_files(source, monitor.base_dir))


def _reference_relation(monitor: Monitor, reference: ReferenceRows, rows: RowRange | None) -> Relation:
    columns = canonical_columns(monitor, monitor.reference.outcome)
    protocols = {protocol_of(path) for path in reference.files} - {""}
    if reference.copied:
        sql = _lake_sql(reference.files, rows)
    else:
        sql = _cleaned_reference_sql(monitor, _scans_in_place(reference.files), rows)
    if reference.sliced_after is not None:
        slices = (
            f"CASE WHEN __time > TIMESTAMP '{timestamp(reference.sliced_after)}'"
            f" THEN date_trunc('{monitor.window}', __time) ELSE __window END AS __window"
        )
        sql = f"SELECT * REPLACE ({slices}) FROM ({sql})"  # noqa: S608
    if reference.version is not None:
        sql = f"SELECT * FROM ({sql}) WHERE __version = {literal(reference.version)}"  # noqa: S608
    return Relation(sql, tuple(columns), tuple(sorted(protocols)), renamed_columns(monitor))


def _cleaned_reference_sql(monitor: Monitor, scans: Sequence[FileScan], rows: RowRange | None) -> str:
    cleaning = clean_reference(monitor, scans)
    columns = ", ".join(
        f"TIMESTAMP '{REFERENCE_WINDOW}' AS __window" if c == "__window" else identifier(c) for c in cleaning.columns
    )
    good = f"__reason IS NULL{_within_bounds(monitor)}{_within(rows, '__row')}"
    return f"SELECT {columns} FROM ({cleaning.sql}) WHERE {good}"  # noqa: S608


def _scans_in_place(paths: Sequence[str]) -> list[FileScan]:
    """Parquet files by their schemas. Raises SourceError when one cannot be read."""
    connection = duckdb.connect()
    try:
        register(connection, {protocol_of(path) for path in paths})
        scans, broken = parquet_scans(connection, paths)
    finally:
        connection.close()
    if broken:
        raise SourceError("; ".join(broken.values()))
    return scans


def _within(rows: RowRange | None, column: str) -> str:
    """Bounds on the number of a row in its file; DuckDB then reads the row groups that hold these rows alone."""
    return "" if rows is None else f" AND {column} >= {rows[0]} AND {column} < {rows[1]}"


def _within_bounds(monitor: Monitor) -> str:
    """``from`` and ``to`` of the reference: it may be a stretch of the prediction log."""
    start, end = monitor.reference.from_, monitor.reference.to
    after = f" AND __time >= TIMESTAMP '{timestamp(start)}'" if start else ""
    return after + (f" AND __time < TIMESTAMP '{timestamp(end)}'" if end else "")


def _reference_version(monitor: Monitor, paths: Sequence[str]) -> str:
    versions = [str(version_of(path)) for path in paths if not is_sql(path)]
    text = "\n".join([*paths, *versions, monitor.config_version])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


LATER = "__as_declared, coalesce(__label_time, TIMESTAMP '0001-01-01')"  # of two labels of one id, the greater wins


def winning_sql(monitor: Monitor, label_files: Sequence[str], picked: str) -> str:
    """Of each id in the lake's label files ``__id`` and what is ``picked`` from the winning row ``__last``.

    What was read as the monitor now declares it wins over what was read otherwise, when the declaration was mistaken.
    """
    read = labels_sql(monitor, label_files)
    last = f"arg_max(struct_pack(__outcome, __label_time), ({LATER}, __batch))"
    return f"SELECT __id, {picked} FROM (SELECT __id, {last} AS __last FROM ({read}) GROUP BY __id)"  # noqa: S608


def labels_sql(monitor: Monitor, label_files: Sequence[str]) -> str:
    """The rows of some of the lake's label files, at least one; ``__as_declared``: read as the monitor now declares."""
    now = set(as_declared(monitor, label_files))
    parts = (("true", sorted(now)), ("false", [path for path in label_files if path not in now]))
    return " UNION ALL BY NAME ".join(
        f"SELECT *, {read} AS __as_declared FROM read_parquet({file_list(files)})"  # noqa: S608
        for read, files in parts
        if files
    )


def as_declared(monitor: Monitor, label_files: Sequence[str]) -> list[str]:
    """Those of the lake's label files that were read as the monitor now declares its ground truth."""
    mark = label_mark(monitor)
    return [path for path in label_files if mark in path.rpartition("/")[2]]


def label_mark(monitor: Monitor) -> str:
    """Part of the name of every label file: how the ground truth was read."""
    return f"-as{how_labels_are_read(monitor)}-"


def ids_sql(monitor: Monitor, windows: Sequence[IngestedWindow]) -> str:
    """__id and __window of every kept prediction."""
    return f"SELECT __id, __window FROM ({predictions_relation(monitor, windows).sql})"  # noqa: S608


def is_in_place(window: IngestedWindow) -> bool:
    """Whether a window's rows are read from the source's own files.

    Copies are named by their data version; what is not named so is the source itself.
    """
    return bool(window.files) and not window.files[0].endswith(f"/{window.data_version}.parquet")


def _in_place_sql(monitor: Monitor, windows: Sequence[IngestedWindow], rows: RowRange | None) -> str:
    """The rows that ingestion counted, cleaned again on the way: each file for its windows only, nothing after the
    window's last event (later ones were in the future then), duplicates removed where some were found."""
    scans = _scans_in_place(sorted({path for window in windows for path in window.files}))
    cleaning = clean_predictions(
        monitor, scans, min(w.window for w in windows).start, max(w.window for w in windows).end
    )
    listed = ", ".join(
        f"({literal(same_path(path))}, TIMESTAMP '{timestamp(w.window.start)}', TIMESTAMP '{timestamp(w.last_event)}')"
        for w in windows
        for path in w.files
        if w.last_event is not None
    )
    spelled = "regexp_replace(__file, '^([a-z0-9+]+)://+', '\\1://')"
    kept = (
        f"SELECT __r.* FROM ({cleaning.sql}) __r JOIN (VALUES {listed}) __l(__f, __w, __until)"  # noqa: S608
        f" ON {spelled} = __l.__f AND __r.__window = __l.__w AND __r.__time <= __l.__until"
        f" WHERE __r.__reason IS NULL{_within(rows, '__r.__row')}"
    )
    columns = ", ".join(identifier(c) for c in cleaning.columns)
    if any(window.n_duplicates for window in windows):
        kept += " QUALIFY row_number() OVER (PARTITION BY __window, __id ORDER BY __time, __file, __row) = 1"
    return f"SELECT {columns} FROM ({kept})"  # noqa: S608


def _lake_sql(files: Sequence[str], rows: RowRange | None = None) -> str:
    options = "union_by_name=true, hive_partitioning=false"
    if rows is None:
        return f"SELECT * FROM read_parquet({file_list(files)}, {options})"  # noqa: S608
    numbered = f"read_parquet({file_list(files)}, {options}, file_row_number=true)"
    return f"SELECT * EXCLUDE (file_row_number) FROM {numbered} WHERE true{_within(rows, 'file_row_number')}"  # noqa: S608


def _as_declared(columns: dict[str, str], parts: Sequence[str]) -> str:
    """The parts by name under the declared columns: a column that older files lack is null, a changed type is cast."""
    empty = ", ".join(f"CAST(NULL AS {kind}) AS {identifier(name)}" for name, kind in columns.items())
    rows = " UNION ALL BY NAME ".join([f"SELECT {empty} WHERE false", *parts])
    picked = ", ".join(f"TRY_CAST({identifier(c)} AS {kind}) AS {identifier(c)}" for c, kind in columns.items())
    return f"SELECT {picked} FROM ({rows})"  # noqa: S608
