"""Parquet: one table, one file, whole or not at all, in a local directory or under an fsspec URL."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from monitoring_pipeline.errors import UserError

if TYPE_CHECKING:
    import pyarrow as pa

SUFFIX = ".parquet"


def write_table(table: pa.Table, target: str | os.PathLike[str], name: str) -> None:
    """Puts ``table`` at ``<target>/<name>.parquet`` and replaces what stood there. Makes the directory.

    A reader that lists ``*.parquet`` sees all of it or nothing: it is written under another name and renamed; a local
    file is on the device before that. Raises OSError, or the file system's own error, and leaves nothing half-written
    behind unless the process dies.
    """
    target = os.fspath(target)
    if "://" not in target:
        _write_local(table, Path(target), name)
        return
    import fsspec
    from fsspec.implementations.local import LocalFileSystem

    filesystem, root = fsspec.core.url_to_fs(target)
    if isinstance(filesystem, LocalFileSystem):
        _write_local(table, Path(root), name)
    else:
        _write_remote(table, filesystem, root, name)


def below(target: str | os.PathLike[str], *parts: str) -> str:
    """``<target>/<part>/<part>`` of a directory or an fsspec URL."""
    root = os.fspath(target)
    return "/".join((root if root.endswith("://") else root.rstrip("/"), *parts))


def check_target(target: str | os.PathLike[str]) -> None:
    """Raises UserError for a URL whose file system is not known or not installed. Connects to nothing."""
    protocol, separator, _ = os.fspath(target).partition("://")
    if not separator:
        return
    import fsspec

    try:
        fsspec.get_filesystem_class(protocol.split("::")[-1])
    except (ValueError, ImportError) as error:
        raise UserError(f"{target}: {error}; give a local directory, or install what the URL needs") from None


def _write_local(table: pa.Table, directory: Path, name: str) -> None:
    import pyarrow.parquet as pq

    directory.mkdir(parents=True, exist_ok=True)
    temporary = directory / f".{name}{SUFFIX}.tmp"
    try:
        with temporary.open("wb") as out:
            pq.write_table(table, out, compression="zstd")
            out.flush()
            os.fsync(out.fileno())
        temporary.replace(directory / f"{name}{SUFFIX}")
    except BaseException:
        temporary.unlink(missing_ok=True)  # on a full disk it would hold the room that the next try needs
        raise
    sync_directory(directory)


def sync_directory(directory: Path) -> None:
    """Waits until the names in it are on the device. Raises OSError."""
    fd = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _write_remote(table: pa.Table, filesystem: object, root: str, name: str) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq
    from fsspec import AbstractFileSystem

    assert isinstance(filesystem, AbstractFileSystem)
    buffer = pa.BufferOutputStream()
    pq.write_table(table, buffer, compression="zstd")
    temporary, final = f"{root}/.{name}{SUFFIX}.tmp", f"{root}/{name}{SUFFIX}"
    filesystem.makedirs(root, exist_ok=True)
    filesystem.pipe_file(temporary, buffer.getvalue().to_pybytes())
    if filesystem.exists(final):  # shipped before; not every file system renames onto a file
        filesystem.rm_file(final)
    filesystem.mv(temporary, final)
