"""CSV and JSON Lines as DuckDB reads them: every value as text, every broken row with its line and reason.

Nothing is guessed from a sample: the header gives the names, and a value that does not fit its declared type is counted
later, row by row, instead of failing a file.
"""

from __future__ import annotations

import codecs
import csv
import io
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import duckdb
import fsspec
import pyarrow as pa

from monitoring_pipeline.errors import SourceError
from monitoring_pipeline.lake.duck import file_list, literal, protocol_of
from monitoring_pipeline.lake.names import source_alias

_DELIMITERS = ",;\t|"
MOST_COLUMNS = 1_500  # of CSV and JSON Lines: each costs memory for every part that is read at once
_HEAD_BYTES = 1 << 20
_MAX_LINE = 1 << 24
_KEY_SAMPLE = 20_000
_OTHER_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_BE)  # UTF-32-LE begins as UTF-16-LE does
_NOT_UTF8 = "is not UTF-8 text (perhaps UTF-16, as spreadsheets write it); save the file as UTF-8"


def csv_header(path: str, delimiter: str | None) -> tuple[list[str], str]:
    """Column names and delimiter of a CSV file. Raises SourceError when it has no usable header."""
    text = header_text(path)
    first = text.splitlines()[0] if text.strip() else ""
    if not first:
        raise SourceError(f"{path}: is empty; a CSV file begins with a header line")
    try:
        separator = delimiter or max(_DELIMITERS, key=lambda d: (len(next(csv.reader([first], delimiter=d))), d == ","))
        names = next(csv.reader(io.StringIO(text, newline=""), delimiter=separator))
    except csv.Error as error:  # a name longer than 131,072 characters
        raise SourceError(f"{path}:1: the header cannot be read ({error}); is this CSV text?") from error
    check_width(path, len(names))
    if any("\0" in name or "\ufffd" in name for name in names):
        raise SourceError(f"{path}:1: {_NOT_UTF8}")
    seen = Counter(names)
    for i, name in enumerate(names):
        # pandas and spreadsheets leave the first, their index, without a name
        if seen[name] > 1 or (i and not name):
            what = f"names column {name!r} twice" if name else "leaves a column without a name"
            raise SourceError(f"{path}:1: the header {what}; give every column a name of its own")
    return names, separator


def check_width(path: str, n_columns: int) -> None:
    """Raises SourceError for a text file that is too wide to be read in little memory."""
    if n_columns > MOST_COLUMNS:
        raise SourceError(
            f"{path}: has {n_columns:,} columns; a text file may have {MOST_COLUMNS:,}. Write fewer, or Parquet"
        )


def header_text(path: str) -> str:
    """The beginning of a text file. Raises SourceError when it is UTF-16 or UTF-32, or cannot be read.

    Those begin with a byte order mark, or hold a NUL in most characters; in UTF-8 a NUL is a slip in one value.
    """
    head = _head(path)
    if head.startswith(_OTHER_MARKS) or head.count(b"\0") * 3 > len(head):
        raise SourceError(f"{path}: {_NOT_UTF8}")
    return head.decode("utf-8-sig", errors="replace")


def read_csv_sql(path: str, n_columns: int, delimiter: str) -> str:
    """A FROM item, its columns named by position; rejected rows go to the temporary tables ``__csv_rejects`` and
    ``__csv_scans``.
    """
    columns = ", ".join(f"{source_alias(i)}: 'VARCHAR'" for i in range(n_columns))
    return (
        f"read_csv({file_list([path])}, auto_detect=false, header=true, columns={{{columns}}},"
        f" delim={literal(delimiter)}, quote='\"', escape='\"',"
        " store_rejects=true, rejects_table='__csv_rejects', rejects_scan='__csv_scans',"
        f" max_line_size={_MAX_LINE}, buffer_size={_MAX_LINE})"
    )


def read_lines_sql(path: str) -> str:
    """A FROM item that yields the file's lines as ``__line``, in order, null where empty."""
    return (
        f"read_csv({file_list([path])}, auto_detect=false, header=false, columns={{'__line': 'VARCHAR'}}, delim='\x01',"
        f" quote='', escape='', strict_mode=false, max_line_size={_MAX_LINE}, buffer_size={_MAX_LINE})"
    )


# A line of so many keys has at least so many bytes, and only of those the keys are counted.
IS_ROW = f"""coalesce(json_valid(__line) AND json_type(TRY_CAST(__line AS JSON)) = 'OBJECT', false)
 AND CASE WHEN strlen(__line) < {6 * MOST_COLUMNS} THEN true ELSE len(json_keys(__line)) <= {MOST_COLUMNS} END"""
NO_ROW = f"not a JSON object of at most {MOST_COLUMNS:,} keys"


def json_names(connection: duckdb.DuckDBPyConnection, wanted: Sequence[str]) -> list[str]:
    """Keys of the objects in table ``__lines``: those of its first rows, and the ``wanted`` ones met anywhere."""
    rows = connection.execute(
        "SELECT DISTINCT unnest(json_keys(__line)) FROM (SELECT __line FROM __lines WHERE __good LIMIT $n)",
        {"n": _KEY_SAMPLE},
    ).fetchall()
    # A key with NUL is no column that can be declared, and the row is good without it.
    names = sorted(name for (name,) in rows if "\0" not in name)
    for name in wanted:
        if name not in names and "\0" not in name:
            there = f"SELECT 1 FROM __lines WHERE __good AND json_exists(__line, {_pointer(name)}) LIMIT 1"  # noqa: S608
            if connection.execute(there).fetchone():
                names.append(name)
    return names


def json_values_sql(names: Sequence[str]) -> str:
    """The values of these keys of a JSON text ``__line`` as a list of VARCHAR. Of a key met twice the first counts."""
    pointers = ", ".join(map(_pointer, names))
    return f"json_extract_string(__line, [{pointers}])" if names else "NULL"


def _pointer(name: str) -> str:
    """SQL of the JSON pointer to a key. A path would have to be escaped, and cannot name the empty key."""
    return literal("/" + name.replace("~", "~0").replace("/", "~1"))


def _head(path: str) -> bytes:
    """The beginning of a file, decompressed by its suffix."""
    compression = {".gz": "gzip", ".zst": "zstd"}.get(Path(path).suffix.lower())
    try:
        with fsspec.open(path if protocol_of(path) else f"file://{path}", "rb") as raw:
            stream = pa.CompressedInputStream(pa.PythonFile(raw, "r"), compression) if compression else raw
            return bytes(stream.read(_HEAD_BYTES))
    except (OSError, pa.ArrowException) as error:
        raise SourceError(f"{path}: cannot be read ({error}); write it again or take it out of `path`") from error
