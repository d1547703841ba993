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
MAX_BODY = 1 << 30


@dataclass(frozen=True)
class Frame:
    """A body whose checksum holds, or (``intact`` false) ``size`` bytes from ``offset`` that belong to no frame."""

    offset: int
    size: int
    body: bytes
    intact: bool = True


def header(body: bytes) -> bytes:
    """The twelve bytes that stand before ``body``."""
    return HEADER.pack(MAGIC, len(body), zlib.crc32(body))


def frames(data: bytes, start: int = 0) -> Iterator[Frame]:
    """Every frame in ``data`` from ``start``. Ends at the zeros of a file that was allocated but not written to its
    end."""
    offset = start
    while offset < len(data):
        frame = _frame_at(data, offset)
        if frame is None:
            if not data[offset : offset + HEADER.size].strip(b"\0") and not data[offset:].strip(b"\0"):
                return
            end = _next_intact(data, offset + 1)
            frame = Frame(offset, end - offset, data[offset:end].rstrip(b"\0"), intact=False)
        yield frame
        offset += frame.size


def _frame_at(data: bytes, offset: int) -> Frame | None:
    if offset + HEADER.size > len(data):
        return None
    magic, length, checksum = HEADER.unpack_from(data, offset)
    end = offset + HEADER.size + length
    if magic != MAGIC or length > MAX_BODY or end > len(data):
        return None
    body = data[offset + HEADER.size : end]
    return Frame(offset, HEADER.size + length, body) if zlib.crc32(body) == checksum else None


def _next_intact(data: bytes, offset: int) -> int:
    found = data.find(MAGIC, offset)
    while found != -1 and _frame_at(data, found) is None:
        found = data.find(MAGIC, found + 1)
    return len(data) if found == -1 else found
