"""DuckDB connections and the quoting of what users name: identifiers, literals, lists of files."""

from __future__ import annotations

import contextlib
import shutil
import time
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path

import duckdb
import fsspec

from monitoring_pipeline.settings import Settings

# Protocols that DuckDB would take for its own (and download an extension for) or that are plain local paths.
_LOCAL = ("", "file", "local")
_LEFTOVER_SECONDS = 24 * 3600


def identifier(name: str) -> str:
    """A quoted identifier; any text is safe."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A string literal; any text is safe. A NUL would end the statement, so it is written as ``chr(0)``."""
    quoted = "'" + text.replace("'", "''") + "'"
    return "(" + quoted.replace("\0", "' || chr(0) || '") + ")" if "\0" in text else quoted


def file_list(paths: Iterable[str]) -> str:
    """A DuckDB list literal of paths, taken as they are: glob characters in a file's name are escaped."""
    return "[" + ", ".join(literal(_escape_glob(path)) for path in paths) + "]"


def protocol_of(path: str) -> str:
    """``memory`` for ``memory://x``; the empty string for local paths."""
    head, separator, _ = path.partition("://")
    return head if separator and head not in _LOCAL else ""


def connect(settings: Settings, protocols: Iterable[str] = ()) -> duckdb.DuckDBPyConnection:
    """A private in-memory database that spills under ``settings.home``, in UTC, and never downloads an extension.

    The lake's protocol is registered through fsspec; ``protocols`` names further ones (``Relation.protocols``).
    """
    # A directory of its own: two databases that spill into one would write each other's files. DuckDB makes it when it
    # needs it, and removes it.
    spill = scratch(settings, "duckdb") / uuid.uuid4().hex
    connection = duckdb.connect(
        config={
            "memory_limit": settings.duckdb_memory_limit,
            "threads": settings.duckdb_threads,
            "temp_directory": str(spill),
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "preserve_insertion_order": False,
        }
    )
    connection.execute("SET TimeZone = 'UTC'")
    # Prefetching a local file gains nothing and holds whole row groups: a quarter of the peak memory.
    connection.execute("SET disable_parquet_prefetching = true")
    register(connection, (protocol_of(settings.lake), *protocols))
    return connection


def register(connection: duckdb.DuckDBPyConnection, protocols: Iterable[str]) -> None:
    """Let the connection read and write these fsspec protocols. Registering twice is harmless."""
    for protocol in sorted(set(protocols) - {""}):
        if not connection.filesystem_is_registered(protocol):
            connection.execute("SET disable_parquet_prefetching = false")  # of a remote file, few large reads
            connection.register_filesystem(fsspec.filesystem(protocol))


@contextlib.contextmanager
def connected(settings: Settings, protocols: Iterable[str] = ()) -> Iterator[duckdb.DuckDBPyConnection]:
    """``connect``, closed at the end."""
    connection = connect(settings, protocols)
    try:
        yield connection
    finally:
        connection.close()


def scratch(settings: Settings, purpose: str) -> Path:
    """Where temporary directories are made, one for each use. What a killed process left goes after a day."""
    settings.private("lake")  # before anything is written there, which is by its address alone
    directory = settings.private("tmp") / purpose
    directory.mkdir(exist_ok=True)
    for left in directory.iterdir():
        with contextlib.suppress(OSError):  # another process was first
            if time.time() - left.stat().st_mtime > _LEFTOVER_SECONDS:
                shutil.rmtree(left, ignore_errors=True)
    return directory


def _escape_glob(path: str) -> str:
    return "".join(f"[{c}]" if c in "*?[" else c for c in path) if any(c in path for c in "*?[") else path
