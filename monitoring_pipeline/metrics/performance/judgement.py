"""Which way each figure is better, what it is held against, and when it is degraded."""

from __future__ import annotations

from monitoring_pipeline.metric_rows import ThresholdSource
from monitoring_pipeline.metrics.performance.intervals import Estimate
from monitoring_pipeline.monitors.declaration import Bound, Thresholds

HIGHER_IS_BETTER = frozenset(
    {"accuracy", "balanced_accuracy", "precision", "recall", "f1", "mcc", "roc_auc", "pr_auc", "r2"}
)
LOWER_IS_BETTER = frozenset({"log_loss", "brier", "expected_calibration_error", "mae", "rmse", "mape"})


def higher_is_better(metric: str) -> bool | None:
    """True or False, for averages and single classes too; None for a figure that is neither good nor bad in itself.

    >>> [higher_is_better(metric) for metric in ("f1_macro", "recall[class=2]", "brier", "bias")]
    [True, True, False, None]
    """
    name = metric.partition("[")[0].removesuffix("_macro").removesuffix("_weighted")
    return True if name in HIGHER_IS_BETTER else False if name in LOWER_IS_BETTER else None


def judge(
    metric: str, estimate: Estimate, reference: Estimate | None, thresholds: Thresholds
) -> tuple[float | None, ThresholdSource, bool | None]:
    """(threshold, where it is from, degraded).

    A declared bound is taken as it is; without one, the reference's figure worsened by the share
    ``performance_drop``. Degraded means that the whole interval lies on the bad side: a figure of few rows is not
    called degraded for chance alone. None when the figure is undefined or there is nothing to hold it against. Where
    a bound has both ends, the nearer one is shown.
    """
    bound = thresholds.performance.get(metric)
    if bound is not None and (bound.min is not None or bound.max is not None):
        return _nearer(bound, estimate.value), "declared", _beyond(estimate, bound.min, bound.max)
    better = higher_is_better(metric)
    source: ThresholdSource = "declared" if "performance_drop" in thresholds.model_fields_set else "default"
    if better is None or reference is None or reference.value is None:
        return None, source, None
    loss = thresholds.performance_drop * abs(reference.value)
    if better:
        return reference.value - loss, source, _beyond(estimate, reference.value - loss, None)
    return reference.value + loss, source, _beyond(estimate, None, reference.value + loss)


def _beyond(estimate: Estimate, least: float | None, most: float | None) -> bool | None:
    if estimate.value is None or estimate.low is None or estimate.high is None:
        return None
    return (least is not None and estimate.high < least) or (most is not None and estimate.low > most)


def _nearer(bound: Bound, value: float | None) -> float | None:
    ends = [end for end in (bound.min, bound.max) if end is not None]
    return ends[0] if value is None else min(ends, key=lambda end: abs(end - value))
