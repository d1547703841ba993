"""The arrays of a profile's part as few bytes.

Counts are small and alike. Of parts that no SQL reads they are cut to the fewest bytes that hold the largest, and put
byte by byte (all lowest bytes, then all second ones), which zlib shortens to a sixth of what Postgres makes of a
``bigint[]``. Of parts that views unfold the lowest and the second bytes are columns of their own.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

HEADER = struct.Struct("<BBII")  # version of this format, bytes a count, counts, sums
VERSION = 1
LEVEL = 6


def pack(counts: NDArray[np.int64], sums: NDArray[np.float64]) -> bytes:
    """Counts (m,) and sums (n,) as bytes; exact."""
    width = next(w for w in (1, 2, 4, 8) if w == 8 or not len(counts) or _fits(counts, w))
    planes = counts.astype(f"<i{width}").view(np.uint8).reshape(-1, width).T.tobytes()
    return HEADER.pack(VERSION, width, len(counts), len(sums)) + zlib.compress(
        planes + sums.astype("<f8").tobytes(), LEVEL
    )


def unpack(packed: bytes | memoryview) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Inverse of ``pack``. ValueError for bytes that a newer version of this program wrote."""
    version, width, n_counts, n_sums = HEADER.unpack_from(packed)
    if version != VERSION:
        raise ValueError(f"a stored profile is packed in format {version}; upgrade monitoring-pipeline")
    content = zlib.decompress(bytes(packed)[HEADER.size :])
    planes = np.frombuffer(content, np.uint8, n_counts * width).reshape(width, n_counts)
    counts = np.ascontiguousarray(planes.T).view(f"<i{width}").ravel().astype(np.int64)
    return counts, np.frombuffer(content, "<f8", n_sums, n_counts * width).astype(np.float64)


def planes(counts: NDArray[np.int64]) -> tuple[bytes, bytes | None] | None:
    """For counts that SQL reads: the lowest byte of each, and the second byte of each, None where all are 0.

    None when a count needs a third byte.
    """
    if len(counts) and not 0 <= counts.min() <= counts.max() < 1 << 16:
        return None
    low, high = counts.astype("<u2").view(np.uint8).reshape(-1, 2).T
    return low.tobytes(), high.tobytes() if high.any() else None


def from_planes(low: bytes | memoryview, high: bytes | memoryview | None) -> NDArray[np.int64]:
    """Inverse of ``planes``."""
    counts = np.frombuffer(low, np.uint8).astype(np.int64)
    return counts if high is None else counts + (np.frombuffer(high, np.uint8).astype(np.int64) << 8)


def many_from_planes(
    pairs: Sequence[tuple[bytes | memoryview, bytes | memoryview | None]],
) -> NDArray[np.int64]:
    """The same of n rows with as many counts each: (n, m)."""
    counts = np.frombuffer(b"".join([low for low, _ in pairs]), np.uint8).astype(np.int64).reshape(len(pairs), -1)
    higher = [i for i, (_, high) in enumerate(pairs) if high is not None]
    if higher:
        high = np.frombuffer(b"".join([pairs[i][1] or b"" for i in higher]), np.uint8)
        counts[higher] += high.reshape(len(higher), -1).astype(np.int64) << 8
    return counts


def _fits(counts: NDArray[np.int64], width: int) -> bool:
    limits = np.iinfo(f"i{width}")
    return bool(limits.min <= counts.min() and counts.max() <= limits.max)
