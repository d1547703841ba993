"""The collector's own metrics for Prometheus. Labels are bounded: a monitor that is not declared is ``__unknown__``."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from monitoring_pipeline.collector.landing import RecordLog

UNKNOWN = "__unknown__"
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
SPOOL = {"monitor": "__collector__", "model_version": ""}


class Telemetry:
    """Counts requests and records. ``log`` is set once the log is open."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        labels = ("monitor", "kind")
        self._requests = Counter(
            "collector_requests", "Requests answered.", (*labels, "status"), registry=self.registry
        )
        self._records = Counter("collector_records", "Records accepted.", labels, registry=self.registry)
        self._refused = Counter("collector_refused_records", "Records found wrong.", labels, registry=self.registry)
        self._duration = Histogram(
            "collector_request_duration_seconds", "Time from a request's arrival to its response.", ("kind",),
            buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0), registry=self.registry,
        )  # fmt: skip
        self.log: RecordLog | None = None
        self.log_counts: dict[str, int] = {}
        self.registry.register(_SpoolMetrics(self))
        ProcessCollector(registry=self.registry)

    def count_log(self, what: str, n: int) -> None:
        """What the log reports; called from its one thread."""
        self.log_counts[what] = self.log_counts.get(what, 0) + n

    def answered(self, monitor: str, kind: str, status: int) -> None:
        """Counts a request by its status."""
        self._requests.labels(monitor, kind, str(status)).inc()

    def accepted(self, monitor: str, kind: str, n: int) -> None:
        """Counts records that were accepted."""
        self._records.labels(monitor, kind).inc(n)
        self.log_counts["spooled"] = self.log_counts.get("spooled", 0) + n

    def refused(self, monitor: str, kind: str, n: int) -> None:
        """Counts records with errors, in rejected batches."""
        self._refused.labels(monitor, kind).inc(n)

    @contextmanager
    def timed(self, kind: str) -> Iterator[None]:
        """Measures the duration of a request."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self._duration.labels(kind).observe(time.perf_counter() - start)

    def page(self) -> bytes:
        """The Prometheus text page."""
        return generate_latest(self.registry)


class _SpoolMetrics(Collector):
    """Under the names a service's own log has, so that the same alerts watch both."""

    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry

    def describe(self) -> Iterable[Metric]:
        return []

    def collect(self) -> Iterator[Metric]:
        log, counts = self._telemetry.log, self._telemetry.log_counts
        if log is None:
            return
        for name, text, what in (
            ("spooled", "Records made durable in the spool.", "spooled"),
            ("shipped", "Records that landed; may repeat.", "shipped"),
            ("refused", "Records set aside because they cannot be landed and others can.", "refused"),
            ("corrupt", "Damaged stretches of spool files.", "corrupt"),
            ("sink_failures", "Segments that could not be landed.", "sink_failures"),
        ):
            family = CounterMetricFamily(f"model_log_{name}", text, labels=tuple(SPOOL))
            family.add_metric(list(SPOOL.values()), counts.get(what, 0))
            yield family
        yield self._dropped(counts)
        for name, text, value in (
            ("spool_bytes", "Bytes held in the spool.", float(log.spool_bytes)),
            ("oldest_seconds", "Age of the oldest record that has not landed.", log.oldest_seconds),
            ("sink_up", "1 while the last attempt to land records worked.", float(log.sink_up)),
        ):
            gauge = GaugeMetricFamily(f"model_log_{name}", text, labels=tuple(SPOOL))
            gauge.add_metric(list(SPOOL.values()), value)
            yield gauge
        accepting = float(log.trouble() is None)
        yield GaugeMetricFamily("collector_accepting", "1 while the log takes records, 0 while it cannot.", accepting)

    def _dropped(self, counts: dict[str, int]) -> Metric:
        family = CounterMetricFamily("model_log_dropped", "Records lost.", labels=(*SPOOL, "reason"))
        for reason in {"deleted", *(what.partition(":")[2] for what in list(counts) if what.startswith("dropped:"))}:
            family.add_metric([*SPOOL.values(), reason], counts.get(f"dropped:{reason}", 0))
        return family
