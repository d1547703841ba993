"""Reading the files of one source: Parquet in place; text, tables and much-shared files through staged copies.

A staged copy is Parquet in a scratch directory with the source's columns under ``names.source_alias``, ``__file``,
``__row`` (from 0) and ``__utc``. It is made once however many windows are cut from it, and it is gone when the reader
is closed.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import duckdb

from monitoring_pipeline.errors import SourceError, UserError
from monitoring_pipeline.lake.duck import file_list, literal, protocol_of, register, scratch
from monitoring_pipeline.lake.names import source_alias
from monitoring_pipeline.lake.sources import sql, text
from monitoring_pipeline.lake.sources.far_times import calmed, has_far_times
from monitoring_pipeline.lake.sources.files import file_format
from monitoring_pipeline.lake.sources.scan import Scan, counts_millis, parquet_scans, unreadable
from monitoring_pipeline.lake.times import utc_sql
from monitoring_pipeline.monitors.declaration import Monitor, Source
from monitoring_pipeline.settings import Settings

# A file that this many windows are cut from is sorted by time first: each then reads its row groups only.
_SHARED_BY = 8
_ROW_GROUP = 20_480
_LINE_GROUP = 2_048  # whole lines take more memory than values
_SORT_BYTES = 200_000_000  # of memory; beyond, sorting spills


@contextmanager
def reading(
    connection: duckdb.DuckDBPyConnection,
    monitor: Monitor,
    source: Source,
    time_column: str | None,
    settings: Settings,
    wanted: Sequence[str] | None,
) -> Iterator[Reader]:
    """A Reader whose copies are removed at the end. ``wanted``: columns that will be asked for (None: all)."""
    directory = Path(tempfile.mkdtemp(dir=scratch(settings, "staging")))
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE __rejected (__file VARCHAR, __line BIGINT, __reason VARCHAR, __text VARCHAR,"
        " __utc TIMESTAMP)"
    )
    try:
        yield Reader(connection, monitor, source, time_column, directory, None if wanted is None else tuple(wanted))
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@dataclass
class Reader:
    """Scans over paths of one source.

    Broken rows of text files are in the temporary table ``__rejected``, each with the time of the good row before it
    (or of the first), so that it belongs to exactly one window.
    """

    connection: duckdb.DuckDBPyConnection
    monitor: Monitor
    source: Source
    time_column: str | None
    directory: Path
    wanted: tuple[str, ...] | None
    staged: dict[str, Scan] = field(default_factory=dict)
    has_rejected: bool = False
    at_most: int | None = None  # rows of a table; None: all

    def scans(self, paths: Sequence[str], uses: Mapping[str, int] | None = None) -> tuple[list[Scan], dict[str, str]]:
        """Scans that cover ``paths``, and what is wrong with each that cannot be read.

        ``uses``: by how many windows each path will be asked for altogether, this time included.
        """
        register(self.connection, {protocol_of(path) for path in paths if not sql.is_sql(path)})
        parquet, scans, broken = [], [], {}
        for path in paths:
            shared = (uses or {}).get(path, 1) >= _SHARED_BY
            try:
                if not sql.is_sql(path) and not shared and file_format(path, self.source.format) == "parquet":
                    parquet.append(path)
                else:
                    scans.append(self._staged(path, shared))
            except UserError as error:
                broken[path] = str(error)
        found, unreadable_files = parquet_scans(self.connection, parquet)
        in_place = [one for scan in found for one in self._without_far_times(scan)]
        return in_place + scans, broken | unreadable_files

    def _without_far_times(self, scan: Scan) -> list[Scan]:
        """The scan, and staged copies of those of its files that DuckDB would fail on."""
        if not counts_millis(self.connection, scan.files[0]):
            return [scan]
        far = [path for path in scan.files if has_far_times(path)]
        near = tuple(path for path in scan.files if path not in far)
        return ([replace(scan, files=near)] if near else []) + [self._staged(path, False) for path in far]

    def drop(self, path: str) -> None:
        """Remove the staged copy of ``path``; harmless when there is none."""
        scan = self.staged.pop(path, None)
        if scan is not None:
            Path(scan.files[0]).unlink(missing_ok=True)

    def _staged(self, path: str, shared: bool) -> Scan:
        if path not in self.staged:
            copy = str(self.directory / f"{len(list(self.directory.iterdir()))}-{abs(hash(path))}.parquet")
            try:
                with self._in_order():
                    self.staged[path] = self._stage(path, copy, shared)
            except duckdb.Error as error:
                if isinstance(error, duckdb.OutOfMemoryException):
                    raise
                raise SourceError(unreadable(path, error)) from error
        return self.staged[path]

    @contextmanager
    def _in_order(self) -> Iterator[None]:
        """Rows keep their order, in memory that does not grow with the file: several threads would hold the row groups
        that the slowest has not reached yet. Numbering the rows is the work of one thread anyway.
        """
        (threads,) = self.connection.execute("SELECT current_setting('threads')").fetchone() or (1,)
        self.connection.execute("SET preserve_insertion_order = true; SET threads = 1")
        try:
            yield
        finally:
            self.connection.execute(f"SET preserve_insertion_order = false; SET threads = {threads}")

    def _stage(self, path: str, copy: str, shared: bool) -> Scan:
        if sql.is_sql(path):
            return self._stage_table(path, copy)
        kind = file_format(path, self.source.format)
        if kind == "csv":
            return self._stage_csv(path, copy, shared)
        if kind == "jsonl":
            return self._stage_json(path, copy, shared)
        scans, broken = parquet_scans(self.connection, [path])
        if broken:
            raise SourceError(broken[path])
        columns = scans[0].columns
        if counts_millis(self.connection, path) and has_far_times(path):
            return self._stage_calmed(path, list(columns), copy, shared)
        rows = scans[0].from_sql(list(columns))
        self._copy(f"SELECT * REPLACE ({literal(path)} AS __file) FROM ({rows})", columns, copy, shared)  # noqa: S608
        return Scan((copy,), columns, staged=True, origin=path)

    def _stage_calmed(self, path: str, names: Sequence[str], copy: str, shared: bool) -> Scan:
        with calmed(path) as reader:
            columns = sql.duck_types(self.connection, reader, names)
            self.connection.register("__batches", reader)
            try:
                numbered = "SELECT *, row_number() OVER () - 1 AS __row FROM __batches"
                self._copy(self._named(numbered, path), columns, copy, shared)
            finally:
                self.connection.unregister("__batches")
        return Scan((copy,), columns, staged=True, origin=path)

    def _stage_csv(self, path: str, copy: str, shared: bool) -> Scan:
        delimiter = self.source.delimiter or ("\t" if ".tsv" in Path(path).suffixes else None)
        names, separator = text.csv_header(path, delimiter)
        columns = dict.fromkeys(names, "VARCHAR")
        for table in ("__csv_rejects", "__csv_scans"):
            self.connection.execute(f"DROP TABLE IF EXISTS {table}")
        numbered = f"SELECT *, row_number() OVER () - 1 AS __row FROM {text.read_csv_sql(path, len(names), separator)}"  # noqa: S608
        self._copy(self._named(numbered, path), columns, copy, shared)
        # One line may break several rules; the first is enough. The header is line 1: line n follows row n - 3.
        self._reject(
            path,
            copy,
            "SELECT CAST(line AS BIGINT) AS __line, first(error_message ORDER BY column_idx) AS __why,"
            " first(csv_line) AS __text FROM __csv_rejects GROUP BY line",
            "__line - 3 - (row_number() OVER (ORDER BY __line) - 1)",
        )
        return Scan((copy,), columns, text=True, staged=True, origin=path)

    def _stage_json(self, path: str, copy: str, shared: bool) -> Scan:
        text.header_text(path)  # raises for UTF-16
        lines = f"{copy}.lines"  # in a file: a table would be held in memory
        numbered = f"SELECT row_number() OVER () - 1 AS __row, __line FROM {text.read_lines_sql(path)}"  # noqa: S608
        self._write(f"SELECT *, {text.IS_ROW} AS __good FROM ({numbered})", lines, _LINE_GROUP)  # noqa: S608
        kept = f"SELECT * FROM read_parquet({file_list([lines])})"  # noqa: S608
        self.connection.execute(f"CREATE OR REPLACE TEMP VIEW __lines AS {kept}")
        names = text.json_names(self.connection, self.wanted or ())
        text.check_width(path, len(names))
        rows = f"SELECT __row, {text.json_values_sql(names)} AS __values FROM __lines WHERE __good"  # noqa: S608
        picked = "".join(f"__values[{i + 1}] AS {source_alias(i)}, " for i in range(len(names)))
        rows = f"SELECT {picked}__row FROM ({rows})"  # noqa: S608
        columns = dict.fromkeys(names, "VARCHAR")
        self._copy(self._named(rows, path), columns, copy, shared)
        self._reject(
            path,
            copy,
            f"SELECT __row + 1 AS __line, {literal(text.NO_ROW)} AS __why, __line AS __text FROM __lines"  # noqa: S608
            " WHERE NOT __good AND trim(__lines.__line) != ''",
            "__line - 1",
        )
        self.connection.execute("DROP VIEW __lines")
        Path(lines).unlink()
        return Scan((copy,), columns, text=True, staged=True, origin=path)

    def _stage_table(self, path: str, copy: str) -> Scan:
        table = sql.open_table(self.source, self.monitor.base_dir)
        try:
            reader, failure = table.batches(
                path, self.monitor, self.time_column, self._increments_by(), self.wanted, self.at_most
            )
            # Columns nobody asks for are not read, but that they are there is part of the contract.
            columns = sql.duck_types(self.connection, reader, table.names(self.wanted))
            columns |= {c: "VARCHAR" for c in table.names(None) if c not in columns}
            self.connection.register("__batches", reader)
            numbered = "SELECT *, row_number() OVER () - 1 AS __row FROM __batches"
            try:
                self._copy(self._named(numbered, path), columns, copy, False)
            except duckdb.Error as error:
                raise SourceError(f"{table.name}: cannot be read ({failure[0] if failure else error})") from error
            finally:
                self.connection.unregister("__batches")
        finally:
            table.close()
        return Scan((copy,), columns, text=table.untyped, staged=True, origin=path)

    def _increments_by(self) -> str | None:
        return self.source.updated_at or getattr(self.source, "label_time", None)

    def _named(self, rows: str, path: str) -> str:
        return f"SELECT *, {literal(path)} AS __file FROM ({rows})"  # noqa: S608

    def _copy(self, rows: str, columns: Mapping[str, str], copy: str, shared: bool) -> None:
        utc = "CAST(NULL AS TIMESTAMP)"
        if self.time_column in columns:
            assert self.time_column is not None
            zone = self.monitor.schema_.timezone
            place = list(columns).index(self.time_column)
            utc = utc_sql(source_alias(place), columns[self.time_column], zone)
        keep = [i for i, c in enumerate(columns) if self.wanted is None or c in self.wanted]
        picked = "".join(f"{source_alias(i)}, " for i in keep)
        self._write(f"SELECT {picked}__file, __row, {utc} AS __utc FROM ({rows})", copy)  # noqa: S608
        if shared and not self._is_by_time(copy):
            self._sort(copy)

    def _write(self, rows: str, copy: str, group: int = _ROW_GROUP) -> None:
        self.connection.execute(
            f"COPY ({rows}) TO {literal(copy)} (FORMAT parquet, COMPRESSION lz4, ROW_GROUP_SIZE {group})"
        )

    def _is_by_time(self, copy: str) -> bool:
        """Whether the times of one row group hardly overlap those of the others, as in a log that was appended to."""
        row = self.connection.execute(
            "SELECT sum(epoch(__to - __from)) <= 2 * epoch(max(__to) - min(__from)) FROM (SELECT"  # noqa: S608
            " CAST(stats_min_value AS TIMESTAMP) AS __from, CAST(stats_max_value AS TIMESTAMP) AS __to"
            f" FROM parquet_metadata({file_list([copy])}) WHERE path_in_schema = '__utc')"
        ).fetchone()
        return bool(row and row[0])

    def _sort(self, copy: str) -> None:
        limit, least = self.connection.execute(
            "SELECT current_setting('memory_limit'),"
            " least(parse_formatted_bytes(current_setting('memory_limit')), $most)",
            {"most": _SORT_BYTES},
        ).fetchone() or ("", 0)
        unsorted = f"{copy}.unsorted"
        Path(copy).rename(unsorted)
        self.connection.execute(f"SET memory_limit = '{least}B'")
        try:
            self._write(f"SELECT * FROM read_parquet({file_list([unsorted])}) ORDER BY __utc, __row", copy)  # noqa: S608
        finally:
            self.connection.execute(f"SET memory_limit = '{limit}'")
            Path(unsorted).unlink()

    def _reject(self, path: str, copy: str, rejects: str, position: str) -> None:
        """Fill ``__rejected``; ``position`` is the number of the good row that the reject would follow."""
        times = f"SELECT __row, __utc FROM read_parquet({file_list([copy])}) WHERE __utc IS NOT NULL"  # noqa: S608
        self.connection.execute(
            f"INSERT INTO __rejected SELECT {literal(path)}, __r.__line, __r.__why, __r.__text,"  # noqa: S608
            f" coalesce(__t.__utc, (SELECT arg_min(__utc, __row) FROM ({times})))"
            f" FROM (SELECT *, {position} AS __p FROM ({rejects})) __r"
            f" ASOF LEFT JOIN ({times}) __t ON __r.__p >= __t.__row"
        )
        row = self.connection.execute("SELECT count(*) FROM __rejected").fetchone()
        self.has_rejected = bool(row and row[0])
