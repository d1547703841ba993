"""Files of the lake: where they lie, written under a temporary name and renamed.

``<lake>/<monitor>/predictions/window=<YYYY-MM-DDTHH>/<data_version>.parquet``, ``…/quarantine/…`` alike,
``…/labels/window=…/batch-<n>-as<how they were read>-<digest of its sources>.parquet``.
"""

from __future__ import annotations

import os
import uuid
from datetime import datetime
from pathlib import Path

import duckdb
import fsspec

from monitoring_pipeline.errors import WindowError
from monitoring_pipeline.lake.duck import literal, protocol_of

TEMPORARY = ".tmp-"


def window_directory(start: datetime) -> str:
    """Name of the directory of the window that starts then."""
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


def write_text(path: str, content: str) -> None:
    """One small file, whole or not at all, in place of the one before. Raises WindowError when the lake refuses."""
    head, _, name = path.rpartition("/")
    temporary = f"{head}/{TEMPORARY}{uuid.uuid4().hex}-{name}"
    try:
        make_directory(head)
        with fsspec.open(temporary, "w") as file:
            file.write(content)
        _rename(temporary, path)
    except OSError as error:
        remove(temporary)
        raise WindowError(_refusal(head, error)) from error


def make_directory(path: str) -> None:
    """Makes a local directory or one of an fsspec URL, its parents too; nothing happens when it exists."""
    if protocol_of(path):
        filesystem, inner = fsspec.core.url_to_fs(path)
        filesystem.makedirs(inner, exist_ok=True)
    else:
        Path(path).mkdir(parents=True, exist_ok=True)


def exists(path: str) -> bool:
    """Whether a local path or an fsspec URL exists."""
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
