"""Names in SQL: ours begin with ``__``, a user's column never does, whatever it is called.

Every alias, table and column that we name ourselves begins with ``__``. A user's column is read from its file by
position (``sources.scan``) and goes on under its *stored* name: its own where that is a name DuckDB can tell apart,
else ``_column_`` and the hexadecimal digits of its UTF-8 bytes. So `__time`, `_column_61`, `Age` beside `age`, and the
empty name are columns like any other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

OURS = "__"
_ESCAPED = "_column_"
_OF_DUCKDB = ("filename", "file_row_number", "file_index", "rowid")  # columns that it adds to any file


def escaped(name: str) -> str:
    """``name`` in letters that survive any folding of case: what no other column's stored name can be."""
    return _ESCAPED + name.encode("utf-8", "surrogatepass").hex()


def stored_name(name: str) -> str:
    """The stored name of a column that has no namesake in another case."""
    folded = name.casefold()
    taken = folded.startswith((OURS, _ESCAPED)) or folded in _OF_DUCKDB
    return escaped(name) if not name or taken or not _writable(name) else name


def stored_names(names: Iterable[str]) -> dict[str, str]:
    """Each column of a monitor -> its stored name. DuckDB does not tell `Age` from `age`: both are escaped then."""
    distinct = list(dict.fromkeys(names))
    alike = Counter(name.casefold() for name in distinct)
    return {name: escaped(name) if alike[name.casefold()] > 1 else stored_name(name) for name in distinct}


def renamed(stored: Mapping[str, str]) -> dict[str, str]:
    """Those that ``stored_name`` alone would not give."""
    return {name: one for name, one in stored.items() if one != stored_name(name)}


def source_alias(position: int) -> str:
    """A source's column between the file and the cleaning, by its position in the source."""
    return f"__column_{position}"


def _writable(name: str) -> bool:
    """Whether the text of a statement can hold the name."""
    return "\0" not in name and not any("\ud800" <= c <= "\udfff" for c in name)
