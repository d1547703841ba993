"""Maturity: no order of arrival makes a null stream alarm."""

import numpy as np
import pytest

from benchmarks import detection_streams as streams
from monitoring_pipeline.alerting.performance import PerformanceSettings, calibrate, judge, mature, scores
from monitoring_pipeline_tests.alerting.performance.series import LEVEL

SETTINGS = PerformanceSettings()


@pytest.mark.parametrize(
    ("predictions", "labelled", "rarer", "old", "expected"),
    [
        (1000, 1000, 100, False, True),
        (1000, 990, 100, False, True),
        (1000, 989, 100, False, False),
        (1000, 500, 100, True, True),
        (1000, 980, 490, False, False),  # more of the rarer class than usual do not excuse missing labels
        (1000, 960, np.nan, False, True),
        (1000, 940, np.nan, False, False),
        (0, 0, 0, False, False),
    ],
)
def test_rule(predictions, labelled, rarer, old, expected):
    assert mature(predictions, labelled, rarer, 0.1, old, SETTINGS).item() is expected


@pytest.mark.parametrize("order", ["random", "positives first", "negatives first"])
def test_labels_that_arrive_in_any_order_alarm_nobody(order):
    days, delay, usual = 60, 10, 0.1
    random = np.random.default_rng(40)
    x, evidence = streams.labelled_scores(usual, 3000, "iid", 30 + days, random)
    family = scores.against_reference(x, evidence[:30].sum(0), SETTINGS)
    calibration = calibrate(family, evidence[:30], SETTINGS)
    labelled, positive = scores.sides_of(evidence[30:])
    negative, ever, by_share = labelled - positive, np.zeros(days, bool), np.zeros(days, bool)
    for age in range(1, delay):
        slow, fast = age / delay, 1.0
        of_positive, of_negative = {
            "random": (slow, slow), "positives first": (fast, slow), "negatives first": (slow, fast)
        }[order]  # fmt: skip
        p, n = random.binomial(positive.astype(int), of_positive), random.binomial(negative.astype(int), of_negative)
        seen = np.concatenate((p + n, p), axis=1).astype(float)
        have, all_rows = (p + n).sum(1), labelled.sum(1)
        ready = mature(all_rows, have, np.minimum(p.sum(1), n.sum(1)), usual, False, SETTINGS)
        ever |= np.nan_to_num(judge(calibration, seen[None], ready[None], SETTINGS).p[0], nan=1.0) <= LEVEL
        covered = have >= 0.95 * all_rows
        by_share |= np.nan_to_num(judge(calibration, seen[None], covered[None], SETTINGS).p[0], nan=1.0) <= LEVEL
    assert ever.mean() <= 0.02
    if order == "negatives first":
        assert by_share.mean() > 0.5  # what a labelled share of 95 % would have done
