"""Which columns a source keeps as text although it could keep numbers: codes, to whoever wrote them."""

from __future__ import annotations

import json

import sqlalchemy as sa

from monitoring_pipeline.errors import SourceError
from monitoring_pipeline.lake.sources import sql
from monitoring_pipeline.lake.sources.files import file_format, list_files
from monitoring_pipeline.lake.sources.text import header_text
from monitoring_pipeline.monitors.declaration import Monitor, Source


def text_columns(monitor: Monitor, source: Source) -> set[str] | None:
    """Their names; None where the types of the columns say it (Parquet). Empty for CSV, where everything is text."""
    if source.url is not None:
        table = sql.open_table(source, monitor.base_dir)
        try:
            return {column.name for column in table.table.columns if isinstance(column.type, sa.String)}
        finally:
            table.close()
    path = next(iter(list_files(source, monitor.base_dir)), None)
    if path is None:
        return set()
    kind = file_format(path, source.format)
    return None if kind == "parquet" else _json_texts(path) if kind == "jsonl" else set()


def _json_texts(path: str) -> set[str]:
    """Keys of the first objects of a JSON Lines file whose values are strings in all of them."""
    try:
        lines = header_text(path).splitlines()
    except SourceError:
        return set()  # said where the file is read
    found: dict[str, bool] = {}
    for line in lines:
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            continue  # cut off, or no JSON: a broken row is counted where the file is read
        for name, value in row.items() if isinstance(row, dict) else ():
            if value is not None:
                found[name] = found.get(name, True) and isinstance(value, str)
    return {name for name, is_text in found.items() if is_text}
