"""The durable log of accepted records, and the landing directory it is shipped to.

One spool for all monitors: a frame names the monitor, the kind and the columns of its rows, so that a file can be
shipped by a process that never saw the declaration. ``<root>/<monitor>/<kind>/<segment>-<columns>.parquet`` is what a
monitor's source points at.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from monitoring_pipeline.serving.collector.records import ColumnType, Kind
from monitoring_pipeline.serving.log import PredictionLogError
from monitoring_pipeline.serving.log.segment import SegmentContent
from monitoring_pipeline.serving.log.shipper import Shipper
from monitoring_pipeline.serving.log.spool import Spool, SpoolPolicy
from monitoring_pipeline.serving.rows import RowBatch

if TYPE_CHECKING:
    import pyarrow as pa

logger = logging.getLogger(__name__)
Count = Callable[[str, int], None]
FORMAT = b'{"format": "collected records", "version": 1}'


@dataclass(frozen=True)
class Batch:
    """Rows of one request, in the order of ``columns``. Times are microseconds since 1970 UTC."""

    monitor: str
    kind: Kind
    columns: tuple[tuple[str, ColumnType], ...]
    rows: list[list[Any]]

    def to_bytes(self) -> bytes:
        return json.dumps([self.monitor, self.kind, self.columns, self.rows], separators=(",", ":")).encode()

    @classmethod
    def from_bytes(cls, body: bytes) -> Batch:
        monitor, kind, columns, rows = json.loads(body)
        return cls(monitor, kind, tuple((name, type_) for name, type_ in columns), rows)


@dataclass(frozen=True)
class Shipment:
    """What one spool file holds."""

    batches: list[Batch]

    @cached_property
    def ids(self) -> list[str]:
        """Of every row, in order: the shipper counts them."""
        return [row[0] for batch in self.batches for row in batch.rows]


class LandingSink:
    """One Parquet file a spool file, monitor, kind and set of columns; written aside, synced, renamed."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def prepare(self) -> None:
        import pyarrow.parquet  # noqa: F401

    def write(self, name: str, rows: RowBatch) -> None:
        """Twice with the same ``name`` is as good as once. Raises OSError."""
        together: dict[tuple[Any, ...], list[list[Any]]] = {}
        for batch in cast(Shipment, rows).batches:
            together.setdefault((batch.monitor, batch.kind, batch.columns), []).extend(batch.rows)
        for (monitor, kind, columns), found in together.items():
            shape = hashlib.sha256(json.dumps(columns).encode()).hexdigest()[:8]
            _write_parquet(_table(columns, found), self.root / monitor / kind / f"{name}-{shape}.parquet")


def _table(columns: tuple[tuple[str, ColumnType], ...], rows: list[list[Any]]) -> pa.Table:
    import pyarrow as pa

    types = {"text": pa.string(), "number": pa.float64(), "flag": pa.bool_(), "time": pa.timestamp("us", tz="UTC")}
    arrays = [pa.array([row[i] for row in rows], types[kind]) for i, (_, kind) in enumerate(columns)]
    return pa.table(arrays, names=[name for name, _ in columns])


def _write_parquet(table: pa.Table, path: Path) -> None:
    import pyarrow.parquet as pq

    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    with temporary.open("wb") as out:
        pq.write_table(table, out, compression="zstd")
        out.flush()
        os.fsync(out.fileno())
    temporary.replace(path)
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


class RecordShipper(Shipper):
    """Ships frames that are batches of records rather than packed rows."""

    def _decode(self, path: Path, content: SegmentContent) -> Shipment | None:  # type: ignore[override]
        bodies, content.bodies = content.bodies, []
        super()._decode(path, content)  # without bodies: only reports damage and sets it aside
        batches = []
        for body in bodies:
            try:
                batches.append(Batch.from_bytes(body))
            except (ValueError, TypeError) as error:
                self._keep_whole(path, error)
        return Shipment(batches) if batches else None


class RecordLog:
    """Records that were accepted reach the landing directory, whatever happens to the process or the machine.

    directory: the spool, on a local disk, shared by all workers. Raises PredictionLogError if it cannot be written.
    durability: ``power`` waits for an fsync, one for all requests that wait; ``process`` survives kill -9 alone.
    max_age: seconds after which records are shipped. ``count(what, n)``: ``shipped``, ``corrupt``, ``sink_failures``.
    """

    def __init__(
        self,
        directory: Path,
        root: Path,
        count: Count = lambda what, n: None,
        durability: Literal["process", "power"] = "power",
        max_age: float = 60.0,
        segment_bytes: int = 8 << 20,
        max_spool_bytes: int = 2 << 30,
    ) -> None:
        self.directory, self.root = directory, root
        self.policy = SpoolPolicy(segment_bytes, max_age, max_spool_bytes, "block", 1.0, durability)
        self._spool = Spool(directory, FORMAT, self.policy, count)
        self._shipper = RecordShipper(directory, self._spool, cast(Any, LandingSink(root)), max_age, count)

    def append(self, batch: Batch) -> None:
        """Returns when the batch is durable. Raises PredictionLogError: then it is not, and must be sent again."""
        self._spool.append(batch.to_bytes(), len(batch.rows))

    @property
    def spool_bytes(self) -> int:
        return self._spool.bytes_on_disk

    @property
    def oldest_seconds(self) -> float:
        return self._spool.oldest_age()

    @property
    def sink_up(self) -> bool:
        return self._shipper.report.sink_up

    def trouble(self) -> str | None:
        """Why records could not be accepted now, or None."""
        if self.spool_bytes >= self.policy.max_bytes:
            return f"{self.directory}: the spool holds {self.policy.max_bytes:,} bytes; mend the landing directory"
        try:
            free = shutil.disk_usage(self.directory).free
        except OSError as error:
            return f"{self.directory}: the spool is gone ({error.strerror})"
        if free < 2 * self.policy.segment_bytes:
            return f"{self.directory}: {free:,} bytes are free on the spool's disk"
        return None

    def close(self, timeout: float = 5.0) -> None:
        """Ships what it can in ``timeout`` seconds; the rest is adopted by the next process."""
        deadline = time.monotonic() + timeout
        self._shipper.stop(timeout)
        self._spool.close()
        if time.monotonic() < deadline:
            self._shipper.ship_own(deadline)
        self._spool.release()


__all__ = ["Batch", "LandingSink", "PredictionLogError", "RecordLog", "Shipment"]
