"""Row groups of Parquet files: the pieces of a file that can be read apart."""

from __future__ import annotations

from collections.abc import Sequence

import duckdb

from monitoring_pipeline.lake.duck import connected, file_list, protocol_of
from monitoring_pipeline.lake.sources.scan import restored_path, same_path
from monitoring_pipeline.settings import Settings


def row_groups(settings: Settings, paths: Sequence[str]) -> dict[str, list[int]]:
    """Rows of each row group, in order, by path; from the footers alone. Files that cannot be read are left out."""
    with connected(settings, {protocol_of(path) for path in paths} - {""}) as connection:
        return _of(connection, list(dict.fromkeys(paths)))


def _of(connection: duckdb.DuckDBPyConnection, paths: list[str]) -> dict[str, list[int]]:
    if not paths:
        return {}
    listed = file_list(paths)
    sql = f"SELECT DISTINCT file_name, row_group_id, row_group_num_rows FROM parquet_metadata({listed})"  # noqa: S608
    try:
        found = connection.execute(f"{sql} ORDER BY row_group_id").fetchall()
    except duckdb.Error:  # whoever reads the rows names the file and the remedy
        if len(paths) == 1:
            return {}
        return {path: groups for each in paths for path, groups in _of(connection, [each]).items()}
    ours, groups = restored_path(paths), dict[str, list[int]]()
    for name, _, rows in found:
        groups.setdefault(ours[same_path(name)], []).append(rows)
    return groups
