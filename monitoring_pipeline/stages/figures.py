"""Figures to draw, as plain arrays: read from the metric rows and profiles of the windows of a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from monitoring_pipeline.metrics.drift.measure import PRIMARY_METHOD
from monitoring_pipeline.metrics.performance.headline import HEADLINE
from monitoring_pipeline.monitors import Window
from monitoring_pipeline.monitors.declaration import DRIFT_THRESHOLDS
from monitoring_pipeline.profiles.column import ColumnProfile
from monitoring_pipeline.profiles.profile import EVERYTHING
from monitoring_pipeline.stages.context import StageContext
from monitoring_pipeline.warehouse import ledger, profile_store, readers

"""The figure a task is drawn and reported by."""


@dataclass(frozen=True)
class Heat:
    """``values`` (columns, windows): NaN where there is no row."""

    columns: tuple[str, ...]
    windows: tuple[Window, ...]
    values: NDArray[np.float64]
    threshold: float
    method: str
    baseline: str


@dataclass(frozen=True)
class Histogram:
    """Shares of the reference and of one window by bin."""

    column: str
    window: Window
    labels: tuple[str, ...]
    reference: NDArray[np.float64]
    current: NDArray[np.float64]
    method: str
    value: float


@dataclass(frozen=True)
class Line:
    """One figure over time; NaN where unknown."""

    title: str
    metric: str
    windows: tuple[Window, ...]
    values: NDArray[np.float64]
    low: NDArray[np.float64] | None = None
    high: NDArray[np.float64] | None = None
    threshold: float | None = None


def drift_heat(stages: StageContext, windows: Sequence[Window]) -> Heat | None:
    """The primary drift figure against the first declared baseline, of every column; the largest over model
    versions.
    """
    baseline = stages.monitor.baseline_names[0]
    with stages.warehouse.transaction() as conn:
        rows = readers.drift_values(conn, stages.monitor.name, windows, baseline, PRIMARY_METHOD)
    if not rows:
        return None
    columns = sorted({row.column_name for row in rows})
    place = {column: i for i, column in enumerate(columns)}
    when = {window.start: i for i, window in enumerate(windows)}
    values = np.full((len(columns), len(windows)), np.nan)
    for row in rows:
        i, j = place[row.column_name], when[row.window_start]
        values[i, j] = np.nanmax([values[i, j], row.value]) if not np.isnan(values[i, j]) else row.value
    return Heat(tuple(columns), tuple(windows), values, _psi_threshold(stages), PRIMARY_METHOD, baseline)


def _psi_threshold(stages: StageContext) -> float:
    """The declared one; the picture is drawn before the windows are judged."""
    return stages.monitor.thresholds.drift.get(PRIMARY_METHOD, DRIFT_THRESHOLDS[PRIMARY_METHOD])


def most_drifted(stages: StageContext, window: Window, most: int) -> list[Histogram]:
    """Reference against current of the ``most`` drifted columns of one window, the farthest first."""
    monitor, baseline = stages.monitor, stages.monitor.baseline_names[0]
    with stages.warehouse.transaction() as conn:
        rows = readers.drift_values(conn, monitor.name, [window], baseline, PRIMARY_METHOD)
        references = profile_store.references(conn, monitor.name)
        profiles = profile_store.load_profiles(conn, monitor.name, [window], segment=EVERYTHING)
    found = []
    for row in sorted(rows, key=lambda r: (-r.value, r.column_name))[:most]:
        current = next((p for p in profiles if p.model_version == row.model_version), None)
        reference = references.get(row.model_version) or references.get(monitor.reference.model_version)
        if current is None or reference is None:
            continue
        try:
            was, now = reference.profile.column(row.column_name), current.column(row.column_name)
        except KeyError:  # the target: it is in the labelled profile
            continue
        found.append(
            Histogram(row.column_name, window, _bin_labels(now), _shares(was), _shares(now), PRIMARY_METHOD, row.value)
        )
    return found


def performance_line(stages: StageContext, windows: Sequence[Window]) -> Line | None:
    """The headline figure with its interval, of the version with the most labelled rows in each window."""
    metric = HEADLINE[stages.monitor.task]
    with stages.warehouse.transaction() as conn:
        rows = readers.performance_values(conn, stages.monitor.name, windows, metric)
    if not rows:
        return None
    by_window = {row.window_start: row for row in sorted(rows, key=lambda r: r.n_labelled)}
    picked = [by_window.get(window.start) for window in windows]

    def values_of(name: str) -> NDArray[np.float64]:
        return np.array([np.nan if r is None or getattr(r, name) is None else getattr(r, name) for r in picked], float)

    threshold = next((r.threshold for r in reversed(picked) if r is not None), None)
    title = f"{metric}, realized, 95 % interval" + (f"; degraded past {threshold:.3g}" if threshold is not None else "")
    return Line(title, metric, tuple(windows), values_of("value"), values_of("ci_low"), values_of("ci_high"), threshold)


def coverage_line(stages: StageContext, windows: Sequence[Window]) -> Line | None:
    """Labelled share of each window."""
    with stages.warehouse.transaction() as conn:
        labelled = readers.label_counts(conn, stages.monitor.name, windows)
        taken = ledger.ingested(conn, stages.monitor.name, windows)
    coverage = {
        start: n / taken[start].n_rows for start, n in labelled.items() if start in taken and taken[start].n_rows
    }
    if not coverage:
        return None
    values = np.array([coverage.get(window.start, np.nan) for window in windows], float)
    return Line(
        "labelled share of the window", "coverage", tuple(windows), values, threshold=stages.monitor.labels.coverage
    )


def _shares(column: ColumnProfile) -> NDArray[np.float64]:
    return column.counts / max(column.n_values, 1)


def _bin_labels(column: ColumnProfile) -> tuple[str, ...]:
    layout = column.layout
    if layout.kind == "categorical":
        return (*(c[:12] for c in layout.categories), "unseen")
    return (*(f"≤ {edge:.4g}" for edge in layout.edges), "above")
