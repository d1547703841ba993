"""The verdicts one at a time, in plain Python straight from profiles and values: an oracle for the arrays.

They are the rules that verdicts were judged by when each was computed beside its value.
"""

from __future__ import annotations

from statistics import median

from scipy.stats import binom, poisson

from monitoring_pipeline.metrics.performance import higher_is_better
from monitoring_pipeline.monitors.declaration import ColumnThresholds

NOTHING = ColumnThresholds()


def declared(thresholds, name):
    return getattr(thresholds, name), "declared" if name in thresholds.model_fields_set else "default"


def drift(method, column, value, p_value, effect, thresholds, columns, tests=()):
    """(threshold, source, drifted); ``columns``: status by name, of those without a pinned threshold. ``tests``:
    p-values of the tests of the column that stand in for a method without one."""
    threshold = pinned(method, column, thresholds)
    if threshold is None:
        status, source = columns.get(column, (-1, "none"))
        return None, source, None if value is None or status == -1 else status == 2
    if value is None:
        return threshold, "declared", None
    large = (value if effect is None else effect) >= threshold
    if method == "wasserstein":
        p_value = min(tests, default=None)
    return threshold, "declared", large and (p_value is None or p_value < thresholds.drift_alpha)


def pinned(method, column, thresholds):
    """The declared threshold, that of the column before that of the monitor; None where there is none."""
    own = thresholds.columns.get(column, NOTHING)
    if method in ("unseen_share", "vanished_share"):
        if own.unseen_share is not None:
            return own.unseen_share
        return thresholds.unseen_share if "unseen_share" in thresholds.model_fields_set else None
    return own.drift.get(method, thresholds.drift.get(method))


def quality(metric, name, value, column, usual, facts, mature, thresholds):
    """(threshold, source, violated); ``column`` and ``usual`` are profiles, None for metrics of whole rows. A default
    threshold is exceeded by more than chance."""
    threshold, source, violated = exceeded(metric, name, value, column, usual, facts, mature, thresholds)
    if violated and source == "default":
        violated = not by_chance(metric, value, column, usual, facts, threshold)
    return threshold, source, violated


def by_chance(metric, value, column, usual, facts, threshold, alpha=0.001):
    """Whether as many rows or more are expected once in a thousand windows."""
    counted = {"missing_share": "n_missing", "nan_share": "n_nan", "inf_share": "n_inf"}
    if metric in counted:
        share = getattr(usual, counted[metric]) / usual.n
        return binom.sf(getattr(column, counted[metric]) - 1, column.n, share) >= alpha
    if metric in ("out_of_range_share", "unseen_share"):
        odd = [
            side and int(side.counts[-1] + (side.counts[0] if metric == "out_of_range_share" else 0))
            for side in (column, usual)
        ]
        share = max(odd[1] / usual.n_values if usual and usual.n_values else 0.0, 0.001)
        return binom.sf(odd[0] - 1, column.n_values, share) >= alpha
    if metric == "label_coverage":
        return binom.cdf(round(value * facts.n_rows), facts.n_rows, threshold) >= alpha
    if metric == "volume_ratio" and facts.n_rows:
        expected = median(facts.usual_rows)
        return min(poisson.cdf(facts.n_rows, expected), poisson.sf(facts.n_rows - 1, expected)) >= alpha
    return False


def exceeded(metric, name, value, column, usual, facts, mature, thresholds):
    """The same whatever the number of rows."""
    own = thresholds.columns.get(name, NOTHING)
    if metric in ("missing_share", "nan_share", "inf_share"):
        pinned = own.missing_share if metric == "missing_share" else None
        return _missing(metric, value, usual, pinned, thresholds)
    if metric in ("out_of_range_share", "unseen_share"):
        return _strange(metric, value, usual, getattr(own, metric), thresholds)
    if metric == "constant":
        lies_in = int(column.counts.argmax())
        common = usual is not None and usual.n_values > 0 and usual.counts[lies_in] / usual.n_values > 0.5
        return 0.0, "default", None if value is None else value == 1 and not common
    if metric in ("column_missing", "retyped", "column_extra"):
        return 0.0, "default", value > 0
    if metric == "label_coverage":
        threshold, source = declared(thresholds, metric)
        return threshold, source, value < threshold if mature else None
    if metric == "volume_ratio":
        return _volume(facts, thresholds)
    if metric in ("duplicate_share", "quarantined_share", "type_violation_share"):
        threshold, source = declared(thresholds, metric)
        return threshold, source, None if value is None else value > threshold
    assert metric in ("rows", "freshness_seconds", "zero_share")
    return None, "default", None


def _missing(metric, value, usual, pinned, thresholds):
    threshold, source = None, "default"
    if pinned is not None:
        threshold, source = pinned, "declared"
    elif usual is not None and usual.n:
        change, source = declared(thresholds, "missing_share_change")
        before = {"missing_share": usual.n_missing, "nan_share": usual.n_nan, "inf_share": usual.n_inf}[metric]
        threshold = min(before / usual.n + change, 1.0)
    return threshold, source, None if value is None or threshold is None else value > threshold


def _strange(metric, value, usual, pinned, thresholds):
    if pinned is not None:
        threshold, source = pinned, "declared"
    else:
        threshold, source = declared(thresholds, metric)
        if usual is not None and usual.n_values:
            counts = usual.counts
            count = counts[-1] if metric == "unseen_share" else counts[0] + counts[-1]
            threshold = min(threshold + int(count) / usual.n_values, 1.0)
    return threshold, source, None if value is None else value > threshold


def _volume(facts, thresholds):
    (low, high), source = declared(thresholds, "volume_ratio")
    usual = median(facts.usual_rows) if len(facts.usual_rows) >= 2 else 0
    if usual <= 0:
        return low, source, None
    ratio = facts.n_rows / usual
    return low if ratio < 1 else high, source, not low <= ratio <= high


def performance(metric, value, low, high, reference, thresholds):
    """(threshold, source, degraded)"""
    bound = thresholds.performance.get(metric)
    if bound is not None and (bound.min is not None or bound.max is not None):
        ends = [end for end in (bound.min, bound.max) if end is not None]
        nearer = ends[0] if value is None else min(ends, key=lambda end: abs(end - value))
        return nearer, "declared", _beyond(value, low, high, bound.min, bound.max)
    better = higher_is_better(metric)
    drop, source = declared(thresholds, "performance_drop")
    if source != "declared":
        return None, "none", None  # the calibrated verdict on the model is repeated; here there is none
    if better is None or reference is None:
        return None, source, None
    loss = drop * abs(reference)
    if better:
        return reference - loss, source, _beyond(value, low, high, reference - loss, None)
    return reference + loss, source, _beyond(value, low, high, None, reference + loss)


def _beyond(value, low, high, least, most):
    if value is None or low is None or high is None:
        return None
    return (least is not None and high < least) or (most is not None and low > most)
