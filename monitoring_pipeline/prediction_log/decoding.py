"""Decoding: what the bodies of a segment's frames are to the sink they are shipped to."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from monitoring_pipeline.prediction_log.rows import RowBatch, RowSchema

POLITE = 0.0005  # seconds of rest between slices of work that hold the interpreter lock


class Rows(Protocol):
    """All rows of one segment, as a sink takes them."""

    @property
    def ids(self) -> Sequence[str]:
        """Of every row, in order."""
        ...


def owner_of(schema: bytes) -> str | None:
    """Whose rows a segment holds: the monitor its schema names, or the format; None when that cannot be read."""
    try:
        named = json.loads(schema)
        return str(named.get("monitor") or named["format"])
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


R = TypeVar("R", bound=Rows)


@dataclass(frozen=True)
class Decoded(Generic[R]):
    """The rows that could be read (None: not one), and why the others could not (empty: all could)."""

    rows: R | None
    unreadable: str = ""


Decode = Callable[[bytes, list[bytes]], Decoded[R]]
"""(schema, bodies): the first frame's body — empty when it is damaged — and those of the other intact frames, in order.

What cannot be read is said in ``Decoded.unreadable``: the file is then kept whole, beside it what was read is shipped.
"""


def decode_rows(schema: bytes, bodies: list[bytes]) -> Decoded[RowBatch]:
    """Packed rows, as ``prediction_log.rows`` has them: all or none, since they share one width."""
    try:
        return Decoded(RowBatch.from_bodies(RowSchema.from_bytes(schema), bodies, POLITE))
    except (ValueError, KeyError, TypeError, struct.error) as error:
        return Decoded(None, str(error))
