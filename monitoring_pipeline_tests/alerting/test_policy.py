"""What the policy's version follows, when labels are complete enough, and what a year of verdicts costs."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from monitoring_pipeline.alerting import is_mature, judge_drift, policy_version
from monitoring_pipeline.alerting import policy as policy_module
from monitoring_pipeline.metrics.drift import measure_drift
from monitoring_pipeline.monitors.declaration import Labels, Monitor, Thresholds
from monitoring_pipeline.windows import Window
from monitoring_pipeline_tests.metrics.counting import categorical, categorical_layout, numerical, numerical_layout

DAY = Window.from_key("2013-04-01", "day")


def monitor(**changes):
    declared = {
        "name": "m", "task": "binary", "schema": {"prediction_id": "id", "event_time": "t", "score": "s"},
        "predictions": {"path": "a.csv"}, "reference": {"path": "b.csv"}, "start": "2013-01-01",
    }  # fmt: skip
    return Monitor.model_validate(declared | changes)


def test_the_policy_version_follows_thresholds_and_labels_and_nothing_else():
    base = policy_version(monitor())
    assert len(base) == 12 and int(base, 16) >= 0
    assert policy_version(monitor()) == base
    assert policy_version(monitor(description="another", bins=7, baselines=["seasonal"], start="2014-01-01")) == base
    others = {
        policy_version(monitor(thresholds={"drift": {"psi": 0.3}})),
        policy_version(monitor(thresholds={"columns": {"s": {"missing_share": 0.3}}})),
        policy_version(monitor(thresholds={"performance": {"roc_auc": {"min": 0.6}}})),
        policy_version(monitor(thresholds={"drift_alpha": 0.001})),  # the default, but now a verdict says `declared`
        policy_version(monitor(labels={"max_delay": "3d"})),
    }
    assert len(others) == 5 and base not in others


def test_a_changed_rule_changes_the_policy_version(monkeypatch):
    base = policy_version(monitor())
    monkeypatch.setattr(policy_module, "POLICY", policy_module.POLICY + 1)
    assert policy_version(monitor()) != base


@pytest.mark.parametrize(
    ("coverage", "age", "mature"),
    [(1.0, 0, True), (0.99, 0, False), (None, 0, False), (0.0, 7, True), (None, 7, True), (0.5, 6.9, False)],
)
def test_a_window_is_mature_when_labelled_throughout_or_old(coverage, age, mature):
    assert is_mature(Labels(), DAY, coverage, DAY.end + timedelta(days=age)) is mature


def test_maturity_goes_by_the_clock():
    assert is_mature(Labels(), DAY, 0.0)
    now = datetime.now(UTC)
    assert not is_mature(Labels(), Window(now - timedelta(days=1), now), 0.0)


def test_a_year_is_judged_in_well_under_a_second():
    """365 windows × 2 baselines × 5 segments of 28 columns, each with all methods of its kind."""
    random = np.random.default_rng(0)
    sides = []
    for size in (3000, 500):
        x = random.normal(0, 1, (20, size))
        sides.append(
            [numerical(numerical_layout(np.linspace(-3, 3, 500), name=f"x{i}"), x[i]) for i in range(20)]
            + [categorical(categorical_layout("abc", name=f"c{i}"), random.choice(list("abc"), size)) for i in range(8)]
        )
    measurement = measure_drift(*sides, model_version="1", baseline="training", segment="*")
    assert len(measurement.keys) == 28 * 9
    begin = time.process_time()
    for _ in range(365 * 2 * 5):
        judge_drift(measurement, DEFAULT)
    assert time.process_time() - begin < 1.0


DEFAULT = Thresholds()
