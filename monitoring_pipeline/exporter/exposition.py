"""Rows of the warehouse as Prometheus metrics: what each is called, and its text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import repeat
from operator import add
from typing import Literal, cast

from prometheus_client.core import GaugeMetricFamily

from monitoring_pipeline.warehouse.exposition import FAMILIES, Group

ESCAPES = {"\\": "\\\\", "\n": "\\n", '"': '\\"'}  # the backslash first


@dataclass(frozen=True)
class Gauge:
    """One metric made of the groups of one family; ``figure`` picks the members of family ``health``."""

    name: str
    family: str
    help: str
    of: Literal["values", "flags"] = "values"
    figure: str | None = None

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the labels."""
        return ("monitor",) if self.figure else FAMILIES[self.family]


def _health(figure: str, help: str) -> Gauge:
    return Gauge(f"monitoring_{figure}", "health", help, figure=figure)


GAUGES = (
    Gauge("monitoring_drift_value", "drift", "Drift of a column of the newest window from a baseline, by method."),
    Gauge("monitoring_drift_drifted", "drift", "1 if the column drifted, else 0; absent if not judged.", "flags"),
    Gauge("monitoring_quality_value", "quality", "Data-quality metrics of the newest window that have a threshold."),
    Gauge("monitoring_quality_violated", "quality", "1 if the metric violates its threshold, else 0.", "flags"),
    Gauge(
        "monitoring_performance_value",
        "performance",
        "Performance in the newest window that has this metric.",
    ),
    Gauge(
        "monitoring_performance_degraded",
        "performance",
        "1 if the metric is worse than its threshold, else 0; absent while labels are missing.",
        "flags",
    ),
    Gauge(
        "monitoring_label_coverage",
        "coverage",
        "Labelled share of the newest window with labels, in [0, 1].",
    ),
    Gauge("monitoring_window_timestamp_seconds", "window", "End of the newest window that has results of this kind."),
    _health(
        "lag_seconds",
        "From the end of the newest profiled window (before any, the start of monitoring) to now or the monitor's end.",
    ),
    _health("window_seconds", "Length of the monitor's window."),
    _health("last_success_timestamp_seconds", "When a stage of any window was last completed."),
    _health("failed_windows", "Windows with a stage whose last attempt failed."),
    _health("stale_windows", "Windows whose results are older than their inputs."),
    _health("run_duration_seconds", "First to last stage completed by the run that profiled the newest window."),
    Gauge("monitoring_open_incidents", "incidents", "Open incidents."),
    Gauge("monitoring_model_role", "role", "1 for the current role of a model version."),
    Gauge("monitoring_database_bytes", "database", "Size of the database."),
)


def render(groups: Sequence[Group]) -> str:
    """The text format 0.0.4. Some ten times faster than by way of metric objects, which matters at 10⁵ samples."""
    by_family = _by_family([_escaped(group) for group in groups])
    parts: list[str] = []
    for gauge in GAUGES:
        samples = "".join([_samples(gauge, group) for group in by_family.get(gauge.family, ())])
        if samples:
            parts += (f"# HELP {gauge.name} {gauge.help}\n# TYPE {gauge.name} gauge\n", samples)
    return "".join(parts)


def families(groups: Sequence[Group]) -> Iterator[GaugeMetricFamily]:
    """The same as metric objects, for a registry."""
    by_family = _by_family(groups)
    for gauge in GAUGES:
        family = GaugeMetricFamily(gauge.name, gauge.help, labels=gauge.labels)
        for group in by_family.get(gauge.family, ()):
            for member, value in zip(*_figures(gauge, group), strict=True):
                family.add_metric([*group.labels, member][: len(gauge.labels)], float(value))
        if family.samples:
            yield family


def _samples(gauge: Gauge, group: Group) -> str:
    """The lines of a group whose labels are escaped, each ended; as few steps and objects a line as Python knows."""
    names, (members, values) = gauge.labels, _figures(gauge, group)
    if not members:
        return ""
    shared = [f'{name}="{label}"' for name, label in zip(names, group.labels, strict=False)]
    if len(names) == len(group.labels):  # the members are figures of their own, not values of a label
        head = gauge.name + ("{" + ",".join(shared) + "} " if shared else " ")
        lines: Iterable[str] = values
    else:
        head = gauge.name + "{" + ",".join([*shared, f'{names[-1]}="'])
        lines = map(add, map(add, members, repeat('"} ')), values)
    return head + ("\n" + head).join(lines) + "\n"


def _figures(gauge: Gauge, group: Group) -> tuple[Sequence[str], Sequence[str]]:
    """Members and what they are worth, where that is known."""
    values: Sequence[str | None] = getattr(group, gauge.of)
    if gauge.figure is None and None not in values:
        return group.members, cast(Sequence[str], values)
    found = zip(group.members, values, strict=True)
    known = [(m, value) for m, value in found if value is not None and gauge.figure in (None, m)]
    return [m for m, _ in known], [value for _, value in known]


def _by_family(groups: Sequence[Group]) -> dict[str, list[Group]]:
    found: dict[str, list[Group]] = {}
    for group in groups:
        found.setdefault(group.family, []).append(group)
    return found


def _escaped(group: Group) -> Group:
    """A group whose labels can stand between quotes; hardly any is awkward, so all are looked at together."""
    together = "".join((*group.labels, *group.members))
    if not any(awkward in together for awkward in ESCAPES):
        return group
    return group._replace(labels=tuple(map(_escape, group.labels)), members=list(map(_escape, group.members)))


def _escape(label: str) -> str:
    for character, escape in ESCAPES.items():
        label = label.replace(character, escape)
    return label
