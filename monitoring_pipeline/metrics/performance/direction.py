"""Which way each performance metric is better."""

from __future__ import annotations

HIGHER_IS_BETTER = frozenset(
    {"accuracy", "balanced_accuracy", "precision", "recall", "f1", "mcc", "roc_auc", "pr_auc", "r2"}
)
LOWER_IS_BETTER = frozenset({"log_loss", "brier", "expected_calibration_error", "mae", "rmse", "mape"})


def higher_is_better(metric: str) -> bool | None:
    """True or False, for averages and single classes too; None for a metric that is neither good nor bad in itself.

    >>> [higher_is_better(metric) for metric in ("f1_macro", "recall[class=2]", "brier", "bias")]
    [True, True, False, None]
    """
    name = metric.partition("[")[0].removesuffix("_macro").removesuffix("_weighted")
    return True if name in HIGHER_IS_BETTER else False if name in LOWER_IS_BETTER else None
