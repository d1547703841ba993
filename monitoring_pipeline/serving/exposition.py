"""Exposition: the counters as Prometheus families."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from monitoring_pipeline.serving.counters import GAUGE, Cells, Key
from monitoring_pipeline.serving.durations import DURATION_EDGES, HTTP_EDGES
from monitoring_pipeline.serving.recorder import DURATIONS, PREDICTIONS, Recorder
from monitoring_pipeline.serving.reference_series import LABELS, reference_families
from monitoring_pipeline.serving.saturation import GPU
from monitoring_pipeline.serving.tally import COLUMNS

if TYPE_CHECKING:
    from monitoring_pipeline.profiles.document import Reference

GPU_SERIES = (
    ("model_gpu_busy_share", "Share of the time in which the GPU ran anything, of whichever process."),
    ("model_gpu_memory_used_bytes", "Memory of the GPU in use, by whichever process."),
    ("model_gpu_memory_total_bytes", "Memory of the GPU."),
)
Totals = dict[Key, Cells]
UNSEEN = "__unseen__"


class Exposition:
    """The page of one service. The reference never changes: with a registry of our own its text is made once, and of
    the columns' text all but the values."""

    def __init__(self, recorder: Recorder, totals: Callable[[], Totals], registry: CollectorRegistry | None) -> None:
        """``totals`` gives the counters as of now, over all workers."""
        self._live = LiveCollector(recorder, totals)
        self._reference = ReferenceCollector(recorder.reference)
        self._n_cells = recorder.n_cells
        self._registry = registry
        if registry is not None:
            registry.register(self._reference)
            registry.register(self._live)

    @cached_property
    def _constants(self) -> bytes:
        return generate_latest(_Families(self._reference.collect()))

    @cached_property
    def _columns(self) -> ColumnText:
        return ColumnText(self._live, self._n_cells)

    @cached_property
    def _process(self) -> CollectorRegistry:
        registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        return registry

    def page(self) -> bytes:
        """The Prometheus text page."""
        if self._registry is not None:
            return generate_latest(self._registry)
        totals = self._live.totals()
        others = generate_latest(_Families([*self._live.others(totals), *self._process.collect()]))
        return others + self._columns.page(totals[COLUMNS]) + self._constants


class ColumnText:
    """The columns' samples as text: most of the page, and only the values in it ever change.

    The text is prometheus_client's own, rendered once with each cell's number in place of its value.
    """

    def __init__(self, live: LiveCollector, n_cells: int) -> None:
        cells = np.arange(n_cells, dtype=np.float64)
        lines, order = [], []
        for line in generate_latest(_Families(live.columns(cells))).decode().removesuffix("\n").split("\n"):
            sample, _, cell = line.rpartition(" ")
            lines.append(line.replace("%", "%%") if line.startswith("#") else sample.replace("%", "%%") + " %r")
            order += [] if line.startswith("#") else [int(float(cell))]
        self._template = "\n".join(lines) + "\n"
        self._order = np.array(order, np.intp)

    def page(self, cells: Cells) -> bytes:
        """The text of these values."""
        return (self._template % tuple(cells[self._order].tolist())).encode()


class _Families(CollectorRegistry):
    """Given families, for ``generate_latest``."""

    def __init__(self, families: Iterable[Metric]) -> None:
        super().__init__()
        self._families = families

    def collect(self) -> Iterator[Metric]:
        return iter(self._families)


class ReferenceCollector(Collector):
    """The reference's constants."""

    def __init__(self, reference: Reference) -> None:
        self._reference = reference

    def collect(self) -> Iterable[Metric]:
        """Families that never change."""
        return reference_families(self._reference)

    def describe(self) -> Iterable[Metric]:
        """Nothing: a registry then need not collect when one registers."""
        return []


class LiveCollector(Collector):
    """Reads the totals over all workers once a scrape."""

    def __init__(self, recorder: Recorder, totals: Callable[[], Totals]) -> None:
        self.totals = totals
        self._columns, self._has_log = recorder.columns, recorder.log is not None
        self._model = [recorder.schema.monitor, recorder.schema.model_version]

    def describe(self) -> Iterable[Metric]:
        """Nothing: a registry then need not collect when one registers."""
        return []

    def collect(self) -> Iterator[Metric]:
        """All families, of the same moment."""
        totals = self.totals()
        yield from self.others(totals)
        yield from self.columns(totals[COLUMNS])

    def others(self, totals: Totals) -> Iterator[Metric]:
        """All families but the columns'."""
        yield from self._predictions(totals)
        yield from self._http(totals)
        yield from self._gauges(totals)
        if self._has_log:
            yield from self._log(totals)

    def _predictions(self, totals: Totals) -> Iterator[Metric]:
        yield self._counter("model_predictions", "Rows predicted.", (), [((), totals[PREDICTIONS][0])])
        yield self._by_key(
            totals, "error", "model_prediction_errors", "Calls that raised, by class of exception.", ("error",)
        )
        yield self._by_key(totals, "input_error", "model_input_errors", "Input values that were not as declared.",
                           ("column", "reason"))  # fmt: skip
        yield self._by_key(
            totals,
            "imputed",
            "model_column_imputed",
            "Values that a step imputed or did not know.",
            ("column", "transformer"),
        )
        durations = Metric("model_prediction_duration_seconds", "Duration of calls to the model.", "histogram")
        cells = totals[DURATIONS]
        self._buckets(durations, {}, DURATION_EDGES, cells[:-1].cumsum(), float(cells[-1]))
        yield durations

    def columns(self, cells: Cells) -> Iterator[Metric]:
        """The columns' families; every sample is one of the cells."""
        values = Metric("model_column_value", "Values of a column by the reference's bins.", "histogram")
        categories, missing, nonfinite = [], [], []
        for column in self._columns:
            name, layout = column.layout.name, column.layout
            counts = cells[column.bins]
            missing.append(((name,), cells[column.missing]))
            if layout.kind == "categorical":
                for category, n in zip((*layout.categories, UNSEEN), counts.tolist(), strict=True):
                    categories.append(((name, category), n))
                continue
            nonfinite.append(((name,), cells[column.nonfinite]))
            # A sum that may fall is no counter: it is published only where no value can be negative.
            total = float(cells[column.total]) if layout.edges and layout.edges[0] >= 0 else None
            self._buckets(values, {"column": name}, layout.edges, counts, total)
        yield values
        yield self._counter(
            "model_column_category", "Values of a column by category.", ("column", "category"), categories
        )
        yield self._counter("model_column_missing", "Rows without a value.", ("column",), missing)
        yield self._counter("model_column_nonfinite", "NaN and infinite values.", ("column",), nonfinite)

    def _buckets(
        self, metric: Metric, labels: dict[str, str], edges: Sequence[float], cumulated: Cells, total: float | None
    ) -> None:
        labels = {"monitor": self._model[0], "model_version": self._model[1], **labels}
        for edge, n in zip((*edges, float("inf")), cumulated.tolist(), strict=True):
            metric.add_sample(metric.name + "_bucket", {**labels, "le": floatToGoString(edge)}, n)
        metric.add_sample(metric.name + "_count", labels, float(cumulated[-1]))
        if total is not None:
            metric.add_sample(metric.name + "_sum", labels, total)

    def _http(self, totals: Totals) -> Iterator[Metric]:
        yield self._by_key(totals, "http", "model_http_requests", "Requests answered.", ("method", "route", "code"))
        yield self._by_key(totals, "http_error", "model_http_errors", "Requests that raised or were answered with 5xx.",
                           ("method", "route", "error"))  # fmt: skip
        durations = Metric(
            "model_http_request_duration_seconds", "Time from a request's arrival to its last byte.", "histogram"
        )
        for key, cells in sorted(totals.items()):
            if key[0] == "http_duration":
                self._buckets(durations, {"route": key[1]}, HTTP_EDGES, cells[:-1].cumsum(), float(cells[-1]))
        yield durations

    def _gauges(self, totals: Totals) -> Iterator[Metric]:
        def gauge(name: str) -> float:
            return float(totals.get((GAUGE, name), (0.0,))[0])

        in_flight, http = gauge("in_flight"), gauge("http_in_flight")
        yield self._gauge("model_predictions_in_flight", "Calls to the model that have not returned.", in_flight)
        yield self._gauge("model_http_requests_in_flight", "Requests that have not been answered.", http)
        yield self._gauge("model_queue_length", "Requests that wait for the model.", max(0.0, http - in_flight))
        yield self._gauge(
            "model_process_cpu_share", "Share of all cores the service's processes use.", gauge("cpu_share")
        )
        yield self._gauge(
            "model_process_memory_bytes", "Resident memory of the service's processes.", gauge("memory_bytes")
        )
        yield from self._gpus(totals)

    def _gpus(self, totals: Totals) -> Iterator[Metric]:
        """Nothing where no GPU is read. Each worker reads the whole machine's: the mean of what they read."""
        cells = {key[1].removeprefix(GPU): c for key, c in totals.items() if key[0] == GAUGE and key[1].startswith(GPU)}
        read = {gpu: c[:3] / c[3] for gpu, c in sorted(cells.items()) if c[3] > 0}
        for at, (name, text) in enumerate(GPU_SERIES) if read else ():
            family = GaugeMetricFamily(name, text, labels=(*LABELS[:2], "gpu"))
            for gpu, values in read.items():
                family.add_metric((*self._model, gpu), float(values[at]))
            yield family

    def _log(self, totals: Totals) -> Iterator[Metric]:
        def total(what: str) -> float:
            return float(totals.get(("log", what), (0.0,))[0])

        yield self._counter("model_log_spooled", "Predictions made durable in the spool.", (), [((), total("spooled"))])
        yield self._counter(
            "model_log_shipped", "Predictions that reached the sink; may repeat.", (), [((), total("shipped"))]
        )
        dropped = [
            ((k[1].partition(":")[2],), c[0])
            for k, c in totals.items()
            if k[0] == "log" and k[1].startswith("dropped:")
        ]
        yield self._counter("model_log_dropped", "Predictions dropped by policy.", ("reason",), dropped)
        yield self._counter(
            "model_log_refused", "Predictions set aside because the sink rejected them.", (), [((), total("refused"))]
        )
        yield self._counter("model_log_corrupt", "Damaged stretches of spool files.", (), [((), total("corrupt"))])
        yield self._counter(
            "model_log_sink_failures", "Segments the sink rejected.", (), [((), total("sink_failures"))]
        )

        def gauge(name: str) -> float:
            return float(totals.get((GAUGE, name), (0.0,))[0])

        yield self._gauge("model_log_spool_bytes", "Bytes the live workers hold in the spool.", gauge("spool_bytes"))
        yield self._gauge("model_log_oldest_seconds", "Age of the oldest prediction that is not shipped, in a worker.",
                          gauge("oldest_seconds"))  # fmt: skip
        yield self._gauge(
            "model_workers_apart", "Other workers of this model that count for themselves; 0 is right.", gauge("apart")
        )
        yield self._gauge(
            "model_log_sink_up", "1 while no worker's last attempt failed.", float(gauge("sink_down") == 0)
        )

    def _by_key(self, totals: Totals, kind: str, name: str, text: str, labels: tuple[str, ...]) -> Metric:
        return self._counter(name, text, labels, [(k[1:], c[0]) for k, c in sorted(totals.items()) if k[0] == kind])

    def _counter(
        self, name: str, text: str, labels: tuple[str, ...], values: Iterable[tuple[tuple[str, ...], float]]
    ) -> Metric:
        family = CounterMetricFamily(name, text, labels=(*LABELS[:2], *labels))
        for label_values, value in values:
            family.add_metric([*self._model, *label_values], float(value))
        return family

    def _gauge(self, name: str, text: str, value: float) -> Metric:
        family = GaugeMetricFamily(name, text, labels=LABELS[:2])
        family.add_metric(self._model, value)
        return family
