"""Ground truth: labels taken in by numbered batches, joined to windows by prediction id, the rest kept for later."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import duckdb

from monitoring_pipeline.errors import SourceError
from monitoring_pipeline.lake import store, values
from monitoring_pipeline.lake.cleaning import BROKEN_ROW, NO_ID, missing_column
from monitoring_pipeline.lake.duck import connected, literal, protocol_of
from monitoring_pipeline.lake.sources.files import version_of
from monitoring_pipeline.lake.sources.reading import Reader, reading
from monitoring_pipeline.lake.sources.scan import Scan, find_unreadable
from monitoring_pipeline.lake.sources.sql import is_sql
from monitoring_pipeline.lake.times import aware, utc_sql
from monitoring_pipeline.lake.views import LATER, as_declared, ids_sql, label_mark, labels_sql, winning_sql
from monitoring_pipeline.monitors.declaration import Monitor
from monitoring_pipeline.records import IngestedWindow, LabelBatch
from monitoring_pipeline.settings import Settings

NO_OUTCOME = "no outcome"
NOT_NUMERIC = "outcome is not a number"


def take_in_batch(
    monitor: Monitor,
    batch: int,
    files: Sequence[str],
    windows: Sequence[IngestedWindow],
    pending: Sequence[str],
    lake_root: str,
    settings: Settings,
    known_labels: Sequence[str] = (),
) -> LabelBatch:
    """Join the labels in ``files`` and those still ``pending`` to the ingested ``windows``; write one file a window.

    Of several labels of an id in this intake the last wins: by label time, then by batch, file and row. ``n_rows``
    counts the rows of ``files``; ``n_unknown`` the labels without a prediction after this batch, all of them in
    ``pending_file``, which takes the place of every file in ``pending``. A label that ``known_labels`` (lake files of
    earlier batches) hold already, same outcome and time, is left out and counted in ``n_unchanged``: a label file that
    grows does not make every window stale. Raises SourceError (unreadable file, missing column), WindowError (the lake
    refuses); nothing that was written then is referred to, and the same batch can be taken in again.
    """
    lake_files = [*pending, *known_labels, *(path for window in windows for path in window.files)]
    protocols = {protocol_of(path) for path in (lake_root, *lake_files)}
    if monitor.ground_truth is None:
        raise SourceError(f"{monitor.name}: declares no `ground_truth`, so there are no labels to take in")
    with (
        connected(settings, protocols) as connection,
        reading(connection, monitor, monitor.ground_truth, None, settings, list(_columns(monitor).values())) as reader,
    ):
        try:
            return _joined(reader, monitor, batch, files, windows, pending, lake_root, known_labels)
        except duckdb.OutOfMemoryException:
            raise
        except duckdb.Error as error:
            raise find_unreadable(connection, files, error) from error


def _joined(
    reader: Reader,
    monitor: Monitor,
    batch: int,
    files: Sequence[str],
    windows: Sequence[IngestedWindow],
    pending: Sequence[str],
    lake_root: str,
    known_labels: Sequence[str],
) -> LabelBatch:
    connection = reader.connection
    n_rows, quarantine = _read_labels(reader, monitor, batch, files)
    stem = _batch_name(monitor, batch, files)
    _put_aside(connection, quarantine, store.join(lake_root, monitor.name, "quarantine", f"labels-{stem}"))
    n_duplicates = _keep_last(connection, monitor, pending)
    n_unchanged = _drop_unchanged(connection, monitor, known_labels)
    _match(connection, monitor, windows)
    return LabelBatch(
        batch=batch,
        n_rows=n_rows,
        n_matched=_number(connection, "SELECT count(DISTINCT __id) FROM __matched"),
        n_unknown=_number(connection, "SELECT count(*) FROM __unmatched"),
        n_duplicates=n_duplicates,
        n_quarantined=sum(quarantine.values()),
        quarantine=quarantine,
        n_unchanged=n_unchanged,
        **_write(connection, monitor, batch, stem, lake_root),
    )


def _read_labels(reader: Reader, monitor: Monitor, batch: int, files: Sequence[str]) -> tuple[int, dict[str, int]]:
    """Fill ``__labels`` from the files. Returns rows read, and refused rows by reason."""
    connection = reader.connection
    scans, broken = reader.scans(files)
    if broken:
        raise SourceError("; ".join(broken.values()))
    parts = [_clean_labels(monitor, scan) for scan in scans]
    kind = "DOUBLE" if monitor.task == "regression" else "VARCHAR"
    parts.append(
        f"SELECT CAST(NULL AS VARCHAR) AS __id, CAST(NULL AS {kind}) AS __outcome,"
        " CAST(NULL AS TIMESTAMP) AS __label_time,"
        "'' AS __file, CAST(0 AS BIGINT) AS __row, CAST(NULL AS VARCHAR) AS __reason WHERE false"
    )
    connection.execute(
        f"CREATE TEMP TABLE __labels AS SELECT *, CAST({batch} AS BIGINT) AS __batch FROM ({' UNION ALL '.join(parts)})"  # noqa: S608
    )
    connection.execute(
        "INSERT INTO __labels BY NAME SELECT __file, __line - 1 AS __row, $why || __reason AS __reason, 0 AS __batch"
        " FROM __rejected",
        {"why": f"{BROKEN_ROW}: "},
    )
    rows = connection.execute("SELECT __reason, count(*) FROM __labels GROUP BY __reason ORDER BY __reason").fetchall()
    refused: Counter[str] = Counter()
    for reason, n in rows:
        if reason is not None:
            refused[reason.partition(":")[0]] += n
    return sum(n for _, n in rows), dict(refused)


def _columns(monitor: Monitor) -> dict[str, str]:
    """Columns of the label source, by the field that declares them."""
    truth = monitor.ground_truth
    assert truth is not None
    names = {
        "ground_truth.prediction_id": truth.prediction_id or monitor.schema_.prediction_id,
        "ground_truth.outcome": truth.outcome,
    }
    return names | ({"ground_truth.label_time": truth.label_time} if truth.label_time else {})


def _clean_labels(monitor: Monitor, scan: Scan) -> str:
    names = _columns(monitor)
    for field, column in names.items():
        if column not in scan.columns:
            raise SourceError(missing_column(scan.source, column, field, scan.columns))
    id_column, outcome_column = names["ground_truth.prediction_id"], names["ground_truth.outcome"]
    time_column = names.get("ground_truth.label_time")
    key = values.key(scan.column(id_column), scan.columns[id_column])
    raw, kind = scan.column(outcome_column), scan.columns[outcome_column]
    numeric = monitor.task == "regression"
    outcome = values.numerical(raw, kind) if numeric else values.class_label(raw, kind)
    time = "CAST(NULL AS TIMESTAMP)"
    if time_column:
        time = utc_sql(scan.column(time_column), scan.columns[time_column], monitor.schema_.timezone)
    cases = [("__id IS NULL", NO_ID), (f"{outcome.invalid or 'false'}", NOT_NUMERIC), ("__outcome IS NULL", NO_OUTCOME)]
    cases += [("NOT isfinite(__outcome)", NOT_NUMERIC)] if numeric else []
    reason = "CASE " + " ".join(f"WHEN {test} THEN {literal(why)}" for test, why in cases) + " END"
    typed = f"SELECT *, {key} AS __id, {outcome.sql} AS __outcome, {time} AS __label_time"
    rows = f"{typed} FROM ({scan.from_sql([id_column, outcome_column, time_column or ''])})"
    return f"SELECT __id, __outcome, __label_time, __file, __row, {reason} AS __reason FROM ({rows})"  # noqa: S608


def _put_aside(connection: duckdb.DuckDBPyConnection, quarantine: Mapping[str, int], path: str) -> None:
    if quarantine:
        sql = (
            "SELECT __reason AS reason, __file AS source_file, __row + 1 AS source_row, __id, __outcome, __label_time "
            "FROM __labels WHERE __reason IS NOT NULL ORDER BY __file, __row"
        )
        store.write_parquet(connection, sql, path)


def _keep_last(connection: duckdb.DuckDBPyConnection, monitor: Monitor, pending: Sequence[str]) -> int:
    """Fill ``__winning``: one label an id. Returns how many good rows of the new files gave way to another of them."""
    counts = connection.execute(
        "SELECT count(*), count(DISTINCT __id) FROM __labels WHERE __reason IS NULL"
    ).fetchone() or (0, 0)
    connection.execute("ALTER TABLE __labels ADD COLUMN __as_declared BOOLEAN DEFAULT true")
    if pending:
        connection.execute(
            "INSERT INTO __labels BY NAME SELECT __id, __outcome, __label_time, __batch, '' AS __file, 0 AS __row,"  # noqa: S608
            f" __as_declared FROM ({labels_sql(monitor, pending)})"
        )
    connection.execute(
        "CREATE TEMP TABLE __winning AS SELECT __id, unnest(arg_max("  # noqa: S608
        "struct_pack(__outcome := __outcome, __label_time := __label_time, __batch := __batch), "
        f"({LATER}, __batch, __file, __row))) FROM __labels WHERE __reason IS NULL GROUP BY __id"
    )
    return int(counts[0] - counts[1])


def _drop_unchanged(connection: duckdb.DuckDBPyConnection, monitor: Monitor, known_labels: Sequence[str]) -> int:
    """Take out of ``__winning`` what the lake holds already, read as now declared. Returns how many."""
    now = as_declared(monitor, known_labels)
    if not now:
        return 0
    known = winning_sql(monitor, now, "__last.__outcome AS __outcome, __last.__label_time AS __label_time")
    row = connection.execute(
        f"DELETE FROM __winning __w USING ({known}) __k WHERE __w.__id = __k.__id"  # noqa: S608
        " AND __w.__outcome IS NOT DISTINCT FROM __k.__outcome"
        " AND __w.__label_time IS NOT DISTINCT FROM __k.__label_time"
    ).fetchone()
    return int(row[0]) if row else 0


def _match(connection: duckdb.DuckDBPyConnection, monitor: Monitor, windows: Sequence[IngestedWindow]) -> None:
    """Split ``__winning`` into ``__matched`` (with the window) and ``__unmatched``."""
    connection.execute(
        "CREATE TEMP TABLE __matched AS SELECT __p.__window, __w.* "  # noqa: S608
        f"FROM __winning __w JOIN ({ids_sql(monitor, windows)}) __p ON __p.__id = __w.__id ORDER BY __p.__window"
    )
    connection.execute(
        "CREATE TEMP TABLE __unmatched AS SELECT * FROM __winning __w"
        " WHERE NOT EXISTS (FROM __matched __m WHERE __m.__id = __w.__id)"
    )


def _write(
    connection: duckdb.DuckDBPyConnection, monitor: Monitor, batch: int, stem: str, lake_root: str
) -> dict[str, Any]:
    counts: dict[datetime, int] = {}
    files: dict[datetime, str] = {}
    found = connection.execute("SELECT __window, count(*) FROM __matched GROUP BY 1 ORDER BY 1").fetchall()
    for start, n in found:
        window = aware(start)
        path = store.join(lake_root, monitor.name, "labels", store.window_directory(window), stem)
        # Later labels win by batch: a label that waited belongs to the batch that brought it to its prediction.
        sql = (
            f"SELECT __id, __outcome, __label_time, CAST({batch} AS BIGINT) AS __batch FROM __matched "  # noqa: S608
            f"WHERE __window = TIMESTAMP '{start}'"
        )
        store.write_parquet(connection, sql, path)
        counts[window], files[window] = n, path
    pending = None
    if _number(connection, "SELECT count(*) FROM __unmatched"):
        pending = store.join(lake_root, monitor.name, "labels", "pending", stem)
        store.write_parquet(connection, "SELECT * FROM __unmatched", pending)
    return {"windows": counts, "files": files, "pending_file": pending}


def _batch_name(monitor: Monitor, batch: int, files: Sequence[str]) -> str:
    """Names what was taken in, so that the same batch number with other files is another file."""
    text = "\n".join(path if is_sql(path) else f"{path} {version_of(path)}" for path in sorted(files))
    return f"batch-{batch}{label_mark(monitor)}{hashlib.sha256(text.encode()).hexdigest()[:8]}.parquet"


def _number(connection: duckdb.DuckDBPyConnection, sql: str) -> int:
    row = connection.execute(sql).fetchone()
    return int(row[0]) if row else 0
