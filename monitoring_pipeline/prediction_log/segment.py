"""A segment: one spool file, allocated in full, written through a shared mapping.

A store into the mapping is in the kernel's page cache as soon as it is made, without a system call: it survives the
death of the process. The magic goes in last, in one store: a kill before it leaves zeros there, never half a record.
"""

from __future__ import annotations

import contextlib
import errno
import mmap
import os
import time
from pathlib import Path

from monitoring_pipeline.prediction_log.frames import HEADER, MAGIC, frames, measure

FILE_MAGIC = b"MPSPOOL1"
LONGEST_SCHEMA = 64 << 20
BY_CALL = 16_384  # bytes from which one system call is cheaper than a page fault for every 4 KB of the mapping


class Segment:
    """The file that is being written. Not thread-safe: the spool holds its lock."""

    __slots__ = ("_map", "fd", "first_at", "n_rows", "path", "size", "used")

    def __init__(self, path: Path, size: int, schema: bytes) -> None:
        """Allocates ``size`` bytes on disk (never a hole: a full disk shows here, not as SIGBUS). Raises OSError."""
        size = max(size, len(FILE_MAGIC) + 4 * (len(schema) + HEADER.size) + 4096)
        self.path = path
        self.fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0), 0o600)
        try:
            os.posix_fallocate(self.fd, 0, size)
            self._map = mmap.mmap(self.fd, size)
        except OSError:
            os.close(self.fd)
            path.unlink(missing_ok=True)
            raise
        self.size = size
        self._map[: len(FILE_MAGIC)] = FILE_MAGIC
        self.used = len(FILE_MAGIC)
        self.n_rows = 0
        self.first_at: float | None = None
        self.append(schema, 0)

    def fits(self, body: bytes) -> bool:
        """Whether this many more bytes fit the segment."""
        return self.used + HEADER.size + len(body) <= self.size

    def append(self, body: bytes, n_rows: int) -> None:
        """Writes one frame; the caller asked ``fits``."""
        start = self.used
        measured, begin = start + len(MAGIC), start + HEADER.size
        end = begin + len(body)
        if len(body) < BY_CALL:
            self._map[begin:end] = body
        else:
            write_at(self.fd, body, begin)
        self._map[measured:begin] = measure(body)
        self._map[start:measured] = MAGIC
        self.used = end
        if n_rows:
            self.n_rows += n_rows
            if self.first_at is None:
                self.first_at = time.monotonic()

    def sync(self) -> None:
        """Waits until what was written is on the device. Releases the interpreter lock meanwhile. Raises OSError, also
        when the file is gone."""
        if self.fd >= 0:
            getattr(os, "fdatasync", os.fsync)(self.fd)
            if self.gone:
                raise FileNotFoundError(errno.ENOENT, "the spool file was deleted or moved", str(self.path))

    @property
    def gone(self) -> bool:
        """Whether somebody deleted or moved the file, or took its volume away: what is written to it is not found."""
        try:
            return self.fd >= 0 and not os.path.samestat(os.fstat(self.fd), self.path.stat())
        except FileNotFoundError:
            return True

    def seal(self, sync: bool) -> Path:
        """Cuts the file to what was written and renames it ``.sealed``; the path it has then.

        Raises OSError, after which it may be called again.
        """
        if self.fd >= 0:  # once closed, the number may be another file's
            self._map.close()
            os.ftruncate(self.fd, self.used)
            if sync:
                os.fsync(self.fd)
            fd, self.fd = self.fd, -1
            os.close(fd)
        sealed = self.path.with_suffix(".sealed")
        self.path.rename(sealed)
        return sealed

    def discard(self) -> None:
        """Gives up an empty segment."""
        self.abandon()
        self.path.unlink(missing_ok=True)

    def abandon(self) -> None:
        """Closes without touching the file: in a forked child, where the file is the parent's."""
        with contextlib.suppress(OSError, ValueError):
            self._map.close()
            os.close(self.fd)


def write_at(fd: int, body: bytes, offset: int) -> None:
    """All of it, into the page cache. Raises OSError."""
    left = memoryview(body)
    while left:
        written = os.pwrite(fd, left, offset)
        left, offset = left[written:], offset + written


def schema_of(path: Path) -> bytes:
    """The schema a segment begins with; empty when it is damaged or the file is gone. Reads no further."""
    with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
        start = file.read(len(FILE_MAGIC) + HEADER.size)
        if start.startswith(FILE_MAGIC) and len(start) == len(FILE_MAGIC) + HEADER.size:
            body = file.read(min(HEADER.unpack_from(start, len(FILE_MAGIC))[1], LONGEST_SCHEMA))
            return next((f.body for f in frames(start + body, len(FILE_MAGIC)) if f.intact), b"")
    return b""


class SegmentContent:
    """What a reader finds in a segment: the schema's bytes, the intact bodies in order, the damaged stretches."""

    def __init__(self, path: Path, pause: float = 0.0) -> None:
        """``pause`` seconds of rest every 64 frames: reading in a service's process must not hold up requests."""
        data = path.read_bytes()
        self.schema: bytes | None = None
        self.bodies: list[bytes] = []
        self.damaged: list[tuple[int, bytes]] = []
        start = len(FILE_MAGIC) if data.startswith(FILE_MAGIC) else 0
        for i, frame in enumerate(frames(data, start)):
            if not frame.intact:
                self.damaged.append((frame.offset, frame.body))
            elif self.schema is None and frame.offset == start:
                self.schema = frame.body
            else:
                self.bodies.append(frame.body)
            if pause and i % 64 == 63:
                time.sleep(pause)
