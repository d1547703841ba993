"""Values under the declared types: SQL that turns what a source holds into a number, a category, a flag or a class."""

from __future__ import annotations

from dataclasses import dataclass

INTEGERS = {
    "TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "UHUGEINT",
}  # fmt: skip
FLOATS = {"FLOAT", "DOUBLE"}
# Patterns, since DuckDB makes a join of an IN with five values: a wide file then took memory by its columns squared.
# What exporters write for "no value", in any case; documented in docs/first-draft.md, and blanks are one too. In a
# categorical column the same letters may be a category (NA is Namibia).
MISSING = ("na", "n/a", "#n/a", "#na", "<na>", "null", "none", "-", "?", ".")
_NO_NUMBER = f"(?i)({'|'.join(word.replace('?', '[?]').replace('.', '[.]') for word in MISSING)})?"
_TRUE, _FALSE = "(?i)true|t|yes|y|1|1[.]0", "(?i)false|f|no|n|0|0[.]0"


@dataclass(frozen=True)
class Value:
    """``sql``: the typed value. ``invalid``: condition "was there, did not fit", or None where every value fits.

    ``fits``: whether the type met is one the declared type is commonly stored as.
    """

    sql: str
    invalid: str | None = None
    fits: bool = True


def is_number(kind: str) -> bool:
    """Whether a DuckDB type holds numbers."""
    return kind in INTEGERS or kind in FLOATS or kind.startswith("DECIMAL")


def is_text(kind: str) -> bool:
    """Whether a DuckDB type holds text."""
    return kind == "VARCHAR" or kind.startswith("ENUM")


def is_nested(kind: str) -> bool:
    """Whether a DuckDB type is a list, a struct or a map."""
    return "[" in kind or ("(" in kind and not kind.startswith(("DECIMAL", "ENUM")))


def numerical(column: str, kind: str) -> Value:
    """DOUBLE. NaN and ±inf stay what they are: they are counted, not hidden."""
    if is_number(kind):
        return Value(f"CAST({column} AS DOUBLE)")
    if kind == "BOOLEAN":
        return Value(f"CAST({column} AS DOUBLE)", fits=False)
    if is_text(kind):
        text = f"CAST({column} AS VARCHAR)"
        number = f"TRY_CAST({text} AS DOUBLE)"
        missing = _matches(text, _NO_NUMBER)
        # CASE: the words are only looked at where there is no number.
        invalid = f"CASE WHEN {number} IS NULL THEN {column} IS NOT NULL AND NOT {missing} ELSE false END"
        return Value(number, invalid, fits=False)
    return _unfit("DOUBLE", column)


def categorical(column: str, kind: str) -> Value:
    """VARCHAR; whole numbers without a fraction, so that 1 and 1.0 are one category."""
    if is_text(kind):
        return Value(f"CAST({column} AS VARCHAR)")
    if kind == "BOOLEAN" or is_number(kind):
        return Value(_number_text(column, kind))
    if "(" in kind or "[" in kind or kind in ("BLOB", "NULL"):
        return _unfit("VARCHAR", column)
    return Value(f"CAST({column} AS VARCHAR)", fits=False)


def boolean(column: str, kind: str) -> Value:
    """VARCHAR ``true`` or ``false``."""
    if kind == "BOOLEAN":
        return Value(f"CAST({column} AS VARCHAR)")
    if is_number(kind):
        flag = f"CASE {column} WHEN 1 THEN 'true' WHEN 0 THEN 'false' END"
        missing = f" AND NOT isnan({column})" if kind in FLOATS else ""
        return Value(flag, f"{column} NOT IN (0, 1){missing}", fits=kind in INTEGERS)
    if is_text(kind):
        text = f"CAST({column} AS VARCHAR)"
        flag = f"CASE WHEN {_matches(text, _TRUE)} THEN 'true' WHEN {_matches(text, _FALSE)} THEN 'false' END"
        invalid = f"{column} IS NOT NULL AND {flag} IS NULL AND NOT {_matches(text, _NO_NUMBER)}"
        return Value(flag, invalid, fits=False)
    return _unfit("VARCHAR", column)


def class_label(column: str, kind: str) -> Value:
    """Canonical text of a class: ``1`` for 1, 1.0 and '1.0'; ``true``, ``false``; null for NaN and the empty text."""
    if is_text(kind):
        text = f"trim(CAST({column} AS VARCHAR))"
        whole = f"regexp_replace({text}, '^([+-]?[0-9]+)\\.0+$', '\\1')"
        return Value(
            f"CASE WHEN {text} IN ('True', 'False', 'TRUE', 'FALSE') THEN lower({text}) ELSE nullif({whole}, '') END"
        )
    if kind == "BOOLEAN" or is_number(kind):
        return Value(_number_text(column, kind))
    return Value(f"CAST({column} AS VARCHAR)", fits=False)


def key(column: str, kind: str) -> str:
    """An id as VARCHAR, null when absent; a whole number is written as one, in a floating column and in text alike.

    A column of numbers with one gap is written as 1000001.0 by pandas, and as 1000001 the next day without a gap.
    """
    if is_text(kind):
        text = f"CAST({column} AS VARCHAR)"
        whole = f"regexp_replace({text}, '^([0-9]+)[.]0$', '\\1')"
        return f"CASE WHEN {text} LIKE '%.0' THEN {whole} ELSE nullif({text}, '') END"
    return _number_text(column, kind) if is_number(kind) else f"CAST({column} AS VARCHAR)"


def version(column: str, kind: str, default: str) -> str:
    """The model version as VARCHAR: text as it is, 2.0 stays ``2.0`` (versions are names, not numbers)."""
    return f"coalesce(nullif(CAST({column} AS VARCHAR), ''), {default})"


def present(text: str) -> str:
    """A text as it is, null where it says that a number, a time or a flag is missing."""
    return f"CASE WHEN NOT {_matches(text, _NO_NUMBER)} THEN {text} END"


def _matches(text: str, pattern: str) -> str:
    """Condition: all of the text but the blanks around it is what the pattern says."""
    return f"regexp_full_match(trim({text}), '{pattern}')"


def _number_text(column: str, kind: str) -> str:
    if kind in INTEGERS or kind == "BOOLEAN":
        return f"CAST({column} AS VARCHAR)"
    number = f"CAST({column} AS DOUBLE)"
    whole = f"isfinite({number}) AND {number} = floor({number}) AND abs({number}) < 1e15"
    text = f"CASE WHEN {whole} THEN CAST(CAST({number} AS BIGINT) AS VARCHAR) ELSE CAST({column} AS VARCHAR) END"
    return f"CASE WHEN NOT isnan({number}) THEN {text} END"


def _unfit(target: str, column: str) -> Value:
    return Value(f"CAST(NULL AS {target})", f"{column} IS NOT NULL", fits=False)
