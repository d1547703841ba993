"""A sample of a source whose files need not agree on the type of a column: each value is read by its own file's type.

Ingestion reads file by file, so a time that is a timestamp in one file and a number of seconds in the next is the same
time. Here, too, a column has a *variant* for each type met, and an expression over it takes each row by the type of the
file the row is from.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import duckdb

from monitoring_pipeline.lake import values
from monitoring_pipeline.lake.sources.scan import Scan

ToSql = Callable[[str, str], str]
"""From SQL of a column and its DuckDB type to SQL."""


@dataclass(frozen=True)
class Variant:
    """A column as some of the files have it: its SQL, its DuckDB type, and which scans these are."""

    sql: str
    kind: str
    scans: tuple[int, ...]
    files: tuple[str, ...]

    @property
    def is_its_row(self) -> str:
        """Condition: the row is from one of these files."""
        return f"__scan IN ({', '.join(map(str, self.scans))})"


@dataclass(frozen=True)
class Sample:
    """Rows of a source in the temporary table ``table``. ``columns``: every name met, with its variants."""

    table: str
    columns: dict[str, tuple[Variant, ...]]

    def each(self, name: str, convert: ToSql) -> str:
        """``convert`` of the column, row by row as its file's type asks."""
        variants = self.columns[name]
        if len(variants) == 1:
            return convert(variants[0].sql, variants[0].kind)
        cases = " ".join(f"WHEN {v.is_its_row} THEN {convert(v.sql, v.kind)}" for v in variants)
        return f"CASE {cases} END"

    def text(self, name: str) -> str:
        """The column's values as text."""
        return self.each(name, lambda column, _: f"CAST({column} AS VARCHAR)")

    def present(self, name: str) -> str:
        """Condition: there is a value."""
        return "(" + self.each(name, lambda column, _: f"{column} IS NOT NULL") + ")"

    def value(self, name: str, convert: Callable[[str, str], values.Value]) -> values.Value:
        """The column under a declared type; see ``lake.values``."""
        variants = self.columns[name]
        if all(convert(v.sql, v.kind).invalid is None for v in variants):
            invalid = None
        else:
            invalid = self.each(name, lambda column, kind: convert(column, kind).invalid or "false")
        return values.Value(self.each(name, lambda column, kind: convert(column, kind).sql), invalid)

    def types_met(self, name: str) -> str:
        """Which types the files have, each with a file: ``DOUBLE in a.parquet, BIGINT[] in b.parquet``."""
        return ", ".join(f"{v.kind} in {_named(v.files)}" for v in self.columns[name])


def sample_of(
    connection: duckdb.DuckDBPyConnection,
    scans: Sequence[Scan],
    wanted: Sequence[str] | None,
    most: Callable[[int], int],
) -> Sample:
    """A repeatable sample over the scans; only the ``wanted`` columns (None: all) hold values.

    ``most``: from the number of columns to the number of rows. Raises ``duckdb.Error`` as it comes.
    """
    columns = _variants(scans)
    asked = [name for name in columns if wanted is None or name in wanted]
    rows = " UNION ALL BY NAME ".join(_rows(scan, i, columns, asked) for i, scan in enumerate(scans))
    row = connection.execute(f"SELECT count(*) FROM ({rows})").fetchone()  # noqa: S608
    bound = most(sum(len(columns[name]) for name in asked))
    draw = f" USING SAMPLE reservoir({bound} ROWS) REPEATABLE (1)" if row and row[0] > bound else ""
    table = f"__sample_{len(connection.execute('SHOW TABLES').fetchall())}"
    connection.execute(f"CREATE TEMP TABLE {table} AS SELECT * FROM ({rows}){draw}")  # noqa: S608
    return Sample(table, columns)


def _rows(scan: Scan, number: int, columns: dict[str, tuple[Variant, ...]], asked: Sequence[str]) -> str:
    own = [name for name in asked if name in scan.columns]
    mine = {name: next(v for v in columns[name] if number in v.scans) for name in own}
    picked = "".join(f"{scan.column(name)} AS {mine[name].sql}, " for name in own)
    return f"SELECT {picked}{number} AS __scan FROM ({scan.from_sql(own)})"  # noqa: S608


def _variants(scans: Sequence[Scan]) -> dict[str, tuple[Variant, ...]]:
    kinds: dict[str, dict[str, list[int]]] = {}
    for i, scan in enumerate(scans):
        for name, kind in scan.columns.items():
            kinds.setdefault(name, {}).setdefault(kind, []).append(i)
    return {
        name: tuple(
            Variant(f"__column_{at}_{j}", kind, tuple(of), tuple(scans[i].source for i in of))
            for j, (kind, of) in enumerate(by_kind.items())
        )
        for at, (name, by_kind) in enumerate(kinds.items())
    }


def _named(files: Sequence[str]) -> str:
    return files[0] + (f" and {len(files) - 1} more" if len(files) > 1 else "")
