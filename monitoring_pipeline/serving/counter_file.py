"""The counter file of one worker process: blocks of float64 cells by key, readable at any moment by other processes.

The file is written by ``pwrite`` and read by ``pread``, never mapped: a full disk, or a file that somebody truncates,
is then an OSError instead of the SIGBUS that ends the process.

Layout: a magic number, then one entry a key, appended: a header (length of the key's JSON, number of cells, checksum
of both and of the JSON), the JSON, and two slots. A slot is a sequence number, a checksum and the cells. Slots are
written in turn, so that whoever reads during a write, or after a kill in the middle of one, finds the other slot whole.
"""

from __future__ import annotations

import fcntl
import json
import os
import stat
import struct
import uuid
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from monitoring_pipeline.serving.damage import DamagedFile
from monitoring_pipeline.serving.folded_counters import Cells, Key

MAGIC = b"model counters 2"
MAX_BYTES = 1 << 28  # larger files are not ours: ten thousand features of a hundred bins take 16 MB
ALIGNED = 16  # entries begin at multiples of it, so that no header crosses a page and is half written by a kill
_HEADER = struct.Struct("<IIII")  # bytes of the key's JSON, cells, checksum, nothing
_SIZES = struct.Struct("<II")
_SLOT = struct.Struct("<QI")  # sequence number, checksum


@dataclass
class Entry:
    """Where one key's slots are, and the sequence number of the newest."""

    slots: int  # offset of the first slot, in bytes
    size: int  # cells
    sequence: int = 0

    @property
    def slot_bytes(self) -> int:
        """Length of one slot."""
        return _SLOT.size + 8 * self.size


class CounterFile:
    """This process's own file. Locked for as long as it is open, so that others can tell a living worker's file from a
    dead one's. Every method raises OSError, after which the file is consistent: it holds what was written before."""

    def __init__(self, path: Path) -> None:
        """Creates the directory and the file, whole and locked before it gets its name."""
        path.parent.mkdir(parents=True, exist_ok=True)
        starting = path.with_name(f"{path.stem}-{uuid.uuid4().hex[:8]}.starting")
        self._fd = os.open(starting, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _write(self._fd, MAGIC, 0)
            starting.rename(path)
        except OSError:
            os.close(self._fd)
            starting.unlink(missing_ok=True)
            raise
        self._path = path
        self._entries: dict[Key, Entry] = {}
        self._end = len(MAGIC)

    def __contains__(self, key: Key) -> bool:
        return key in self._entries

    def add(self, key: Key, cells: Cells) -> None:
        """Appends an entry. Its room on the disk is allocated first, so that later writes to it find the room there."""
        name = json.dumps(key).encode()
        entry = Entry(self._end + _HEADER.size + len(name), len(cells))
        end = _after(entry)
        os.posix_fallocate(self._fd, self._end, end - self._end)
        self._write_slot(entry, cells)
        _write(self._fd, name, self._end + _HEADER.size)
        _write(self._fd, _header(name, len(cells)), self._end)  # last: until then the entry is not there
        self._entries[key] = entry
        self._end = end

    def write(self, key: Key, cells: Cells) -> None:
        """Replaces the cells of a key that was added."""
        self._write_slot(self._entries[key], cells)

    def _write_slot(self, entry: Entry, cells: Cells) -> None:
        entry.sequence += 1
        body = cells.tobytes()
        offset = entry.slots + entry.sequence % 2 * entry.slot_bytes
        _write(self._fd, _SLOT.pack(entry.sequence, _checksum(entry.sequence, body)) + body, offset)

    def is_whole(self) -> bool:
        """Whether the file still has its name and holds every entry: nobody removed, truncated or overwrote it."""
        try:
            if self._path.lstat().st_ino != os.fstat(self._fd).st_ino:
                return False
            return parse(_content(self._fd)).keys() == self._entries.keys()
        except (FileNotFoundError, NotADirectoryError, DamagedFile):
            return False

    def close(self) -> None:
        """Releases the lock: the file is then a dead worker's."""
        os.close(self._fd)


def _after(entry: Entry) -> int:
    """Where the next entry begins."""
    end = entry.slots + 2 * entry.slot_bytes
    return end + -end % ALIGNED


def _header(name: bytes, size: int) -> bytes:
    return _HEADER.pack(len(name), size, zlib.crc32(name, zlib.crc32(_SIZES.pack(len(name), size))), 0)


def _checksum(sequence: int, body: bytes) -> int:
    return zlib.crc32(body, sequence & 0xFFFF_FFFF)


def _write(fd: int, data: bytes, offset: int) -> None:
    """All of it. Raises OSError."""
    view = memoryview(data)
    while view:
        n = os.pwrite(fd, view, offset)
        view, offset = view[n:], offset + n


def read(path: Path) -> tuple[dict[Key, Cells], bool]:
    """The blocks of a worker's file, and whether the worker is alive.

    Raises DamagedFile (with ``alive``) for what is not a counter file, FileNotFoundError, and OSError.
    """
    while True:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # not blocking: it may be a named pipe
        try:
            alive = _is_locked(fd)
            if not alive and path.stat().st_ino != os.fstat(fd).st_ino:
                continue  # its owner put a new file in its place
            return parse(_content(fd)), alive
        except DamagedFile as error:
            error.alive = alive
            raise
        finally:
            os.close(fd)


def _is_locked(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False


def _content(fd: int) -> bytes:
    found = os.fstat(fd)
    if not stat.S_ISREG(found.st_mode):
        raise DamagedFile("not a regular file")
    if os.pread(fd, len(MAGIC), 0) != MAGIC:
        raise DamagedFile("not a counter file" if found.st_size else "empty")
    if found.st_size > MAX_BYTES:
        raise DamagedFile(f"{found.st_size} bytes, more than a counter file can have")
    return os.pread(fd, found.st_size, 0)


def parse(data: bytes) -> dict[Key, Cells]:
    """The newest cells of every entry. Raises DamagedFile."""
    return dict(_entries(data))


def _entries(data: bytes) -> Iterator[tuple[Key, Cells]]:
    position = len(MAGIC)
    while position + _HEADER.size <= len(data):
        length, size, *_ = _HEADER.unpack_from(data, position)
        if not length:
            if any(data[position : position + _HEADER.size]):
                raise DamagedFile(f"no entry at byte {position}")
            return  # allocated, not yet written
        name = data[position + _HEADER.size : position + _HEADER.size + length]
        if data[position : position + _HEADER.size] != _header(name, size):
            raise DamagedFile(f"the entry at byte {position} has a wrong checksum")
        entry = Entry(position + _HEADER.size + length, size)
        yield tuple(json.loads(name)), _newest(data, entry)
        position = _after(entry)


def _newest(data: bytes, entry: Entry) -> Cells:
    whole = []
    for start in (entry.slots, entry.slots + entry.slot_bytes):
        slot = data[start : start + entry.slot_bytes]
        if len(slot) == entry.slot_bytes:
            sequence, checksum = _SLOT.unpack_from(slot)
            if sequence and checksum == _checksum(sequence, slot[_SLOT.size :]):
                whole.append((sequence, slot))
    if not whole:
        raise DamagedFile(f"the cells at byte {entry.slots} have a wrong checksum")
    return np.frombuffer(max(whole)[1], np.float64, entry.size, _SLOT.size)
