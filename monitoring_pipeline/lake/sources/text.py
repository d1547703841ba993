"""CSV and JSON Lines as DuckDB reads them: every value as text, every broken row with its line and reason.

Nothing is guessed from a sample: the header gives the names, and a value that does not fit its declared type is counted
later, row by row, instead of failing a file.
"""

from __future__ import annotations

import codecs
import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path

import duckdb
import fsspec
import pyarrow as pa

from monitoring_pipeline.errors import SourceError
from monitoring_pipeline.lake.duck import file_list, identifier, literal, protocol_of

_DELIMITERS = ",;\t|"
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
    separator = delimiter or max(_DELIMITERS, key=lambda d: (len(next(csv.reader([first], delimiter=d))), d == ","))
    names = next(csv.reader(io.StringIO(text), delimiter=separator))
    if any("\0" in name or "\ufffd" in name for name in names):
        raise SourceError(f"{path}:1: {_NOT_UTF8}")
    folded = [name.casefold() for name in names]
    for name in names:
        if not name or folded.count(name.casefold()) > 1:
            what = f"names column {name!r} twice" if name else "leaves a column without a name"
            raise SourceError(f"{path}:1: the header {what}; give every column a name of its own")
    return names, separator


def header_text(path: str) -> str:
    """The beginning of a text file. Raises SourceError when it is UTF-16 or UTF-32, or cannot be read.

    Those begin with a byte order mark, or hold a NUL in most characters; in UTF-8 a NUL is a slip in one value.
    """
    head = _head(path)
    if head.startswith(_OTHER_MARKS) or head.count(b"\0") * 3 > len(head):
        raise SourceError(f"{path}: {_NOT_UTF8}")
    return head.decode("utf-8-sig", errors="replace")


def read_csv_sql(path: str, names: Sequence[str], delimiter: str) -> str:
    """A FROM item; rejected rows go to the temporary tables ``csv_rejects`` and ``csv_scans``."""
    columns = ", ".join(f"{literal(name)}: 'VARCHAR'" for name in names)
    return (
        f"read_csv({file_list([path])}, auto_detect=false, header=true, columns={{{columns}}},"
        f" delim={literal(delimiter)}, quote='\"', escape='\"',"
        " store_rejects=true, rejects_table='csv_rejects', rejects_scan='csv_scans',"
        f" max_line_size={_MAX_LINE}, buffer_size={4 * _MAX_LINE})"
    )


def read_lines_sql(path: str) -> str:
    """A FROM item that yields the file's lines as ``line``, in order, null where empty."""
    return (
        f"read_csv({file_list([path])}, auto_detect=false, header=false, columns={{'line': 'VARCHAR'}}, delim='\x01',"
        f" quote='', escape='', strict_mode=false, max_line_size={_MAX_LINE}, buffer_size={4 * _MAX_LINE})"
    )


def json_names(connection: duckdb.DuckDBPyConnection, wanted: Sequence[str]) -> list[str]:
    """Keys of the objects in table ``lines``: those of its first rows, and the ``wanted`` ones that occur anywhere."""
    rows = connection.execute(
        "SELECT DISTINCT unnest(json_keys(line)) FROM (SELECT line FROM lines WHERE good LIMIT $n)", {"n": _KEY_SAMPLE}
    ).fetchall()
    names: dict[str, str] = {}
    for (name,) in sorted(rows):
        names.setdefault(name.casefold(), name)
    for name in wanted:
        if name.casefold() not in names:
            pattern = literal(f'%"{name}"%')
            found = connection.execute(f"SELECT 1 FROM lines WHERE good AND line LIKE {pattern} LIMIT 1").fetchone()  # noqa: S608
            if found:
                names[name.casefold()] = name
    # A key with NUL cannot be named in SQL; no declared column has one, and the row is good without it.
    return [name for name in names.values() if "\0" not in name]


def json_struct_sql(names: Sequence[str]) -> str:
    """The columns of a JSON text ``line``, all VARCHAR."""
    structure = literal(json.dumps(dict.fromkeys(names, "VARCHAR")))
    return f"from_json(line, {structure})"


def select_struct(names: Sequence[str]) -> str:
    """SQL list of the fields of a struct ``s`` as columns of the same names."""
    return ", ".join(f"s[{literal(name)}] AS {identifier(name)}" for name in names)


def _head(path: str) -> bytes:
    """The beginning of a file, decompressed by its suffix."""
    compression = {".gz": "gzip", ".zst": "zstd"}.get(Path(path).suffix.lower())
    try:
        with fsspec.open(path if protocol_of(path) else f"file://{path}", "rb") as raw:
            stream = pa.CompressedInputStream(pa.PythonFile(raw, "r"), compression) if compression else raw
            return bytes(stream.read(_HEAD_BYTES))
    except (OSError, pa.ArrowException) as error:
        raise SourceError(f"{path}: cannot be read ({error}); write it again or take it out of `path`") from error
