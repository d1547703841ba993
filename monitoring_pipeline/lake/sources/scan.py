"""Scans: groups of Parquet files with the same columns, and the SQL that reads them with path and row number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import duckdb

from monitoring_pipeline.errors import SourceError
from monitoring_pipeline.lake.duck import file_list, identifier


@dataclass(frozen=True)
class Scan:
    """Parquet files that agree in their columns (name -> DuckDB type).

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

    def from_sql(self, columns: Sequence[str]) -> str:
        """``SELECT`` of the quoted ``columns`` that exist, plus __file and __row."""
        picked = "".join(f"{identifier(c)}, " for c in dict.fromkeys(columns) if c in self.columns and "\0" not in c)
        if self.staged:
            return f"SELECT {picked}__file, __row, __utc FROM read_parquet({file_list(self.files)}, union_by_name=true)"  # noqa: S608
        options = "filename='__file', file_row_number=true, hive_partitioning=false"
        return f"SELECT {picked}__file, file_row_number AS __row FROM read_parquet({file_list(self.files)}, {options})"  # noqa: S608


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
    rows = connection.execute(
        f"DESCRIBE SELECT * FROM read_parquet({file_list([path])}, hive_partitioning=false)"  # noqa: S608
    ).fetchall()
    return {name: kind for name, kind, *_ in rows}
