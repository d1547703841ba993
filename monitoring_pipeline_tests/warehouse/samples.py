"""Small values of every kind that the warehouse keeps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Literal

import numpy as np

from monitoring_pipeline.alerting import FLAGGED, NOT_FLAGGED, NOT_JUDGED, Verdict
from monitoring_pipeline.measurements import Measurement, metric_keys
from monitoring_pipeline.monitors import Monitor, Window
from monitoring_pipeline.profiles.column import ColumnProfile
from monitoring_pipeline.profiles.document import Reference
from monitoring_pipeline.profiles.layout import ColumnLayout, Layout, OutcomeLayout
from monitoring_pipeline.profiles.outcome import OutcomeProfile
from monitoring_pipeline.profiles.profile import EVERYTHING, LabelledProfile, Profile
from monitoring_pipeline.records import Contract, FileVersion, IndexedFile, IngestedWindow, LabelBatch
from monitoring_pipeline.warehouse.measurement_store import Provenance

NAME = "churn"
T0 = datetime(2026, 3, 1, tzinfo=UTC)
HOSTILE = '"; drop table x; --'


def window(day: int) -> Window:
    return Window(T0 + timedelta(days=day), T0 + timedelta(days=day + 1))


def monitor(name: str = NAME, **changes: object) -> Monitor:
    declared: dict[str, object] = {
        "name": name,
        "task": "binary",
        "schema": {
            "prediction_id": "id",
            "event_time": "at",
            "score": "score",
            "numerical": ["age", HOSTILE],
            "categorical": ["plan"],
        },
        "predictions": {"path": "log/*.parquet"},
        "ground_truth": {"path": "labels/*.csv", "outcome": "left"},
        "reference": {"path": "reference.parquet", "outcome": "left"},
        "start": "2026-03-01",
    }
    return Monitor.model_validate(declared | changes)


def layout() -> Layout:
    columns = (
        ColumnLayout("age", "feature", "numerical", (17.5, 30.0, 45.25, 90.0)),
        ColumnLayout(HOSTILE, "feature", "numerical", (0.1, 1 / 3)),
        ColumnLayout("plan", "feature", "categorical", (), ("basic", 'pro\t"plus"', "naïve\\n")),
        ColumnLayout("score", "score", "numerical", (0.0, 0.5, 1.0)),
        ColumnLayout("left", "target", "categorical", (), ("0", "1")),
    )
    return Layout(columns, OutcomeLayout("binary", ("0", "1"), ("1",), (0.25, 0.5, 0.75)))


def column_profile(of: ColumnLayout, seed: int) -> ColumnProfile:
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, 50, of.n_bins)
    n = int(counts.sum()) + 3
    if of.kind == "categorical":
        return ColumnProfile(of, n, 3, 0, 0, 0, counts)
    return ColumnProfile(
        of, n, 1, 1, 1, 2, counts, -rng.random(), 1e300 * rng.random(), rng.random() / 3, rng.random() * 1e-300
    )


def profile(of: Window, version: str = "1", segment: str = EVERYTHING, seed: int = 0) -> Profile:
    fixed = layout()
    columns = tuple(column_profile(c, seed + i) for i, c in enumerate(fixed.columns) if c.role != "target")
    return Profile(of, version, segment, fixed.layout_id, 100 + seed, columns)


def labelled(
    of: Window, batch: int, n_labelled: int = 60, version: str = "1", segment: str = EVERYTHING, seed: int = 0
) -> LabelledProfile:
    fixed = layout()
    rng = np.random.default_rng(seed)
    outcome = OutcomeProfile(
        fixed.outcome, 100, n_labelled, n_labelled, 0,
        rng.integers(0, 9, (1, 4)), rng.random((1, 4)),
        rng.integers(0, 9, (1, 4)), rng.integers(0, 9, (1, 4)), rng.random((1, 4)),
        rng.integers(0, 9, (3, 4)), np.zeros(0, np.int64), rng.random(4),
    )  # fmt: skip
    return LabelledProfile(
        of, version, segment, fixed.layout_id, batch, outcome, column_profile(fixed.columns[-1], seed)
    )


def reference(name: str = NAME, version: str = "1", seed: int = 5) -> Reference:
    return Reference(name, version, layout(), profile(Window(T0 - timedelta(days=30), T0), version, seed=seed))


def file(path: str, windows: Sequence[Window], size: int = 10, error: str | None = None) -> IndexedFile:
    placed = {} if error else {w.start: 100 for w in windows}
    return IndexedFile(path, FileVersion(size, T0), 100 * len(placed), placed, error=error)


def taken(of: Window, data_version: str = "d1", n_rows: int = 100) -> IngestedWindow:
    return IngestedWindow(
        of, n_rows, 2, 3, data_version, (f"lake/{of.start:%d}.parquet",), {"1": n_rows}, {"no id": 3},
        Contract(("plan",), ("colour",), {"age": "VARCHAR"}, {"age": 2}), of.start + timedelta(hours=5),
    )  # fmt: skip


def batch(number: int, windows: Sequence[Window], n_unknown: int = 0) -> LabelBatch:
    files = {w.start: f"lake/labels-{number}-{w.start:%d}.parquet" for w in windows}
    pending = f"lake/pending-{number}.parquet" if n_unknown else None
    matched = 10 * len(files)
    return LabelBatch(
        number, matched + n_unknown, matched, n_unknown, 0, 0, {}, dict.fromkeys(files, 10), files, pending
    )


def provenance(data_version: str = "d1", label_batch: int | None = None, run_id: str | None = "run-1") -> Provenance:
    return Provenance(data_version, label_batch, monitor().config_version, "0.1.0", run_id)


def drift(
    values: Mapping[tuple[str, str], float] | None = None,
    version: str = "1",
    baseline: str = "training",
    segment: str = EVERYTHING,
) -> Measurement:
    """By (column, method); NaN is undefined."""
    values = {("age", "psi"): 0.3} if values is None else values
    n = len(values)
    keys = metric_keys("drift", tuple(c for c, _ in values), ("feature",) * n, tuple(m for _, m in values))
    return Measurement(
        "drift", version, baseline, segment, keys, np.array(list(values.values())), np.full(n, 100),
        n_reference=np.full(n, 1000), p_value=np.full(n, 0.01), effect=np.full(n, np.nan), error_bound=np.full(n, 0.05),
    )  # fmt: skip


def quality(
    values: Mapping[tuple[str, str], float] | None = None, version: str = "1", segment: str = EVERYTHING
) -> Measurement:
    """By (column, metric); NaN is undefined."""
    values = {("age", "missing_share"): 0.02} if values is None else values
    n = len(values)
    keys = metric_keys("quality", tuple(c for c, _ in values), ("",) * n, tuple(m for _, m in values))
    return Measurement(
        "quality", version, "", segment, keys, np.array(list(values.values())), np.full(n, 100),
        reference_value=np.full(n, np.nan), detail=("two\tnew",) * n,
    )  # fmt: skip


def performance(
    values: Mapping[str, float] | None = None,
    n_labelled: int = 60,
    version: str = "1",
    segment: str = EVERYTHING,
    family: Literal["realized", "estimated"] = "realized",
) -> Measurement:
    """By metric; NaN is undefined. The interval is 0.05 to each side."""
    values = {"roc_auc": 0.7} if values is None else values
    n, value = len(values), np.array(list(values.values()))
    keys = metric_keys(family, (EVERYTHING,) * n, ("",) * n, tuple(values))
    return Measurement(
        family, version, "", segment, keys, value, np.full(n, n_labelled), low=value - 0.05, high=value + 0.05,
        reference_value=np.full(n, np.nan), n_predictions=100, n_labelled=n_labelled,
    )  # fmt: skip


def fairness(values: Mapping[str, float], version: str = "1", column: str = "sex") -> Measurement:
    """By metric: group ``female`` against ``male``. The interval is 0.05 to each side."""
    n, value = len(values), np.array(list(values.values()))
    keys = metric_keys("fairness", (column,) * n, ("",) * n, tuple(values))
    return Measurement(
        "fairness", version, f"{column}=male", f"{column}=female", keys, value, np.full(n, 60), low=value - 0.05,
        high=value + 0.05, n_reference=np.full(n, 90), n_predictions=100, n_labelled=60,
    )  # fmt: skip


def verdict(of: Measurement, threshold: float, above: bool = True, mature: bool | None = None) -> Verdict:
    """Flagged above the declared threshold, or below it; undefined values are not judged."""
    beyond = of.value > threshold if above else of.value < threshold
    flagged = np.where(np.isnan(of.value), NOT_JUDGED, np.where(beyond, FLAGGED, NOT_FLAGGED)).astype(np.int8)
    n = len(of.value)
    return Verdict(np.full(n, threshold), ("declared",) * n, flagged, mature=mature)
