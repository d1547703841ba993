"""Frames: how records stand in a spool file, so that a reader knows a whole one from a torn or damaged one.

A frame is magic, length, CRC-32 of the body, body. Damage costs the frames it touches and no other: the reader looks
for the next magic whose checksum holds.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

MAGIC = b"\xf5MPL"
HEADER = struct.Struct("<4sII")
_MEASURE = struct.Struct("<II")
MAX_BODY = 1 << 30


@dataclass(frozen=True)
class Frame:
    """A body whose checksum holds, or (``intact`` false) ``size`` bytes from ``offset`` that belong to no frame."""

    offset: int
    size: int
    body: bytes
    intact: bool = True


def measure(body: bytes) -> bytes:
    """What stands between the magic and ``body``."""
    return _MEASURE.pack(len(body), zlib.crc32(body))


def header(body: bytes) -> bytes:
    """The twelve bytes that stand before ``body``."""
    return MAGIC + measure(body)


def frames(data: bytes, start: int = 0) -> Iterator[Frame]:
    """Every frame in ``data`` from ``start``.

    Ends where no magic stands and nothing intact follows: at the zeros of a file that was allocated but not written to
    its end, or at a frame whose writer died before it put the magic, so that no one was told it had been written.
    """
    offset = start
    while offset < len(data):
        frame = _frame_at(data, offset)
        if frame is None:
            end = _next_intact(data, offset + 1)
            if end == len(data) and not data[offset : offset + len(MAGIC)].strip(b"\0"):
                return
            frame = Frame(offset, end - offset, data[offset:end].rstrip(b"\0"), intact=False)
        yield frame
        offset += frame.size


def _frame_at(data: bytes, offset: int) -> Frame | None:
    if offset + HEADER.size > len(data):
        return None
    magic, length, checksum = HEADER.unpack_from(data, offset)
    end = offset + HEADER.size + length
    if magic != MAGIC or not 0 < length <= MAX_BODY or end > len(data):  # the checksum of nothing is zero: no proof
        return None
    body = data[offset + HEADER.size : end]
    return Frame(offset, HEADER.size + length, body) if zlib.crc32(body) == checksum else None


def _next_intact(data: bytes, offset: int) -> int:
    found = data.find(MAGIC, offset)
    while found != -1 and _frame_at(data, found) is None:
        found = data.find(MAGIC, found + 1)
    return len(data) if found == -1 else found
