"""Ingestion of one window: rows of the sources cleaned, duplicates removed, refused rows put aside, the rest written."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

import duckdb

from monitoring_pipeline.errors import SourceError, UserError
from monitoring_pipeline.lake import store
from monitoring_pipeline.lake.cleaning import Cleaning, clean_predictions
from monitoring_pipeline.lake.duck import connected, identifier, protocol_of, register
from monitoring_pipeline.lake.sources.files import version_of
from monitoring_pipeline.lake.sources.scan import Scan, find_unreadable, parquet_scans
from monitoring_pipeline.lake.times import aware
from monitoring_pipeline.monitors.declaration import Monitor
from monitoring_pipeline.monitors.windows import Window
from monitoring_pipeline.settings import Settings
from monitoring_pipeline.warehouse.records import Contract, FileVersion, IngestedWindow, WindowFailure

# Up to so many rows (by the files' footers) the cleaned window is kept in DuckDB between statements; beyond, it is read again.
_KEEP_ROWS = 500_000
# Grows when cleaning changes its mind about the same bytes, so that windows are written anew.
_CLEANING = 1


def ingest_window(
    monitor: Monitor,
    window: Window,
    paths: Sequence[str],
    lake_root: str,
    settings: Settings,
    now: datetime | None = None,
) -> IngestedWindow:
    """Take one window in from ``paths`` (the files that the index says hold rows of it).

    Running twice writes the same file. Raises WindowError (a required column is missing, the lake is full) or
    SourceError (a file cannot be read); then nothing new lies in the lake.
    """
    with ingestion(monitor, lake_root, settings, now) as opened:
        return opened.take_in(window, paths)


def ingest_windows(
    monitor: Monitor,
    paths: Mapping[Window, Sequence[str]],
    lake_root: str,
    settings: Settings,
    now: datetime | None = None,
) -> Iterator[IngestedWindow | WindowFailure]:
    """Many windows over one connection, in the mapping's order; what fails is yielded as a WindowFailure and the rest go on."""
    with ingestion(monitor, lake_root, settings, now) as opened:
        for window, sources in paths.items():
            try:
                yield opened.take_in(window, sources)
            except UserError as error:
                yield WindowFailure(window, str(error))


@contextmanager
def ingestion(monitor: Monitor, lake_root: str, settings: Settings, now: datetime | None = None) -> Iterator[Ingestion]:
    """An Ingestion with its own connection."""
    with connected(settings, {protocol_of(lake_root)}) as connection:
        yield Ingestion(monitor, lake_root, connection, now or datetime.now(UTC))


@dataclass
class Ingestion:
    """Takes windows of one monitor in, one after another, over one connection."""

    monitor: Monitor
    lake_root: str
    connection: duckdb.DuckDBPyConnection
    now: datetime

    def take_in(self, window: Window, paths: Sequence[str]) -> IngestedWindow:
        """See ``ingest_window``."""
        register(self.connection, {protocol_of(path) for path in paths})
        version = data_version(self.monitor, window, {path: version_of(path) for path in paths})
        if not paths:
            return IngestedWindow(window, 0, 0, 0, version, ())
        scans, broken = parquet_scans(self.connection, paths)
        if broken:
            raise SourceError("; ".join(broken.values()))
        cleaning = clean_predictions(self.monitor, scans, window.start, window.end, self.now)
        try:
            return self._write(window, version, cleaning, scans)
        except duckdb.Error as error:
            if isinstance(error, duckdb.OutOfMemoryException):
                raise
            raise find_unreadable(self.connection, paths, error) from error

    def _write(self, window: Window, version: str, cleaning: Cleaning, scans: Sequence[Scan]) -> IngestedWindow:
        rows = self._kept_between_statements(cleaning, scans)
        counted = _count(self.connection, rows, cleaning)
        duplicated = self._duplicated(rows)
        n_good = sum(counted.versions.values())
        path = store.join(
            self.lake_root, self.monitor.name, "predictions", store.window_directory(window.start), f"{version}.parquet"
        )
        good = _without_duplicates(rows, cleaning) if duplicated else f"{rows} WHERE __reason IS NULL"
        columns = ", ".join(identifier(c) for c in cleaning.columns)
        n_rows = store.write_parquet(self.connection, f"SELECT {columns} FROM {good}", path) if n_good else 0  # noqa: S608
        versions = self._versions(path) if n_rows < n_good else counted.versions
        if counted.reasons:
            self._put_aside(rows, cleaning, window, version)
        return IngestedWindow(
            window=window,
            n_rows=n_rows,
            n_duplicates=n_good - n_rows,
            n_quarantined=sum(counted.reasons.values()),
            data_version=version,
            files=(path,) if n_rows else (),
            versions=versions,
            quarantine=counted.reasons,
            contract=Contract(
                cleaning.contract.missing, cleaning.contract.extra, cleaning.contract.retyped, counted.invalid
            ),
            last_event=counted.last_event,
        )

    def _kept_between_statements(self, cleaning: Cleaning, scans: Sequence[Scan]) -> str:
        """What stands behind FROM: a temporary table for a small window, else the cleaning itself."""
        files = [path for scan in scans for path in scan.files]
        if len(files) > 1 or _rows_in_footer(self.connection, files[0]) > _KEEP_ROWS:
            return f"({cleaning.sql})"
        self.connection.execute(f"CREATE OR REPLACE TEMP TABLE kept AS {cleaning.sql}")
        return "kept"

    def _duplicated(self, rows: str) -> bool:
        """Fill ``duplicated`` with the hashes of ids that occur more than once. A collision costs time, nothing else."""
        self.connection.execute(
            "CREATE OR REPLACE TEMP TABLE duplicated AS "  # noqa: S608
            f"SELECT hash(__id) AS h FROM {rows} WHERE __reason IS NULL GROUP BY h HAVING count(*) > 1"
        )
        row = self.connection.execute("SELECT count(*) FROM duplicated").fetchone()
        return bool(row and row[0])

    def _versions(self, path: str) -> dict[str, int]:
        rows = self.connection.execute(
            "SELECT __version, count(*) FROM read_parquet($path) GROUP BY __version ORDER BY __version", {"path": path}
        ).fetchall()
        return dict(rows)

    def _put_aside(self, rows: str, cleaning: Cleaning, window: Window, version: str) -> None:
        directory = store.join(self.lake_root, self.monitor.name, "quarantine", store.window_directory(window.start))
        columns = ", ".join(identifier(c) for c in cleaning.columns)
        sql = (
            "SELECT __reason AS reason, __file AS source_file, __row + 1 AS source_row, "  # noqa: S608
            f"{columns} FROM {rows} WHERE __reason IS NOT NULL ORDER BY __file, __row"
        )
        store.write_parquet(self.connection, sql, store.join(directory, f"{version}.parquet"))


def data_version(monitor: Monitor, window: Window, sources: Mapping[str, FileVersion]) -> str:
    """16 hex digits that name the content: the window, its source files by path, size and time, and how they are read."""
    files = [[path, v.size, v.modified_at.isoformat()] for path, v in sorted(sources.items())]
    how = [monitor.task, monitor.window, monitor.schema_.model_dump(mode="json"), monitor.reference.model_version, _CLEANING]
    text = json.dumps([window.start.isoformat(), files, how], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class _Counts:
    versions: dict[str, int]
    reasons: dict[str, int]
    invalid: dict[str, int]
    last_event: datetime | None


def _count(connection: duckdb.DuckDBPyConnection, rows: str, cleaning: Cleaning) -> _Counts:
    """One statement: good rows by version, refused rows by reason, values that did not fit by column."""
    flags = "".join(f", count(*) FILTER ({flag})" for flag in cleaning.flags.values())
    answer = connection.execute(
        f"SELECT __reason, __version, count(*), max(__time){flags} FROM {rows} GROUP BY ALL ORDER BY ALL"  # noqa: S608
    ).fetchall()
    versions: dict[str, int] = {}
    reasons: dict[str, int] = {}
    invalid = dict.fromkeys(cleaning.flags, 0)
    last = None
    for reason, version, n, latest, *bad in answer:
        counted, name = (versions, version) if reason is None else (reasons, reason)
        counted[name] = counted.get(name, 0) + n
        if reason is None:
            last = max(filter(None, (last, aware(latest))))
            for column, k in zip(cleaning.flags, bad, strict=True):
                invalid[column] += k
    return _Counts(versions, reasons, {c: n for c, n in invalid.items() if n}, last)


def _without_duplicates(rows: str, cleaning: Cleaning) -> str:
    """Good rows, of each id the earliest (event time, then path, then row). Only ids met twice go through the window."""
    columns = ", ".join(identifier(c) for c in cleaning.columns)
    good = f"SELECT {columns}, __file, __row FROM {rows} WHERE __reason IS NULL"  # noqa: S608
    return (
        f"(SELECT {columns} FROM ({good}) WHERE hash(__id) NOT IN (FROM duplicated)"  # noqa: S608
        f" UNION ALL SELECT {columns} FROM ({good}) WHERE hash(__id) IN (FROM duplicated)"
        " QUALIFY row_number() OVER (PARTITION BY __id ORDER BY __time, __file, __row) = 1)"
    )


def _rows_in_footer(connection: duckdb.DuckDBPyConnection, path: str) -> int:
    row = connection.execute("SELECT num_rows FROM parquet_file_metadata($path)", {"path": path}).fetchone()
    return int(row[0]) if row else 0
