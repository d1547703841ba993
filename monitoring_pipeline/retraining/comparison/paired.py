"""The difference of two models in any other metric than the area under the ROC curve, days the independent units."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.stats import rankdata

from monitoring_pipeline.errors import UserError
from monitoring_pipeline.metrics.performance import higher_is_better
from monitoring_pipeline.retraining.comparison import delong
from monitoring_pipeline.retraining.comparison.difference import Difference, root, with_interval
from monitoring_pipeline.retraining.comparison.rows import Bools, Floats, Outputs, PairedRows
from monitoring_pipeline.retraining.comparison.totals import sums_of

METHOD = "paired by days, t"


def difference_in(metric: str, rows: PairedRows, level: float) -> Difference:
    """Challenger minus champion, turned so that positive is better, with its interval.

    ``roc_auc`` by DeLong with days as clusters. Any other metric by leaving out each of G days in turn: with v_g the
    difference without day g, the variance is (G - 1) / G sum (v_g - mean v)². For a mean over days of equal size that
    is the paired t test of the days' differences. Reference: Efron and Tibshirani, An Introduction to the Bootstrap
    (1993), chapter 11. Raises UserError for a metric that is neither good nor bad in itself or needs scores that are
    not there.
    """
    better_above = higher_is_better(metric)
    if better_above is None:
        raise UserError(f"retrain.metric: {metric!r} is neither good nor bad in itself; name one such as {_some(rows)}")
    if metric == "roc_auc" and rows.task == "binary":
        positive, champion, challenger = (
            rows.outcome == 1,
            _score(metric, rows.champion),
            _score(metric, rows.challenger),
        )
        return delong.by_days(positive, champion, challenger, rows.day, level)
    champion_value, without = _values(metric, rows, rows.champion)
    challenger_value, challenger_without = _values(metric, rows, rows.challenger)
    sign = 1.0 if better_above else -1.0
    left_out, n_days = sign * (challenger_without - without), len(without)
    variance = (n_days - 1) / n_days * float(((left_out - left_out.mean()) ** 2).sum()) if n_days else float("nan")
    value = sign * (challenger_value - champion_value)
    return with_interval(champion_value, challenger_value, value, root(variance), level, len(rows), n_days, METHOD)


def _values(metric: str, rows: PairedRows, outputs: Outputs) -> tuple[float, Floats]:
    """The metric of all rows, and without each day in turn (G,)."""
    if metric in ("log_loss", "brier", "expected_calibration_error"):
        _score(metric, outputs)
    found = sums_of(metric, rows, outputs)
    if found is not None:
        sums, value = found
        total = sums.sum(axis=0)
        return float(value(total)), value(total - sums)
    ranking = _ranking(metric, rows, outputs)
    kept = np.ones(len(rows), bool)
    days = range(int(rows.day.max(initial=-1)) + 1)
    return ranking(kept), np.array([ranking(rows.day != day) for day in days])


def _ranking(metric: str, rows: PairedRows, outputs: Outputs) -> Callable[[Bools], float]:
    """The metric of some rows, for one that has to be ranked anew each time."""
    name, _, average = metric.rpartition("_") if metric.endswith(("_macro", "_weighted")) else (metric, "", "")
    area = {"roc_auc": _roc_auc, "pr_auc": _pr_auc}.get(name)
    if area is None or bool(average) == (rows.task == "binary") or rows.task == "regression":
        raise UserError(f"retrain.metric: {metric!r} cannot be compared for this task; name one such as {_some(rows)}")
    _score(metric, outputs)
    scores = outputs.scores
    assert scores is not None

    def value(kept: Bools) -> float:
        truth = rows.outcome[kept]
        if not average:
            return area(truth == 1, scores[kept, 0])
        each = np.array([area(truth == k, scores[kept, k]) for k in range(scores.shape[1])])
        weights = np.array([float((truth == k).sum()) if average == "weighted" else 1.0 for k in range(len(each))])
        known = np.isfinite(each)
        return float(np.average(each[known], weights=weights[known])) if weights[known].sum() > 0 else float("nan")

    return value


def _roc_auc(positive: Bools, score: Floats) -> float:
    n = int(positive.sum())
    if n in (0, len(positive)):
        return float("nan")
    return float((rankdata(score)[positive].sum() - n * (n + 1) / 2) / (n * (len(positive) - n)))


def _pr_auc(positive: Bools, score: Floats) -> float:
    """Average precision, as scikit-learn's."""
    if not positive.any():
        return float("nan")
    order = np.argsort(-score, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(score[order])), len(score) - 1)  # last row of each run of ties
    hits = np.cumsum(positive[order])[ends]
    return float((np.diff(hits, prepend=0) * hits / (ends + 1)).sum() / positive.sum())


def _score(metric: str, outputs: Outputs) -> Floats:
    if outputs.scores is None:
        raise UserError(
            f"retrain.metric: {metric} needs scores; declare `schema.score` or `schema.class_scores`, or name another"
            " metric, such as accuracy"
        )
    return outputs.scores[:, 0]


def _some(rows: PairedRows) -> str:
    return {
        "binary": "roc_auc, pr_auc, log_loss, brier, accuracy, f1",
        "multiclass": "f1_macro, accuracy, log_loss, roc_auc_macro",
        "regression": "mae, rmse, mape, r2",
    }[rows.task]
