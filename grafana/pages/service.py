"""Service: golden signals and live drift of the prediction services, from Prometheus."""

from __future__ import annotations

from typing import Any

from grafana.kit.colors import BAD, CALM, OTHERS, WARNING
from grafana.kit.overrides import dashed, fixed
from grafana.kit.page import Page
from grafana.kit.panels import named, number, over_time, ranked, shaded
from grafana.kit.targets import Prom
from grafana.kit.variables import label_values, listed

LARGEST = 6
OF = 'monitor="$monitor", model_version="$version"'
NO_SERVICE = "No series: no instrumented service runs for this monitor and version, or Prometheus does not scrape it."
NO_RULES = (
    "No series: no traffic, no reference published by the service, or Prometheus does not evaluate prometheus/rules."
)
NO_GPU = "No series: no GPU, or nvidia-ml-py is not installed where the service runs."
NO_LOG = "No series: the service keeps no prediction log, or is not scraped."


def chart(title: str, why: str, *asked: tuple[str, str], unit: str = "short", empty: str = NO_SERVICE) -> Any:
    """Lines of Prometheus as (expression, legend)."""
    targets = [Prom(expr, legend, chr(ord("A") + i)) for i, (expr, legend) in enumerate(asked)]
    panel = over_time(title, why, *targets, unit=unit, empty=empty).min(0)
    return named(shaded(panel), *(legend for _, legend in asked))


def largest(
    title: str, why: str, series: str, *, unit: str, empty: str, above: float | None = None, limit: float | None = None
) -> Any:
    """Lines of the columns with the largest values in the time range, ranked by them. ``series``: one a column.

    ``above``: only columns beyond it. ``limit``: a dashed line.
    """
    most = f"max_over_time({series}[$__range] @ end())" + ("" if above is None else f" > {above:g}")
    targets = []
    for rank in range(1, LARGEST + 1):
        those = f"topk({rank}, {most})" + (f" unless topk({rank - 1}, {most})" if rank > 1 else "")
        legend = f"{chr(0x2460 + rank - 1)} {{{{column}}}}"
        targets.append(Prom(f"{series} and on (column) ({those})", legend, chr(ord("A") + rank - 1)))
    panel = ranked(over_time(title, f"{why} The {LARGEST} columns with the largest.", *targets, unit=unit, empty=empty))
    if limit is not None:
        panel.with_target(Prom(f"vector({limit})", "Alert above", "Z"))
        panel.override_by_name(*dashed("Alert above", "Alert above", BAD))
    return panel.min(0)


def now(
    title: str,
    why: str,
    expr: str,
    *,
    unit: str = "short",
    decimals: int | None = None,
    thresholds: Any = ((None, CALM),),
) -> Any:
    """The newest value in the time range."""
    return number(title, why, Prom(expr), unit=unit, decimals=decimals, thresholds=thresholds, empty="no series")


def numbers() -> list[tuple[int, Any]]:
    return [
        (
            4,
            now(
                "Predictions",
                "A second, over five minutes.",
                f"sum(rate(model_predictions_total{{{OF}}}[5m]))",
                unit="reqps",
                decimals=1,
            ),
        ),
        (
            4,
            now(
                "Errors",
                "Share of the calls that raised.",
                f"sum(rate(model_prediction_errors_total{{{OF}}}[5m]))"
                f" / clamp_min(sum(rate(model_prediction_duration_seconds_count{{{OF}}}[5m])), 1e-9)"
                f" or 0 * sum(model_predictions_total{{{OF}}})",
                unit="percentunit",
                decimals=2,
                thresholds=((None, CALM), (0.01, WARNING), (0.05, BAD)),
            ),
        ),
        (
            4,
            now(
                "p99 latency",
                "Of a call to the model, over five minutes.",
                latency(0.99),
                unit="s",
                thresholds=((None, CALM), (0.5, WARNING)),
            ),
        ),
        (
            4,
            now(
                "Drifting columns",
                "PSI above 0.2 over the last $window.",
                f"count(model:column_psi:$window{{{OF}}} > 0.2) or 0 * count(model:column_psi:$window{{{OF}}})",
                thresholds=((None, CALM), (1, WARNING)),
            ),
        ),
        (4, now("Replicas", "That are scraped.", f"count(count by (instance) (model_predictions_total{{{OF}}}))")),
        (
            4,
            now(
                "Log behind",
                "Age of the oldest prediction that is not shipped.",
                f"max(model_log_oldest_seconds{{{OF}}})",
                unit="s",
                thresholds=((None, CALM), (900, WARNING)),
            ),
        ),
    ]


def latency(quantile: float) -> str:
    """Of calls to the model."""
    buckets = f"rate(model_prediction_duration_seconds_bucket{{{OF}}}[$__rate_interval])"
    return f"histogram_quantile({quantile}, sum by (le) ({buckets}))"


def golden(page: Page) -> None:
    calls = chart(
        "Traffic",
        "Rows predicted and requests answered a second.",
        (f"sum(rate(model_predictions_total{{{OF}}}[$__rate_interval]))", "Predictions"),
        (f"sum(rate(model_http_requests_total{{{OF}}}[$__rate_interval]))", "Requests"),
        unit="reqps",
    )
    errors = chart(
        "Errors",
        "Calls that raised, requests that failed, input values that were not as declared, a second.",
        (f"sum(rate(model_prediction_errors_total{{{OF}}}[$__rate_interval]))", "Calls"),
        (f"sum(rate(model_http_errors_total{{{OF}}}[$__rate_interval]))", "Requests"),
        (f"sum(rate(model_input_errors_total{{{OF}}}[$__rate_interval]))", "Input values"),
        unit="cps",
        empty="No error was counted yet, or no instrumented service is scraped.",
    )
    took = chart(
        "Latency",
        "Of a call to the model.",
        (latency(0.5), "p50"),
        (latency(0.9), "p90"),
        (latency(0.99), "p99"),
        unit="s",
    )
    busy = chart(
        "Waiting and running",
        "Calls that have not returned, and requests that wait for the model (a scrape is one of them), by replica.",
        (f"sum by (instance) (model_predictions_in_flight{{{OF}}})", "running, {{instance}}"),
        (f"sum by (instance) (model_queue_length{{{OF}}})", "waiting, {{instance}}"),
    )
    page.row(8, (12, calls), (12, errors))
    busy.override_by_regexp("/^running,/", [fixed(OTHERS[0])]).override_by_regexp("/^waiting,/", [fixed(OTHERS[1])])
    page.row(8, (12, took), (12, busy))
    page.row(
        8,
        (
            12,
            chart(
                "Processor",
                "Share of all cores that the service's processes use, by replica.",
                (f"max by (instance) (model_process_cpu_share{{{OF}}})", "{{instance}}"),
                unit="percentunit",
            ),
        ),
        (
            12,
            chart(
                "Memory",
                "Resident, by replica.",
                (f"max by (instance) (model_process_memory_bytes{{{OF}}})", "{{instance}}"),
                unit="bytes",
            ),
        ),
    )
    page.row(
        8,
        (
            12,
            chart(
                "GPU",
                "Share of the time in which each GPU ran anything, of whichever process, by replica.",
                (f"max by (instance, gpu) (model_gpu_busy_share{{{OF}}})", "{{instance}}, {{gpu}}"),
                unit="percentunit",
                empty=NO_GPU,
            ),
        ),
        (
            12,
            chart(
                "GPU memory",
                "Share of each GPU's memory in use, by whichever process, by replica.",
                (
                    f"max by (instance, gpu) (model_gpu_memory_used_bytes{{{OF}}}"
                    f" / model_gpu_memory_total_bytes{{{OF}}})",
                    "{{instance}}, {{gpu}}",
                ),
                unit="percentunit",
                empty=NO_GPU,
            ),
        ),
    )


def live(page: Page) -> None:
    rules = "model:column_{}:$window{{{}}}"
    for name, title, why, limit in (
        ("psi", "Live PSI", "Population stability index of the last $window against the reference.", 0.2),
        ("ks", "Live KS", "Largest difference of the distribution functions at the bins' edges; numbers only.", 0.1),
        ("kl", "Live KL", "Kullback-Leibler divergence of the last $window from the reference.", None),
    ):
        page.row(9, (24, largest(title, why, rules.format(name, OF), unit="none", empty=NO_RULES, limit=limit)))
    page.row(
        8,
        (
            12,
            largest(
                "Missing values",
                "Share of the rows without a value over the last $window.",
                rules.format("missing_share", OF),
                unit="percentunit",
                empty="No column misses values, or: " + NO_RULES,
                above=0,
            ),
        ),
        (
            12,
            largest(
                "Unseen categories",
                "Share of the values that are no category of the reference over the last $window.",
                rules.format("unseen_share", OF),
                unit="percentunit",
                empty="No unseen category, or: " + NO_RULES,
                above=0,
            ),
        ),
    )


def log(page: Page) -> None:
    page.row(
        8,
        (
            8,
            chart(
                "Prediction log",
                "Rows made durable and rows shipped, a second.",
                (f"sum(rate(model_log_spooled_total{{{OF}}}[$__rate_interval]))", "Spooled"),
                (f"sum(rate(model_log_shipped_total{{{OF}}}[$__rate_interval]))", "Shipped"),
                unit="cps",
                empty=NO_LOG,
            ),
        ),
        (
            8,
            chart(
                "Spool",
                "Bytes that wait, by replica.",
                (f"sum by (instance) (model_log_spool_bytes{{{OF}}})", "{{instance}}"),
                unit="bytes",
                empty=NO_LOG,
            ),
        ),
        (
            8,
            chart(
                "Lost, refused, damaged",
                "Since the replicas began: rows dropped by policy, segments refused by the sink, damaged stretches.",
                (f"sum(model_log_dropped_total{{{OF}}})", "Dropped"),
                (f"sum(model_log_refused_total{{{OF}}})", "Refused"),
                (f"sum(model_log_corrupt_total{{{OF}}})", "Damaged"),
                empty=NO_LOG,
            ),
        ),
    )
    page.row(
        7,
        (
            12,
            chart(
                "Collector",
                "Records accepted and found wrong a second, of this monitor.",
                ('sum(rate(collector_records_total{monitor="$monitor"}[$__rate_interval]))', "Accepted"),
                ('sum(rate(collector_refused_records_total{monitor="$monitor"}[$__rate_interval]))', "Refused"),
                unit="cps",
                empty="No series: no collector is scraped, or nothing of this monitor goes through it.",
            ),
        ),
        (
            12,
            chart(
                "Collector's latency",
                "Time from a request's arrival to its response, p99.",
                (
                    "histogram_quantile(0.99, sum by (le) "
                    "(rate(collector_request_duration_seconds_bucket[$__rate_interval])))",
                    "p99",
                ),
                unit="s",
                empty="No series: no collector is scraped.",
            ),
        ),
    )


def build() -> Any:
    page = Page("mm-service", "Golden signals and live drift of the prediction services.", since="now-6h", refresh="1m")
    page.variables(
        label_values(
            "monitor",
            "Monitor",
            "Monitors whose services are scraped.",
            "label_values(model_predictions_total, monitor)",
        ),
        label_values(
            "version",
            "Version",
            "Model versions in service.",
            'label_values(model_predictions_total{monitor="$monitor"}, model_version)',
        ),
        listed(
            "window",
            "Window",
            "Over which live drift is computed.",
            {"5m": "5 minutes", "30m": "30 minutes", "12h": "12 hours"},
            "30m",
        ),
    )
    page.links_to("mm-fleet", "mm-model", "mm-system")
    page.row(3, *numbers())
    golden(page)
    live(page)
    log(page)
    return page.build()
