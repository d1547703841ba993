"""Files of the lake: where they lie, written under a temporary name and renamed, swept when nothing refers to them.

``<lake>/<monitor>/predictions/window=<YYYY-MM-DDTHH>/<data_version>.parquet``, ``…/quarantine/…`` alike,
``…/labels/window=…/batch-<n>-as<how they were read>-<digest of its sources>.parquet``.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Collection
from datetime import datetime
from pathlib import Path

import duckdb
import fsspec

from monitoring_pipeline.errors import WindowError
from monitoring_pipeline.lake.duck import literal, protocol_of

TEMPORARY = ".tmp-"


def window_directory(start: datetime) -> str:
    return f"window={start:%Y-%m-%dT%H}"


def join(root: str, *parts: str) -> str:
    """A path below a local directory or an fsspec URL."""
    return "/".join((root.rstrip("/"), *parts))


def write_parquet(connection: duckdb.DuckDBPyConnection, sql: str, path: str) -> int:
    """The rows of ``sql`` as one Parquet file, whole or not at all. Returns the number of rows.

    Raises WindowError when the lake refuses (full, read-only); what was begun is removed.
    """
    head, _, name = path.rpartition("/")
    temporary = f"{head}/{TEMPORARY}{uuid.uuid4().hex}-{name}"
    try:
        make_directory(head)
        statement = f"COPY ({sql}) TO {literal(temporary)} (FORMAT parquet, COMPRESSION zstd)"
        row = connection.execute(statement).fetchone()
        _rename(temporary, path)
    except (OSError, duckdb.IOException, duckdb.FatalException) as error:
        remove(temporary)
        raise WindowError(_refusal(head, error)) from error
    except BaseException:
        remove(temporary)
        raise
    return int(row[0]) if row else 0


def make_directory(path: str) -> None:
    if protocol_of(path):
        filesystem, inner = fsspec.core.url_to_fs(path)
        filesystem.makedirs(inner, exist_ok=True)
    else:
        Path(path).mkdir(parents=True, exist_ok=True)


def exists(path: str) -> bool:
    if protocol_of(path):
        filesystem, inner = fsspec.core.url_to_fs(path)
        return bool(filesystem.exists(inner))
    return Path(path).exists()


def remove(path: str) -> None:
    """Gone afterwards, whether or not it was there."""
    if protocol_of(path):
        filesystem, inner = fsspec.core.url_to_fs(path)
        if filesystem.exists(inner):
            filesystem.rm(inner)
    else:
        Path(path).unlink(missing_ok=True)


def sweep(lake_root: str, monitor: str, keep: Collection[str], older_than: datetime) -> int:
    """Remove the monitor's lake files that ``keep`` does not name and that were last written before ``older_than``.

    Call it after the ledger's commit. The age protects what another process is writing. Returns how many were removed.
    """
    kept = {_plain(path) for path in keep}
    filesystem, inner = fsspec.core.url_to_fs(join(lake_root, monitor))
    removed = 0
    for name in filesystem.find(inner) if filesystem.exists(inner) else []:
        own = filesystem.unstrip_protocol(name)
        if _plain(own) not in kept and filesystem.modified(name).timestamp() < older_than.timestamp():
            filesystem.rm(name)
            removed += 1
    return removed


def _plain(path: str) -> str:
    _, separator, rest = path.partition("://")
    return rest.lstrip("/") if separator else path.lstrip("/")


def _rename(temporary: str, path: str) -> None:
    if protocol_of(path):
        filesystem, inner = fsspec.core.url_to_fs(temporary)
        filesystem.mv(inner, fsspec.core.url_to_fs(path)[1])
    else:
        os.replace(temporary, path)  # noqa: PTH105  (one system call, atomic)


def _refusal(directory: str, error: Exception) -> str:
    said = str(error).splitlines()[0]
    if any(sign in said for sign in ("No space left", "File too large", "Could not write", "Disk quota")):
        return (
            f"the lake is full: {directory} takes no more ({said}); free space or set MONITORING_LAKE to another place"
        )
    return (
        f"the lake cannot be written: {directory} ({said}); check that it exists and that this account may write to it"
    )
