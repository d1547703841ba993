"""Quality verdicts against the plain rules on random profiles; cases by hand stand beside the metrics."""

from __future__ import annotations

import numpy as np
import pytest

from monitoring_pipeline.alerting import judge_drift, judge_quality
from monitoring_pipeline.metrics.drift import measure_drift
from monitoring_pipeline.metrics.quality import WindowFacts, measure_quality
from monitoring_pipeline.monitors.declaration import Thresholds
from monitoring_pipeline.records import Contract
from monitoring_pipeline_tests.alerting import plain_verdicts
from monitoring_pipeline_tests.alerting.random_profiles import some_facts, some_thresholds, two_sides
from monitoring_pipeline_tests.metrics.counting import numerical, numerical_layout, profile
from monitoring_pipeline_tests.metrics.reading import rows

X = numerical_layout(np.linspace(0, 10, 101))


@pytest.mark.parametrize("seed", range(25))
@pytest.mark.parametrize("segment", ["*", "c=a"])
def test_verdicts_equal_the_plain_rules(seed, segment):
    random = np.random.default_rng(seed)
    before, now = two_sides(random)
    thresholds, facts, mature = some_thresholds(random), some_facts(random), bool(random.random() < 0.5)
    reference = profile(*before[: int(random.choice([0, 4, 7]))])
    measurement = measure_quality(profile(*now, segment=segment), reference, facts)
    found = rows(measurement, judge_quality(measurement, thresholds, mature=mature))
    columns, usual = ({c.layout.name: c for c in side} for side in (now, reference.columns))
    for (name, metric), row in found.items():
        expected = plain_verdicts.quality(
            metric, name, row.value, columns.get(name), usual.get(name), facts, mature, thresholds
        )
        assert (row.threshold, row.source, row.flagged) == expected, (name, metric)


def test_a_column_that_appears_or_changes_its_type_is_violated():
    window = profile(numerical(X, [1.0, 2.0]))
    odd = WindowFacts(2, contract=Contract(extra=("new",), retyped={"x": "VARCHAR"}))
    for facts, violated in ((odd, True), (WindowFacts(2), False)):
        measurement = measure_quality(window, None, facts)
        found = rows(measurement, judge_quality(measurement, Thresholds(), mature=False))
        for key in (("*", "column_extra"), ("x", "retyped")):
            assert (found[key].threshold, found[key].source, found[key].flagged) == (0.0, "default", violated)


def test_a_changed_threshold_changes_verdicts_and_no_measurement():
    window = profile(numerical(X, [1.0, 2.0], n_missing=2))
    measurement = measure_quality(window, window, WindowFacts(4))
    value, reference = measurement.value.copy(), measurement.reference_value.copy()
    strict = Thresholds(columns={"x": {"missing_share": 0.1}})
    flagged = [
        rows(measurement, judge_quality(measurement, t, mature=True))["x", "missing_share"].flagged
        for t in (Thresholds(), strict, Thresholds())
    ]
    assert flagged == [False, True, False]
    assert np.array_equal(measurement.value, value, equal_nan=True)
    assert np.array_equal(measurement.reference_value, reference, equal_nan=True)


def test_other_families_are_refused():
    drift = measure_drift([], [], model_version="1", baseline="training", segment="*")
    assert judge_drift(drift, Thresholds()).flagged.size == 0
    with pytest.raises(ValueError, match="cannot be judged as quality"):
        judge_quality(drift, Thresholds(), mature=True)
