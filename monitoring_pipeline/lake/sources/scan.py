"""Scans: groups of Parquet files with the same columns, and the SQL that reads them with path and row number."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import duckdb

from monitoring_pipeline.errors import SourceError
from monitoring_pipeline.lake.duck import file_list
from monitoring_pipeline.lake.names import source_alias


@dataclass(frozen=True)
class Scan:
    """Parquet files that agree in their columns (name -> DuckDB type), in the files' order.

    ``text``: the values were written as text (CSV, JSON Lines), so no type met counts as a change of type.
    ``staged``: the files are copies of ``origin``; they carry its ``__file``, ``__row`` and ``__utc`` themselves.
    """

    files: tuple[str, ...]
    columns: Mapping[str, str]
    text: bool = False
    staged: bool = False
    origin: str | None = None

    @property
    def source(self) -> str:
        """The file to name to the user."""
        return self.origin or self.files[0]

    def column(self, name: str) -> str:
        """What ``from_sql`` calls the source's column ``name``."""
        return source_alias(list(self.columns).index(name))

    def from_sql(self, columns: Sequence[str]) -> str:
        """``SELECT`` of those of ``columns`` that exist, as ``column`` names them, plus __file and __row."""
        picked = "".join(f"{self.column(c)}, " for c in dict.fromkeys(columns) if c in self.columns)
        if self.staged:
            return f"SELECT {picked}__file, __row, __utc FROM read_parquet({file_list(self.files)}, union_by_name=true)"  # noqa: S608
        # Named by position: no name in the file can then stand in the way of ours or of DuckDB's own two.
        named = ", ".join(map(source_alias, range(len(self.columns))))
        rows = f"read_parquet({file_list(self.files)}, hive_partitioning=false) AS __source({named})"
        return f"SELECT {picked}filename AS __file, file_row_number AS __row FROM {rows}"  # noqa: S608


def parquet_scans(connection: duckdb.DuckDBPyConnection, paths: Sequence[str]) -> tuple[list[Scan], dict[str, str]]:
    """Scans over readable files, and what is wrong with each unreadable one.

    One statement reads all footers; only when it fails are the files looked at one by one.
    """
    broken: dict[str, str] = {}
    try:
        groups = _by_schema(connection, paths)
    except duckdb.Error:
        readable = []
        for path in paths:
            try:
                connection.execute(f"SELECT count(*) FROM parquet_schema({file_list([path])})").fetchone()  # noqa: S608
                readable.append(path)
            except duckdb.Error as error:
                broken[path] = unreadable(path, error)
        groups = _by_schema(connection, readable)
    return [Scan(tuple(files), _describe(connection, files[0])) for files in groups], broken


def counts_millis(connection: duckdb.DuckDBPyConnection, path: str) -> bool:
    """Whether a Parquet file has a time in milliseconds."""
    found = connection.execute(
        f"SELECT 1 FROM parquet_schema({file_list([path])})"  # noqa: S608
        " WHERE concat(converted_type, logical_type) LIKE '%MILLIS%' AND type = 'INT64'"
    ).fetchall()
    return bool(found)


def unreadable(path: str, error: Exception) -> str:
    """One line for the user: which file, what DuckDB says of it, what to do."""
    said = str(error).splitlines()[0].removeprefix("Invalid Input Error: ").removeprefix("IO Error: ")
    return (
        f"{path}: cannot be read ({said}); it is truncated or no Parquet file: write it again or take it out of `path`"
    )


def find_unreadable(connection: duckdb.DuckDBPyConnection, paths: Sequence[str], error: Exception) -> SourceError:
    """What to raise when a statement over ``paths`` failed with ``error``: names the file that cannot be read."""
    for path in paths:
        try:
            every = f"SELECT count(COLUMNS(*)) FROM read_parquet({file_list([path])})"  # noqa: S608
            connection.execute(every).fetchone()
        except duckdb.Error as own:
            return SourceError(unreadable(path, own))
    return SourceError(f"{', '.join(paths[:3])}: cannot be read together ({error})")


@contextmanager
def unreadable_named(connection: duckdb.DuckDBPyConnection, paths: Sequence[str]) -> Iterator[None]:
    """Turns what DuckDB raises inside, while it reads ``paths``, into a SourceError that names the damaged file.

    Pages can be damaged below a whole footer, so every statement that reads rows of users' files stands in one.
    """
    try:
        yield
    except duckdb.OutOfMemoryException:
        raise
    except duckdb.Error as error:
        raise find_unreadable(connection, paths, error) from error


def _by_schema(connection: duckdb.DuckDBPyConnection, paths: Sequence[str]) -> list[list[str]]:
    if not paths:
        return []
    fingerprint = "string_agg(concat_ws('|', name, type, num_children, converted_type, logical_type), chr(10))"
    rows = connection.execute(
        f"SELECT file_name, {fingerprint} FROM parquet_schema({file_list(paths)}) GROUP BY file_name"  # noqa: S608
    ).fetchall()
    schema_of = {same_path(name): text for name, text in rows}
    groups: dict[str, list[str]] = {}
    for path in paths:
        groups.setdefault(schema_of[same_path(path)], []).append(path)
    return list(groups.values())


def same_path(path: str) -> str:
    """DuckDB writes ``memory:///x`` where fsspec writes ``memory://x``; one spelling for looking paths up."""
    head, separator, rest = path.partition("://")
    return f"{head}://{rest.lstrip('/')}" if separator else path


def restored_path(paths: Sequence[str]) -> Mapping[str, str]:
    """From DuckDB's spelling of a path (normalised by ``same_path``) back to ours."""
    return {same_path(path): path for path in paths}


def _describe(connection: duckdb.DuckDBPyConnection, path: str) -> dict[str, str]:
    """Names as the file has them: DuckDB makes `age_1` of a second `Age`, and `C4` of a fifth without a name."""
    rows = connection.execute(
        f"DESCRIBE SELECT * FROM read_parquet({file_list([path])}, hive_partitioning=false)"  # noqa: S608
    ).fetchall()
    columns: dict[str, str] = {}
    for name, (unique, kind, *_) in zip(_top_level_names(connection, path), rows, strict=True):
        while name in columns:  # twice the same: the first is meant
            name = unique = f"{unique}_"
        columns[name] = kind
    return columns


def _top_level_names(connection: duckdb.DuckDBPyConnection, path: str) -> list[str]:
    """The footer lists a column, then what it is made of."""
    elements = connection.execute(
        f"SELECT name, coalesce(num_children, 0) FROM parquet_schema({file_list([path])})"  # noqa: S608
    ).fetchall()
    names: list[str] = []
    inner = 0
    for name, n_children in elements[1:]:
        if not inner:
            names.append(name)
        inner += n_children - (1 if inner else 0)
    return names
