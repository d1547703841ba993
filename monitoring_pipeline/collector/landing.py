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
from typing import TYPE_CHECKING, Any, Literal

from monitoring_pipeline.collector.records import ColumnType, Kind
from monitoring_pipeline.prediction_log import PredictionLogError
from monitoring_pipeline.prediction_log.decoding import Decoded
from monitoring_pipeline.prediction_log.parquet import below, write_table
from monitoring_pipeline.prediction_log.shipper import Shipper
from monitoring_pipeline.prediction_log.spool import Spool, SpoolPolicy

if TYPE_CHECKING:
    import pyarrow as pa

logger = logging.getLogger(__name__)
Count = Callable[[str, int], None]
Columns = tuple[tuple[str, ColumnType], ...]
SPOOL = Path("collector") / "spool"  # below the home directory
LANDING = "collected"  # below the home directory
FORMAT = b'{"format": "collected records", "version": 1}'


@dataclass(frozen=True)
class Batch:
    """Rows of one request, in the order of ``columns``. Times are microseconds since 1970 UTC."""

    monitor: str
    kind: Kind
    columns: Columns
    rows: list[list[Any]]

    def to_bytes(self) -> bytes:
        """A frame's body."""
        return json.dumps([self.monitor, self.kind, self.columns, self.rows], separators=(",", ":")).encode()

    @classmethod
    def from_bytes(cls, body: bytes) -> Batch:
        """Inverse of ``to_bytes``."""
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

    def together(self) -> dict[tuple[str, Kind, Columns], list[list[Any]]]:
        """Rows by monitor, kind and columns: each becomes a file."""
        found: dict[tuple[str, Kind, Columns], list[list[Any]]] = {}
        for batch in self.batches:
            found.setdefault((batch.monitor, batch.kind, batch.columns), []).extend(batch.rows)
        return found


def decode_batches(schema: bytes, bodies: list[bytes]) -> Decoded[Shipment]:
    """Each body is read on its own: one of a later version of this program does not take the others with it."""
    batches, unreadable = [], ""
    for body in bodies:
        try:
            batches.append(Batch.from_bytes(body))
        except (ValueError, TypeError) as error:
            unreadable = str(error)
    return Decoded(Shipment(batches) if batches else None, unreadable)


class LandingSink:
    """One Parquet file a spool file, monitor, kind and set of columns, whole or not at all.

    ``root``: a directory or an fsspec URL.
    """

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self.root = os.fspath(root)
        self._landed: dict[str, set[str]] = {}  # of spool files that have landed in part

    def prepare(self) -> None:
        """The records of a sealed segment, ready to be written."""
        import pyarrow.parquet  # noqa: F401

    def write(self, name: str, rows: Shipment) -> None:
        """Twice with the same ``name`` is as good as once.

        Where one monitor's rows cannot land, those of the others do, and are not written again with the next try.
        Raises OSError, or the file system's own error.
        """
        landed = self._landed.setdefault(name, set())
        failure: Exception | None = None
        for (monitor, kind, columns), found in rows.together().items():
            shape = hashlib.sha256(json.dumps(columns).encode()).hexdigest()[:8]
            target, file = below(self.root, monitor, kind), f"{name}-{shape}"
            if f"{target}/{file}" in landed:
                continue
            try:
                write_table(_table(columns, found), target, file)
                landed.add(f"{target}/{file}")
            except Exception as error:  # noqa: BLE001 — raised below, when the others have had their turn
                failure = failure or error
        if failure is not None:
            raise failure
        del self._landed[name]


def _table(columns: Columns, rows: list[list[Any]]) -> pa.Table:
    import pyarrow as pa

    types = {"text": pa.string(), "number": pa.float64(), "flag": pa.bool_(), "time": pa.timestamp("us", tz="UTC")}
    arrays = [pa.array([row[i] for row in rows], types[kind]) for i, (_, kind) in enumerate(columns)]
    return pa.table(arrays, names=[name for name, _ in columns])


class RecordLog:
    """Records that were accepted reach the landing directory, whatever happens to the process or the machine.

    directory: the spool, on a local disk, shared by all workers. Raises PredictionLogError if it cannot be written.
    root: where records land, a directory or an fsspec URL.
    durability: ``power`` waits for an fsync, one for all requests that wait; ``process`` survives kill -9 alone.
    max_age: seconds after which records are shipped. ``count(what, n)``: as a ``Shipper`` has it.
    """

    def __init__(
        self,
        directory: Path,
        root: str | os.PathLike[str],
        count: Count = lambda what, n: None,
        durability: Literal["process", "power"] = "power",
        max_age: float = 60.0,
        segment_bytes: int = 8 << 20,
        max_spool_bytes: int = 2 << 30,
    ) -> None:
        self.directory, self.root = directory, os.fspath(root)
        self.policy = SpoolPolicy(segment_bytes, max_age, max_spool_bytes, "block", 1.0, durability)

        def dropped(reason: str, n: int) -> None:
            count(f"dropped:{reason}", n)
            logger.error("%s: %d records were accepted and are lost (%s)", directory, n, reason)

        self._spool = Spool(directory, FORMAT, self.policy, dropped, at_once=True)
        self._shipper = Shipper(directory, self._spool, LandingSink(root), decode_batches, max_age, count)

    def append(self, batch: Batch) -> None:
        """Returns when the batch is durable. Raises PredictionLogError: then it is not, and must be sent again."""
        self._spool.append(batch.to_bytes(), len(batch.rows))

    @property
    def spool_bytes(self) -> int:
        """Bytes of records in the spool."""
        return self._spool.waiting_bytes

    @property
    def oldest_seconds(self) -> float:
        """Age of the oldest record that is not shipped, in seconds."""
        return self._spool.oldest_age()

    @property
    def sink_up(self) -> bool:
        """Whether the last attempt to ship succeeded."""
        return self._shipper.sink_up

    def trouble(self) -> str | None:
        """Why records cannot be accepted now, or None."""
        try:
            shutil.disk_usage(self.directory)
        except OSError as error:
            return f"{self.directory}: the spool is gone ({error.strerror})"
        return self._named(self._spool.refusing)

    def shortage(self) -> str | None:
        """Why records could soon not be accepted any more, or None."""
        return self._named(self._spool.short_of_room)

    def _named(self, why: str | None) -> str | None:
        return (
            f"{self.directory}: {why}; mend that, free space, or mend what keeps records from landing" if why else None
        )

    def close(self, timeout: float = 5.0) -> None:
        """Ships what it can in ``timeout`` seconds; the rest is adopted by the next process."""
        deadline = time.monotonic() + timeout
        self._shipper.stop(timeout)
        self._spool.close()
        if time.monotonic() < deadline:
            self._shipper.ship_own(deadline)
        self._spool.release()


__all__ = ["Batch", "LandingSink", "PredictionLogError", "RecordLog", "Shipment"]
