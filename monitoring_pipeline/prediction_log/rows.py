"""Rows: what one prediction is in the spool, and how it becomes columns again.

A row is fixed-width: event time, duration, the numbers, the category codes. What does not fit (an unseen category, a
text where a number belongs) stands beside it in the frame's ``oddities``. Many rows make one frame when they were one
call.
"""

from __future__ import annotations

import json
import struct
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monitoring_pipeline.prediction_log.ids import IdSource
from monitoring_pipeline.profiles.layout import ColumnLayout

# A missing number is a NaN with a payload of ours, so that it is told from a NaN the caller sent.
MISSING_BITS = 0x7FF8_0000_004D_4953
MISSING: float = struct.unpack("<d", struct.pack("<Q", MISSING_BITS))[0]
MISSING_CODE = 0xFFFF
UNSEEN_CODE = 0xFFFE

HEAD = struct.Struct("<III")  # rows, bytes of ids, bytes of oddities
Oddities = dict[str, dict[str, Any]]  # row number -> column -> unseen text, or [reason, text]


@dataclass(frozen=True)
class RowSchema:
    """The columns of the log of one model version: features, prediction, scores, in the layout's order."""

    monitor: str
    model_version: str
    columns: tuple[ColumnLayout, ...]

    @cached_property
    def numerical(self) -> tuple[ColumnLayout, ...]:
        """Features first, then outputs: the order of the numbers in a row."""
        return _outputs_last(c for c in self.columns if c.kind == "numerical")

    @cached_property
    def categorical(self) -> tuple[ColumnLayout, ...]:
        """Features first, then outputs: the order of the codes in a row."""
        return _outputs_last(c for c in self.columns if c.kind == "categorical")

    @cached_property
    def features(self) -> tuple[str, ...]:
        """Names of the features."""
        return tuple(c.name for c in self.columns if c.role == "feature")

    @cached_property
    def dtype(self) -> np.dtype[Any]:
        """One row."""
        numbers, codes = (len(self.numerical),), (len(self.categorical),)
        return np.dtype([("time", "<i8"), ("duration", "<f8"), ("numbers", "<f8", numbers), ("codes", "<u2", codes)])

    @cached_property
    def single(self) -> struct.Struct:
        """The head of a frame of one row, and the row."""
        return struct.Struct(f"<IIIqd{len(self.numerical)}d{len(self.categorical)}H")

    def to_bytes(self) -> bytes:
        """As JSON, without the edges."""
        columns = [[c.name, c.role, c.kind, list(c.categories)] for c in self.columns]
        return json.dumps({"monitor": self.monitor, "model_version": self.model_version, "columns": columns}).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> RowSchema:
        """Inverse of ``to_bytes``, without the edges, which the log does not need."""
        value = json.loads(data)
        columns = tuple(ColumnLayout(n, r, k, (), tuple(c)) for n, r, k, c in value["columns"])
        return cls(value["monitor"], value["model_version"], columns)


def _outputs_last(columns: Iterable[ColumnLayout]) -> tuple[ColumnLayout, ...]:
    return tuple(sorted(columns, key=lambda c: c.role != "feature"))


def pack_rows(rows: NDArray[Any], ids: bytes, oddities: Oddities) -> bytes:
    """The body of a frame of ``len(rows)`` rows. ``ids`` is ``id_text`` or ``id_sequence`` of them."""
    tail = json.dumps(oddities).encode() if oddities else b""
    return b"".join((HEAD.pack(len(rows), len(ids), len(tail)), rows.view(np.uint8).data, ids, tail))


def id_text(ids: Sequence[str]) -> bytes:
    """Ids the caller gave, one a row."""
    return ("T" + "\n".join(ids)).encode("utf-8", "replace")


def id_sequence(prefix: str, start: int) -> bytes:
    """Ids made up for a batch: numbered from ``start`` on."""
    return f"S{start:010x}{prefix}".encode()


def _ids(blob: bytes, n: int) -> list[str]:
    text = blob.decode("utf-8", "replace")
    if text.startswith("S"):
        return IdSource.numbered(text[11:], n, int(text[1:11], 16))
    return text[1:].split("\n")


@dataclass
class RowBatch:
    """Rows read back from frames, ready for a sink."""

    schema: RowSchema
    rows: NDArray[Any]
    ids: list[str]
    oddities: dict[int, dict[str, Any]] = field(default_factory=dict)

    @classmethod
    def from_bodies(cls, schema: RowSchema, bodies: Iterable[bytes], pause: float = 0.0) -> RowBatch:
        """Raises ValueError for a body that is not of this schema. ``pause`` seconds of rest every 64 frames."""
        chunks: list[bytes] = []
        ids: list[str] = []
        oddities: dict[int, dict[str, Any]] = {}
        width = schema.dtype.itemsize
        for i, body in enumerate(bodies):
            if pause and i % 64 == 63:
                time.sleep(pause)
            n, id_size, tail_size = HEAD.unpack_from(body)
            end = HEAD.size + n * width
            if len(body) != end + id_size + tail_size:
                raise ValueError(f"a frame of {len(body)} bytes does not hold {n} rows of {width} bytes")
            if tail_size:
                for row, odd in json.loads(body[end + id_size :]).items():
                    oddities[len(ids) + int(row)] = odd
            chunks.append(body[HEAD.size : end])
            ids += _ids(body[end : end + id_size], n)
        return cls(schema, np.frombuffer(b"".join(chunks), schema.dtype), ids, oddities)

    def numbers(self, name: str, role: str) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Values of a numerical column and where they are null."""
        i = next(i for i, c in enumerate(self.schema.numerical) if (c.name, c.role) == (name, role))
        values = np.ascontiguousarray(self.rows["numbers"][:, i])
        return values, values.view(np.uint64) == MISSING_BITS

    def texts(self, name: str, role: str) -> list[str | None]:
        """Values of a categorical column; an unseen one in the words it came in (truncated), missing as None."""
        i, column = next((i, c) for i, c in enumerate(self.schema.categorical) if (c.name, c.role) == (name, role))
        lookup: dict[int, str | None] = dict(enumerate(column.categories))
        lookup[MISSING_CODE] = None
        values = [lookup.get(code) for code in self.rows["codes"][:, i].tolist()]
        for row, odd in self.oddities.items():
            if isinstance(odd.get(name), str):
                values[row] = odd[name]
        return values

    def errors(self) -> list[str | None]:
        """Per row: what was wrong with the input, as JSON ``{column: {reason, value}}``; None for a good row."""
        found: list[str | None] = [None] * len(self.ids)
        for row, odd in self.oddities.items():
            wrong = {c: {"reason": v[0], "value": v[1]} for c, v in odd.items() if isinstance(v, list)}
            if wrong:
                found[row] = json.dumps(wrong, ensure_ascii=False)
        return found

    def records(self) -> list[dict[str, Any]]:
        """One plain dict a row, for sinks that insert rows: NaN and ±inf as they are, missing as None."""
        columns: dict[str, list[Any]] = {"prediction_id": self.ids, "event_time": self.rows["time"].tolist(),
                                         "model_version": [self.schema.model_version] * len(self.ids)}  # fmt: skip
        for c in self.schema.columns:
            if c.kind == "categorical":
                columns[c.name] = list(self.texts(c.name, c.role))
            else:
                values, missing = self.numbers(c.name, c.role)
                columns[c.name] = [None if m else v for v, m in zip(values.tolist(), missing.tolist(), strict=True)]
        columns["input_errors"] = list(self.errors())
        return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
