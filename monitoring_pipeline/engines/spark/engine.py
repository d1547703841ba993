"""Spark: tasks are spread over a cluster, counted where they run, and added up there.

Spark does not decode the rows. A task is a scan of its own; the worker streams its Parquet files as Arrow batches
through the same statement and the same counters as the embedded engine, so that counts are equal, whatever the
declaration asks of cleaning, time zones and labels. What leaves a worker are counts: one binary value for each (window,
model version, segment) it met. These are added up in the cluster, first in the task that made them, then by key; the
driver receives the finished profiles only.
"""

from __future__ import annotations

import os
import pickle
import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from monitoring_pipeline.engines.counter import Counted
from monitoring_pipeline.engines.duckdb import DuckDBEngine
from monitoring_pipeline.engines.engine import Parts, SegmentKeys
from monitoring_pipeline.engines.merging import in_order, merged, merged_by_key
from monitoring_pipeline.engines.spark.tasks import tasks_of
from monitoring_pipeline.errors import UserError, WindowError
from monitoring_pipeline.lake.scan import Scan
from monitoring_pipeline.profiles.layout import Layout
from monitoring_pipeline.settings import Settings

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

TASK = "payload binary"
COUNTS = "counted_key string, payload binary"
LOCAL = "127.0.0.1"


class SparkEngine:
    """Implements ``engines.engine.Engine`` on the cluster ``settings.spark_master``.

    The workers read the lake and the sources by the paths that the ledger recorded: these must be reachable from them.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def layout(self, scan: Scan) -> Layout:
        """As ``Engine.layout``; a reference is bounded and read in this process."""
        return DuckDBEngine(self._settings).layout(scan)

    def profile(
        self, scan: Scan, layouts: Mapping[str, Layout], segment_keys: SegmentKeys, parts: Parts
    ) -> list[Counted]:
        """As ``Engine.profile``. Raises UserError when the cluster cannot be reached or pyspark is not installed."""
        if scan.reference is not None or not scan.windows:
            return DuckDBEngine(self._settings).profile(scan, layouts, segment_keys, parts)
        session = session_of(self._settings)
        # Workers read files; the database, and its password, are none of their business.
        common = (
            self._settings.model_copy(update={"database_url": None}),
            dict(layouts),
            tuple(map(tuple, segment_keys)),
            parts,
        )
        tasks = [(pickle.dumps((task, *common)),) for task in tasks_of(scan)]
        try:
            found = (
                session.createDataFrame(tasks, TASK)
                .repartition(len(tasks))
                .mapInArrow(_count, COUNTS)
                .groupBy("counted_key")
                .applyInArrow(_add_up, "payload binary")
                .collect()
            )
        except Exception as error:  # Spark raises a family of its own, which only an installed pyspark can name
            raise _translated(error, scan) from error
        return in_order(pickle.loads(row.payload) for row in found)


def session_of(settings: Settings) -> SparkSession:
    """The session of this process; one for each process, as Spark has it."""
    try:
        from pyspark.sql import SparkSession
    except ImportError:
        raise UserError(
            "MONITORING_ENGINE=spark needs pyspark: pip install 'monitoring-pipeline[spark]' (and Java 17)"
        ) from None
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    os.environ.setdefault("SPARK_LOCAL_IP", LOCAL)
    builder = SparkSession.builder.appName("monitoring-pipeline").master(settings.spark_master)
    for name, value in _configuration(settings).items():
        builder = builder.config(name, value)
    try:
        session = builder.getOrCreate()
    except Exception as error:  # a refused connection comes as a Java exception
        raise UserError(
            f"the Spark cluster at {settings.spark_master} cannot be reached; check MONITORING_SPARK_MASTER."
            f" Error: {_first_line(error)}"
        ) from error
    session.sparkContext.setLogLevel("ERROR")
    return session


def _configuration(settings: Settings) -> dict[str, str]:
    common = {"spark.ui.enabled": "false", "spark.ui.showConsoleProgress": "false"}
    if LOCAL not in settings.spark_master:
        return common
    # Workers on this machine see what this process imports; elsewhere the package is installed beside them.
    local = {"spark.driver.bindAddress": LOCAL, "spark.driver.host": LOCAL}
    return common | local | {"spark.executorEnv.PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


def _count(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """On a worker: counts its tasks, adds up what they have in common, and sends one value a key."""
    found: list[Counted] = []
    for batch in batches:
        for payload in batch.column(0).to_pylist():
            task, settings, layouts, segment_keys, parts = pickle.loads(payload)
            found += DuckDBEngine(settings).profile(task, layouts, segment_keys, parts)
    for one in merged_by_key(found):
        key = "\0".join((one.window.isoformat(), one.version, one.segment))
        columns = [pa.array([key], pa.string()), pa.array([pickle.dumps(one)], pa.binary())]
        yield pa.RecordBatch.from_arrays(columns, names=["counted_key", "payload"])


def _add_up(table: pa.Table) -> pa.Table:
    """On a worker: one value of all that were counted for one key."""
    counted: list[Counted] = [pickle.loads(p) for p in table.column("payload").to_pylist()]
    return pa.table({"payload": pa.array([pickle.dumps(merged(counted))], pa.binary())})


def _translated(error: Exception, scan: Scan) -> Exception:
    """A task's own error as it was raised there; anything else names the cluster's words."""
    said: Any = str(error)
    for line in said.splitlines():
        for name in ("WindowError: ", "SourceError: "):
            if name in line:
                return WindowError(line.partition(name)[2])
    files = ", ".join(scan.files[:5])
    return WindowError(f"{files} cannot be profiled on the Spark cluster: {_first_line(error)}; run the window again")


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
