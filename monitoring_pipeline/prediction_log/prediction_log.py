"""The durable prediction log as a service sees it: declare where and by which policy, then append."""

from __future__ import annotations

import hashlib
import logging
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from monitoring_pipeline.prediction_log.decoding import decode_rows
from monitoring_pipeline.prediction_log.rows import RowBatch, RowSchema
from monitoring_pipeline.prediction_log.shipper import Shipper
from monitoring_pipeline.prediction_log.sinks import Sink
from monitoring_pipeline.prediction_log.spool import OnFull, Spool, SpoolPolicy

logger = logging.getLogger(__name__)
Count = Callable[[str, int], None]


class PredictionLog:
    """Every answered prediction reaches the sink.

    spool_dir: directory on a local disk, shared by all workers of the service. sink: ``ParquetSink`` or ``SqlSink``.
    on_full: what happens when the disk or ``max_spool_bytes`` (per worker) is full — ``block`` waits ``block_timeout``
    seconds, then raises PredictionLogError, so that the prediction is not answered; ``drop_oldest`` deletes the oldest
    unshipped segment and counts its rows in ``model_log_dropped_total``.
    durability: ``process`` — an answered prediction survives the death of the process (kill -9); ``power`` — of the
    machine too: ``append`` waits for an fsync, one for all requests that wait.
    max_age: seconds after which a segment is shipped even if it is not full (``segment_bytes``).
    """

    def __init__(
        self,
        spool_dir: str | os.PathLike[str],
        sink: Sink[RowBatch],
        on_full: OnFull = "block",
        durability: Literal["process", "power"] = "process",
        max_age: float = 60.0,
        segment_bytes: int = 8 << 20,
        max_spool_bytes: int = 2 << 30,
        block_timeout: float = 1.0,
    ) -> None:
        if on_full not in ("block", "drop_oldest"):
            raise ValueError(f"on_full is 'block' or 'drop_oldest', not {on_full!r}")
        if durability not in ("process", "power"):
            raise ValueError(f"durability is 'process' or 'power', not {durability!r}")
        self.directory = Path(spool_dir)
        self.sink = sink
        self.policy = SpoolPolicy(segment_bytes, max_age, max_spool_bytes, on_full, block_timeout, durability)
        self._spool: Spool | None = None
        self.shipper: Shipper[RowBatch] | None = None
        self.append: Callable[[bytes, int], None] = _not_open
        """(body, rows): returns when the frame is durable by the policy. Raises PredictionLogError."""

    def open(self, schema: RowSchema, count: Count, apart: bool = False) -> None:
        """Starts spool and shipper. ``count(what, n)`` hears what ``Shipper`` tells, and of rows that are dropped.

        ``apart``: this process counts for itself; ``n_apart`` says how many others of the same model do.
        """
        if self._spool is not None:
            raise ValueError(
                "this PredictionLog is open already; give every Monitoring its own (spool_dir may be shared)"
            )

        unsaid = {"rows": 0, "at": 0.0}

        def dropped(reason: str, rows: int) -> None:
            count(f"dropped:{reason}", rows)
            unsaid["rows"] += rows
            if time.monotonic() >= unsaid["at"]:  # at most every ten seconds: a full disk must not fill the log too
                logger.error("%s: %d predictions dropped (%s)", self.directory, unsaid["rows"], reason)
                unsaid.update(rows=0, at=time.monotonic() + 10.0)

        told = schema.to_bytes()
        mark = hashlib.sha256(told).hexdigest()[:16].encode() if apart else b""
        self._spool = Spool(self.directory, told, self.policy, dropped, mark=mark)
        self.append = self._spool.append
        self.shipper = Shipper(self.directory, self._spool, self.sink, decode_rows, self.policy.max_age, count, mark)

    @property
    def spool_bytes(self) -> int:
        """Bytes of rows of this process in the spool."""
        return self._spool.waiting_bytes if self._spool else 0

    @property
    def oldest_seconds(self) -> float:
        """Age of the oldest row that is not shipped, in seconds."""
        return self._spool.oldest_age() if self._spool else 0.0

    @property
    def n_apart(self) -> int:
        """Other living workers on this spool that predict with the same model and count for themselves."""
        return self.shipper.neighbours if self.shipper else 0

    @property
    def sink_up(self) -> bool:
        """Whether the last attempt to ship succeeded."""
        return self.shipper is None or self.shipper.sink_up

    def close(self, timeout: float = 5.0) -> None:
        """Ships what it can in ``timeout`` seconds; the rest stays in the spool for the next worker."""
        if self._spool is None or self.shipper is None:
            return
        deadline = time.monotonic() + timeout
        self.shipper.stop(timeout)
        self._spool.close()
        if time.monotonic() < deadline:
            self.shipper.ship_own(deadline)
        self._spool.release()
        self._spool = self.shipper = None
        self.append = _not_open

    def abandon(self) -> None:
        """In a forked child, before ``open`` is called again: what is open belongs to the parent."""
        if self._spool is not None:
            self._spool.abandon()
            self._spool = self.shipper = None
            self.append = _not_open


def _not_open(body: bytes, n_rows: int) -> None:
    raise ValueError("the prediction log is not open: give it to a Monitoring, and do not use it after close")
