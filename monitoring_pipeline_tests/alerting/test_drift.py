"""Drift verdicts on cases made by hand and, on random profiles, against the plain rules."""

from __future__ import annotations

import numpy as np
import pytest

from monitoring_pipeline.alerting import NOT_JUDGED, judge_drift
from monitoring_pipeline.alerting.drift.judgement import ABSTAINED, ALARM, NOTICE, QUIET
from monitoring_pipeline.alerting.drift.methods import ColumnStatus, pinned_status
from monitoring_pipeline.measurements import Measurement, metric_keys
from monitoring_pipeline.metrics.drift import measure_drift
from monitoring_pipeline.metrics.quality import WindowFacts, measure_quality
from monitoring_pipeline.monitors.declaration import Thresholds
from monitoring_pipeline_tests.alerting import plain_verdicts
from monitoring_pipeline_tests.alerting.random_profiles import some_thresholds, two_sides
from monitoring_pipeline_tests.metrics.counting import numerical, numerical_layout, profile
from monitoring_pipeline_tests.metrics.reading import rows

PINNED = Thresholds(drift={"psi": 0.2, "chi_square": 0.05, "wasserstein": 0.1})


def measured(reference, current, **kwargs):
    return measure_drift(reference, current, model_version="1", baseline="training", segment="*", **kwargs)


def handmade(*positions):
    """Positions: (column, role, method, value, p-value, effect)."""
    columns, roles, methods, *numbers = zip(*positions, strict=True)
    value, p_value, effect = np.array(numbers, float)
    n = np.arange(1, len(columns) + 1) * 10
    keys = metric_keys("drift", columns, roles, methods)
    return Measurement("drift", "1", "training", "*", keys, value, n, n + 1, p_value, effect, np.full(len(n), np.nan))


def test_drift_must_be_large_and_significant():
    found = rows(
        m := handmade(
            ("a", "feature", "psi", 0.2, 0.0001, None),
            ("b", "feature", "psi", 0.19, 0.0001, None),
            ("c", "feature", "psi", 0.9, 0.001, None),
            ("d", "feature", "psi", None, None, None),
            ("a", "feature", "chi_square", 900.0, 1e-9, 0.04),
            ("a", "feature", "wasserstein", 0.1, None, None),
        ),
        judge_drift(m, PINNED),
    )
    verdicts = {key: row.flagged for key, row in found.items()}
    assert verdicts == {
        ("a", "psi"): True, ("b", "psi"): False, ("c", "psi"): False, ("d", "psi"): None,
        ("a", "chi_square"): False, ("a", "wasserstein"): True,
    }  # fmt: skip
    assert {row.threshold for row in found.values()} == {0.2, 0.05, 0.1}


def test_the_threshold_of_the_column_then_of_the_monitor_then_none():
    random = np.random.default_rng(0)
    a, b = random.normal(0, 1, 3000), random.normal(0.3, 1.2, 900)
    layout = numerical_layout(a)
    measurement = measured([numerical(layout, a)], [numerical(layout, b)])
    told = {}
    for name, thresholds in {
        "none": Thresholds(),
        "monitor": Thresholds(drift={"psi": 0.01}),
        "column": Thresholds(drift={"psi": 0.01}, columns={"x": {"drift": {"psi": 9.0}}}),
        "another column": Thresholds(columns={"y": {"drift": {"psi": 9.0}}}),
    }.items():
        row = rows(measurement, judge_drift(measurement, thresholds))["x", "psi"]
        told[name] = (row.threshold, row.source, row.flagged)
    assert told["none"] == told["another column"] == (None, "none", None)
    assert told["monitor"] == (0.01, "declared", True)
    assert told["column"] == (9.0, "declared", False)


def test_the_share_of_drifted_columns_counts_features_only():
    measurement = handmade(
        ("still", "feature", "psi", 0.0, 1.0, None),
        ("moves", "feature", "psi", 3.0, 0.0, None),
        ("empty", "feature", "psi", None, None, None),
        ("score", "score", "psi", 3.0, 0.0, None),
        ("still", "feature", "wasserstein", 3.0, None, None),
    )
    share = judge_drift(measurement, Thresholds(drift={"psi": 0.2})).share
    assert (share.value, share.threshold, share.source, share.flagged) == (0.5, 0.3, "default", 1)
    assert (share.n_reference, share.n_current) == (31, 30)
    pinned = judge_drift(measurement, Thresholds(drift={"psi": 0.2}, drifted_columns_share=0.6)).share
    assert (pinned.threshold, pinned.source, pinned.flagged) == (0.6, "declared", 0)


COLUMNS = {
    "alarms": ColumnStatus(ALARM, "calibrated"),
    "season": ColumnStatus(NOTICE, "calibrated-short"),
    "quiet": ColumnStatus(QUIET, "learnt"),
    "few": ColumnStatus(ABSTAINED, "provisional"),
}


def test_every_method_without_a_pinned_threshold_repeats_the_verdict_on_the_column():
    methods = ("psi", "jensen_shannon", "kolmogorov_smirnov")
    named = [(column, "feature", method, 5.0, 0.5, None) for column in COLUMNS for method in methods]
    found = rows(
        m := handmade(*named, ("unknown", "feature", "psi", 5.0, 0.0, None)), judge_drift(m, Thresholds(), COLUMNS)
    )
    assert {row.threshold for row in found.values()} == {None}
    for method in methods:
        assert {column: (found[column, method].source, found[column, method].flagged) for column in COLUMNS} == {
            "alarms": ("calibrated", True), "season": ("calibrated-short", False), "quiet": ("learnt", False),
            "few": ("provisional", None),
        }  # fmt: skip
    assert (found["unknown", "psi"].source, found["unknown", "psi"].flagged) == ("none", None)


def test_an_alarm_of_a_column_is_not_repeated_where_nothing_could_be_measured():
    m = handmade(("alarms", "feature", "psi", None, None, None), ("alarms", "feature", "hellinger", 0.0, 1.0, None))
    found = rows(m, judge_drift(m, Thresholds(), COLUMNS))
    assert found["alarms", "psi"].flagged is None and found["alarms", "hellinger"].flagged is True


def test_a_pinned_threshold_stands_against_the_verdict_on_the_column():
    m = handmade(
        ("alarms", "feature", "psi", 0.1, 0.0, None), ("alarms", "feature", "hellinger", 0.1, 0.0, None),
        ("quiet", "feature", "psi", 0.3, 0.0, None), ("season", "feature", "psi", None, None, None),
    )  # fmt: skip
    verdict = judge_drift(m, Thresholds(drift={"psi": 0.2}), COLUMNS)
    told = {key: (row.threshold, row.source, row.flagged) for key, row in rows(m, verdict).items()}
    assert told == {
        ("alarms", "psi"): (0.2, "declared", False), ("alarms", "hellinger"): (None, "calibrated", True),
        ("quiet", "psi"): (0.2, "declared", True), ("season", "psi"): (0.2, "declared", None),
    }  # fmt: skip
    assert pinned_status(m, verdict) == {"alarms": QUIET, "quiet": ALARM, "season": ABSTAINED}


def test_the_worst_of_several_pinned_methods_decides_the_column():
    m = handmade(("x", "feature", "psi", 0.1, 0.0, None), ("x", "feature", "wasserstein", 0.5, None, None))
    assert pinned_status(m, judge_drift(m, PINNED)) == {"x": ALARM}
    only = Thresholds(columns={"y": {"drift": {"psi": 0.2}}})
    assert pinned_status(m, judge_drift(m, only, COLUMNS)) == {}


def test_the_share_of_drifted_columns_counts_repeated_verdicts_too():
    measurement = handmade(*((column, "feature", "psi", 0.0, 1.0, None) for column in COLUMNS))
    share = judge_drift(measurement, Thresholds(), COLUMNS).share
    assert (share.value, share.flagged) == (pytest.approx(1 / 3), 1), "one of three that were judged"


def test_without_a_judged_feature_there_is_no_share():
    nothing = judge_drift(handmade(("x", "feature", "psi", None, None, None)), Thresholds()).share
    assert np.isnan(nothing.value) and nothing.flagged == NOT_JUDGED
    assert judge_drift(handmade(("x", "feature", "hellinger", 0.5, 0.0, None)), Thresholds()).share is None
    empty = judge_drift(measured([], []), Thresholds())
    assert empty.flagged.size == 0 and empty.share.flagged == NOT_JUDGED


@pytest.mark.parametrize("seed", range(25))
def test_verdicts_equal_the_plain_rules(seed):
    random = np.random.default_rng(seed)
    reference, current = two_sides(random)
    thresholds = some_thresholds(random)
    measurement = measured(reference, current)
    names = sorted(set(measurement.keys.columns))[:-1]  # one is not known
    columns = {name: (int(random.integers(-1, 3)), str(random.choice(["calibrated", "learnt"]))) for name in names}
    verdict = judge_drift(measurement, thresholds, {name: ColumnStatus(*told) for name, told in columns.items()})
    found = rows(measurement, verdict)
    for (column, method), row in found.items():
        tests = [
            found[column, test].p_value for test in ("kolmogorov_smirnov", "psi") if method == "wasserstein" and row.n
        ]
        expected = plain_verdicts.drift(method, column, row.value, row.p_value, row.effect, thresholds, columns, tests)
        assert (row.threshold, row.source, row.flagged) == expected, (column, method)
    judged = [r.flagged for r in found.values() if (r.metric, r.role) == ("psi", "feature") and r.flagged is not None]
    assert verdict.share.value == pytest.approx(sum(judged) / len(judged) if judged else np.nan, nan_ok=True)


def test_a_shared_threshold_array_cannot_be_written_to():
    measurement = handmade(("x", "feature", "psi", 1.0, 0.0, None))
    with pytest.raises(ValueError, match="read-only"):
        judge_drift(measurement, Thresholds()).threshold[0] = 9.0


def test_other_families_are_refused():
    quality = measure_quality(profile(numerical(numerical_layout([0.0, 1.0]), [0.0])), None, WindowFacts(1))
    with pytest.raises(ValueError, match="cannot be judged as drift"):
        judge_drift(quality, Thresholds())
