"""Spark: tasks are spread over a cluster, counted where they run, and added up there.

Spark does not decode the rows. A task is a scan of its own; the worker streams its Parquet files, or row groups, as
Arrow batches through the same statement and the same counters as the embedded engine, so that counts are equal,
whatever the declaration asks of cleaning, time zones and labels. What leaves a worker are counts: one binary value for
each (window, model version, segment) it met. The workers add these up as a tree, ``FAN_IN`` tasks' values of a key at a
time; the driver receives the finished profiles only.
"""

from __future__ import annotations

import os
import pickle
import re
import socket
import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from monitoring_pipeline.engines.counter import Counted
from monitoring_pipeline.engines.duckdb import DuckDBEngine
from monitoring_pipeline.engines.engine import Parts, SegmentKeys
from monitoring_pipeline.engines.merging import in_order, merged
from monitoring_pipeline.engines.spark.tasks import files_to_cut, tasks_of
from monitoring_pipeline.errors import UserError, WindowError
from monitoring_pipeline.lake.row_groups import row_groups
from monitoring_pipeline.lake.scan import Scan
from monitoring_pipeline.profiles.layout import Layout
from monitoring_pipeline.settings import Settings

if TYPE_CHECKING:
    from pyspark import Broadcast
    from pyspark.sql import DataFrame, SparkSession

COUNTS = "counted_key string, place long, payload binary"
FAN_IN = 8  # of a key so many values are in a worker's memory at a time
LOCAL = "127.0.0.1"
SECONDS_TO_ANSWER = 10


class SparkEngine:
    """Implements ``engines.engine.Engine`` on the cluster ``settings.spark_master``.

    The workers read the lake and the sources by the paths that the ledger recorded: these must be reachable from them.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def layout(self, scan: Scan) -> Layout:
        """As ``Engine.layout``; in this process, since exact quantiles need all values of a column sorted."""
        return DuckDBEngine(self._settings).layout(scan)

    def profile(
        self, scan: Scan, layouts: Mapping[str, Layout], segment_keys: SegmentKeys, parts: Parts
    ) -> list[Counted]:
        """As ``Engine.profile``. Raises UserError when the cluster cannot be reached or pyspark is not installed."""
        if not scan.files:
            return []
        tasks = tasks_of(scan, row_groups(self._settings, files_to_cut(scan)))
        # Workers read files; the database, and its password, are none of their business. A task has one core.
        settings = self._settings.model_copy(update={"database_url": None, "duckdb_threads": 1})
        common = (settings, dict(layouts), tuple(map(tuple, segment_keys)), parts)
        session = session_of(self._settings)
        sent = session.sparkContext.broadcast([pickle.dumps(common), *map(pickle.dumps, tasks)])
        try:
            found = _added_up(_counted(session, sent, len(tasks)), len(tasks)).collect()
        except Exception as error:  # Spark raises a family of its own, which only an installed pyspark can name
            raise _translated(error, scan) from error
        finally:
            sent.destroy()
        return in_order(pickle.loads(row.payload) for row in found)


def _counted(session: SparkSession, sent: Broadcast[list[bytes]], n_tasks: int) -> DataFrame:
    """A row for each key that a task met; each task is a partition."""

    def count(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """On a worker."""
        for batch in batches:
            for place in batch.column(0).to_pylist():
                yield from _count(pickle.loads(sent.value[0]), pickle.loads(sent.value[1 + place]), place)

    return session.range(0, n_tasks, 1, n_tasks).mapInArrow(count, COUNTS)


def _added_up(counts: DataFrame, n_tasks: int) -> DataFrame:
    """One row a key: what up to ``FAN_IN`` neighbouring tasks counted for a key becomes one, until one is left."""
    while True:
        n_tasks = -(-n_tasks // FAN_IN)
        counts = counts.groupBy("counted_key", (counts.place / FAN_IN).cast("long")).applyInArrow(_add_up, COUNTS)
        if n_tasks == 1:
            return counts


def session_of(settings: Settings) -> SparkSession:
    """The session of this process; one for each process, as Spark has it."""
    try:
        from pyspark.sql import SparkSession
    except ImportError:
        raise UserError(
            "MONITORING_ENGINE=spark needs pyspark: pip install 'monitoring-pipeline[spark]' (and Java 17)"
        ) from None
    if SparkSession.getActiveSession() is None:
        _look_for(settings.spark_master)
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


def _look_for(master: str) -> None:
    """Raises UserError when no master answers: Spark itself would try for a minute."""
    found = re.fullmatch(r"spark://(.+)", master)
    if found is None:
        return  # local[2], yarn, k8s://… : nothing to knock at
    refused: OSError | None = None
    for address in found[1].split(","):
        host, _, port = address.rpartition(":")
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=SECONDS_TO_ANSWER).close()
            return
        except ValueError:
            raise UserError(
                f"MONITORING_SPARK_MASTER is {master!r}; write spark://host:port, such as spark://10.0.0.5:7077"
            ) from None
        except OSError as error:
            refused = error
    raise UserError(f"the Spark cluster at {master} cannot be reached; check MONITORING_SPARK_MASTER. Error: {refused}")


def _configuration(settings: Settings) -> dict[str, str]:
    common = {"spark.ui.enabled": "false", "spark.ui.showConsoleProgress": "false"}
    if LOCAL not in settings.spark_master:
        return common
    # Workers on this machine see what this process imports; elsewhere the package is installed beside them.
    local = {"spark.driver.bindAddress": LOCAL, "spark.driver.host": LOCAL}
    return common | local | {"spark.executorEnv.PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


def _count(common: Any, task: Scan, place: int) -> Iterator[pa.RecordBatch]:
    """On a worker: counts a task and sends one value a key."""
    settings, layouts, segment_keys, parts = common
    for one in DuckDBEngine(settings).profile(task, layouts, segment_keys, parts):
        yield from _row("\0".join((one.window.isoformat(), one.version, one.segment)), place, one).to_batches()


def _add_up(table: pa.Table) -> pa.Table:
    """On a worker: one value of those that neighbouring tasks counted for one key, in the tasks' order."""
    rows = sorted(table.to_pylist(), key=lambda row: row["place"])
    return _row(rows[0]["counted_key"], rows[0]["place"] // FAN_IN, merged([pickle.loads(r["payload"]) for r in rows]))


def _row(key: str, place: int, counted: Counted) -> pa.Table:
    columns = [pa.array([key], pa.string()), pa.array([place], pa.int64()), pa.array([pickle.dumps(counted)])]
    return pa.table(columns, names=["counted_key", "place", "payload"])


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
