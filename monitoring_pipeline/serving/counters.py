"""Counters: blocks of float64 cells that add up over the threads and the worker processes of a service.

One process keeps them in memory. Several (``PROMETHEUS_MULTIPROC_DIR``) keep each its own mapped file there, and
whichever worker is scraped adds the files up. What dead workers counted stays, so that counters never go back; their
files are folded into one (``serving.folded_counters``), so that they do not pile up where workers are often restarted.
"""

from __future__ import annotations

import fcntl
import json
import logging
import mmap
import os
import struct
import threading
import uuid
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from monitoring_pipeline.serving.folded_counters import Cells, Folded, Key, fold, read_consistently

logger = logging.getLogger(__name__)
GAUGE = "gauge"  # first word of the keys whose cells count only while their worker lives


class Counters(Protocol):
    """``block`` gives the cells of a key, to be added to under ``lock``; ``totals`` the sums over all workers."""

    lock: threading.Lock

    def block(self, key: Key, size: int) -> Cells: ...

    def totals(self) -> dict[Key, Cells]: ...

    def close(self) -> None: ...


class LocalCounters:
    """Of one process."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self._blocks: dict[Key, Cells] = {}

    def block(self, key: Key, size: int) -> Cells:
        found = self._blocks.get(key)
        if found is None:
            found = self._blocks.setdefault(key, np.zeros(size))
        return found

    def totals(self) -> dict[Key, Cells]:
        with self.lock:
            return {key: cells.copy() for key, cells in self._blocks.items()}

    def close(self) -> None:
        """Nothing to let go of."""


FOLDED_AT = 8  # dead workers' files
INDEX_BYTES = 1 << 20
CELLS = 1 << 20  # ten thousand features of a hundred bins; what is not used takes no room on the disk
ENTRY = struct.Struct("<II")  # bytes of the JSON that follows, cells; the length is written last


class SharedCounters:
    """Of several processes, by one file each: an index of keys that only grows, then the cells. Sparse on disk."""

    def __init__(self, directory: Path, model: str) -> None:
        """``model`` tells the files of one model version from another's. Raises OSError."""
        directory.mkdir(parents=True, exist_ok=True)
        self.lock = threading.Lock()
        self._pattern = f"monitoring-{model}-*.counters"
        self._directory = directory
        self._folded = directory / f"monitoring-{model}.folded"
        self._path = directory / f"monitoring-{model}-{os.getpid()}-{uuid.uuid4().hex[:8]}.counters"
        self._fd = self._make_file()
        self._file = np.memmap(self._path, np.uint8, "r+")
        self._cells = self._file[INDEX_BYTES:].view(np.float64)
        self._blocks: dict[Key, Cells] = {}
        self._index_end = self._cells_end = 0
        self._dead: dict[Path, dict[Key, Cells]] = {}
        self._fold()

    def _make_file(self) -> int:
        """Whole and locked before it bears its name: a file that can be seen is locked, or its owner is dead."""
        starting = self._path.with_suffix(".starting")
        fd = os.open(starting, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.ftruncate(fd, INDEX_BYTES + CELLS * 8)
        starting.rename(self._path)
        return fd

    def _fold(self) -> None:
        """At the start of a worker, since that is when others have died. What fails is for the next one to do."""
        try:
            fold(self._folded, self._cells_of_the_dead, FOLDED_AT)
        except (OSError, ValueError) as error:
            logger.error("%s: the counters of dead workers could not be folded: %s", self._directory, error)

    def _cells_of_the_dead(self) -> dict[str, dict[Key, Cells]]:
        paths = [p for p in self._directory.glob(self._pattern) if p != self._path and not _is_locked(p)]
        return {p.name: self._of(p) for p in paths}

    def block(self, key: Key, size: int) -> Cells:
        """When the file is full the cells are this process's alone and are not published; that is logged."""
        found = self._blocks.get(key)
        if found is None:
            with self.lock:
                found = self._blocks.get(key)
                if found is None:
                    found = self._blocks[key] = self._new_block(key, size)
        return found

    def _new_block(self, key: Key, size: int) -> Cells:
        name = json.dumps(key).encode()
        start, end = self._index_end, self._index_end + ENTRY.size + len(name)
        if end > INDEX_BYTES - ENTRY.size or self._cells_end + size > CELLS:
            logger.error("%s is full; %r is not published", self._path, key)
            return np.zeros(size)
        cells = self._cells[self._cells_end : self._cells_end + size]
        self._file[start + ENTRY.size : end] = np.frombuffer(name, np.uint8)
        self._file[start : start + ENTRY.size] = np.frombuffer(ENTRY.pack(len(name), size), np.uint8)
        self._index_end, self._cells_end = end, self._cells_end + size
        return cells

    def totals(self) -> dict[Key, Cells]:
        return read_consistently(self._folded, self._with_workers)

    def _with_workers(self, folded: Folded) -> dict[Key, Cells]:
        paths = [p for p in self._directory.glob(self._pattern) if p.name not in folded.names]
        self._dead = {p: blocks for p, blocks in list(self._dead.items()) if p in paths}
        return folded.totals([self._of(p) for p in paths])

    def _of(self, path: Path) -> dict[Key, Cells]:
        """Blocks of one worker; those of a dead one are read once, without its gauges. Raises OSError.

        None where the file was folded and removed meanwhile; less for any other reason must not pass for the total.
        """
        if path in self._dead:
            return self._dead[path]
        try:
            alive = path == self._path or _is_locked(path)
            blocks = _read(path)
        except FileNotFoundError:
            return {}
        if not alive:
            blocks = self._dead[path] = {key: cells for key, cells in blocks.items() if key[0] != GAUGE}
        return blocks

    def close(self) -> None:
        """Lets go of the lock: the file is then a dead worker's."""
        os.close(self._fd)


def _is_locked(path: Path) -> bool:
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
    return False


def _read(path: Path) -> dict[Key, Cells]:
    """A copy of all blocks, by a mapping: of most files little more than the first pages of index and cells is used."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        blocks: dict[Key, Cells] = {}
        position, first = 0, INDEX_BYTES
        while True:
            length, size = ENTRY.unpack_from(data, position)
            if not length:
                return blocks
            position += ENTRY.size
            key: Any = json.loads(data[position : position + length])
            blocks[tuple(key)] = np.frombuffer(data[first : first + 8 * size], np.float64)
            position, first = position + length, first + 8 * size


def counters_for(model: str) -> Counters:
    """Shared over processes when ``PROMETHEUS_MULTIPROC_DIR`` is set, as prometheus_client has it."""
    directory = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
    return SharedCounters(Path(directory), model) if directory else LocalCounters()
