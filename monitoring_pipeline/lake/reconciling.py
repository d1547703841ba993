"""One type for a column whose files have several, as ingestion will come to read it; a message where it cannot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import duckdb

from monitoring_pipeline.lake import values
from monitoring_pipeline.lake.sampled import Sample, Variant
from monitoring_pipeline.lake.times import OFFSET, is_time, utc_sql

_WHOLE = values.INTEGERS - {"HUGEINT", "UHUGEINT", "UBIGINT"}
_TEXT = "VARCHAR"


@dataclass(frozen=True)
class Reconciled:
    """``typed`` is SQL of DuckDB type ``kind``; ``written`` SQL of the values as the source holds them.

    ``conflict``: which files disagree on what, and the remedy, where some of them hold what the others' type does not.
    """

    kind: str
    typed: str
    written: str
    conflict: str | None = None


def reconcile(connection: duckdb.DuckDBPyConnection, sample: Sample, name: str) -> Reconciled:
    """The column ``name`` of a sample under the narrowest type that the values of all its files have."""
    variants = sample.columns[name]
    narrowed = {v: _narrowed(connection, sample.table, v) for v in variants}
    # A file without any value in the column says nothing of its type.
    met = {v: kind for v, kind in narrowed.items() if kind is not None} or {variants[0]: variants[0].kind}
    if len(met) == 1:
        ((only, kind),) = met.items()
        written = _written(only)
        return Reconciled(kind, written if kind == only.kind else _cast(only.sql, only.kind, kind), written)
    of_values = replace(sample, columns={name: tuple(met)})
    one = _common(connection, of_values, name, list(met.values()))
    return one or _disagreeing(of_values, name, met)


def _common(
    connection: duckdb.DuckDBPyConnection, sample: Sample, name: str, kinds: Sequence[str]
) -> Reconciled | None:
    """All of them under one type, or None where that would lose values."""
    text = sample.text(name)
    if any(values.is_nested(kind) or kind == "BLOB" for kind in kinds):
        return None
    if any(is_time(kind) for kind in kinds):
        time = sample.each(name, lambda column, kind: utc_sql(column, kind, "UTC"))
        counts = ", ".join(f"count({v.sql}), count({utc_sql(v.sql, v.kind, 'UTC')})" for v in sample.columns[name])
        found = connection.execute(f"SELECT {counts} FROM {sample.table}").fetchone() or ()  # noqa: S608
        # Some that no one can read may be among them, as in a file of their own.
        readable = all(n_read >= 0.5 * n for n, n_read in zip(found[::2], found[1::2], strict=True))
        return Reconciled("TIMESTAMP", time, text) if readable else None
    same = set(kinds)
    if all(kind in _WHOLE for kind in kinds):
        same = {"BIGINT"}
    elif all(values.is_number(kind) for kind in kinds):
        same = {"DOUBLE"}
    if len(same) > 1:
        return Reconciled(_TEXT, sample.each(name, lambda c, kind: values.categorical(c, kind).sql), text)
    (kind,) = same
    return Reconciled(kind, sample.each(name, lambda column, own: _cast(column, own, kind)), text)


def _disagreeing(sample: Sample, name: str, met: dict[Variant, str]) -> Reconciled:
    """As the files say that hold plain values, the first of them; what the others hold is said, and not looked at."""
    plain = next((v for v in met if not values.is_nested(v.kind) and v.kind != "BLOB"), next(iter(met)))
    said = f"the files disagree on the type of column {name!r}: it is {sample.types_met(name)}"
    write = "write it in one type in all files, or leave it out of the declaration"
    own = _written(plain)
    kind = met[plain]
    typed = own if kind == plain.kind else _cast(plain.sql, plain.kind, kind)
    return Reconciled(kind, typed, own, f"{said}; {write}")


def _narrowed(connection: duckdb.DuckDBPyConnection, rows: str, variant: Variant) -> str | None:
    """The narrowest type of a column's values, or None where it has none."""
    written = _written(variant)
    if variant.kind == _TEXT:
        return _narrowest(connection, rows, written)
    row = connection.execute(f"SELECT count({written}) FROM {rows}").fetchone()  # noqa: S608
    return variant.kind if row and row[0] else None


def _written(variant: Variant) -> str:
    return _blank(variant.sql, variant.kind)


def _blank(column: str, kind: str) -> str:
    """Examples are what the source holds: an outcome `Yes` is compared as text, whatever else it could be read as."""
    return f"nullif({column}, '')" if kind == _TEXT else column


def _cast(column: str, own: str, kind: str) -> str:
    """A column of type ``own`` as ``kind``, which all of its values have; words for "no value" are none."""
    return f"CAST({values.present(column) if own == _TEXT else column} AS {kind})"


def _narrowest(connection: duckdb.DuckDBPyConnection, rows: str, written: str) -> str | None:
    """The type that every value of a text column has, as far as it says anything; None where it has no value.

    Numbers are most columns of a wide source, and planning the other tests would be most of the work: they come after.
    """
    text = "__present"
    has_zone = f"regexp_matches({text}, '{OFFSET}')"
    words = "('true', 'false', 'yes', 'no', 't', 'f')"
    numbers = {
        "BIGINT": f"TRY_CAST({text} AS BIGINT) IS NOT NULL AND NOT regexp_matches({text}, '[.eE]')",
        # More digits than a number holds are a name.
        "DOUBLE": f"TRY_CAST({text} AS DOUBLE) IS NOT NULL AND NOT regexp_matches({text}, '^[0-9]{{17,}}$')",
    }
    others = {
        "BOOLEAN": f"lower({text}) IN {words}",
        "TIMESTAMP WITH TIME ZONE": f"TRY_CAST({text} AS TIMESTAMPTZ) IS NOT NULL AND {has_zone}",
        "TIMESTAMP": f"TRY_CAST({text} AS TIMESTAMP) IS NOT NULL AND NOT {has_zone}",
    }
    for tests in (numbers, others):
        counts = ", ".join(f"count(*) FILTER (coalesce({test}, false))" for test in tests.values())
        named = f"SELECT {written} AS __written, {values.present(written)} AS {text} FROM {rows}"  # noqa: S608
        selected = f"SELECT count(__written), count({text}), {counts} FROM ({named})"  # noqa: S608
        n_written, n, *fitting = connection.execute(selected).fetchone() or (0, 0)
        if not n:
            return _TEXT if n_written else None
        for kind, k in zip(tests, fitting, strict=True):
            if k == n:
                return kind
    return _TEXT
