"""Quality metrics of windows that are fine, and of each kind that is not."""

from __future__ import annotations

import numpy as np
import pytest

from monitoring_pipeline.alerting import judge_quality
from monitoring_pipeline.metrics.quality import WindowFacts, measure_quality
from monitoring_pipeline.monitors.declaration import Thresholds
from monitoring_pipeline.records import Contract
from monitoring_pipeline_tests.metrics.counting import (
    categorical,
    categorical_layout,
    numerical,
    numerical_layout,
    profile,
)
from monitoring_pipeline_tests.metrics.reading import rows as read

X = numerical_layout(np.linspace(0, 10, 101))
C = categorical_layout("ab")
REFERENCE = profile(numerical(X, np.linspace(0, 10, 101)), categorical(C, "ab" * 50))


def quality(*columns, reference=REFERENCE, facts=None, thresholds=None, segment="*", mature=True, **kwargs):
    window = profile(*columns, segment=segment)
    found = measure_quality(window, reference, facts or WindowFacts(window.n_rows), **kwargs)
    assert (found.family, found.model_version, found.segment, set(found.keys.roles)) == ("quality", "1", segment, {""})
    assert not np.isinf(found.value).any()
    return read(found, judge_quality(found, thresholds or Thresholds(), mature=mature))


def told(row):
    return row.value, row.flagged


def test_a_window_like_the_reference_violates_nothing():
    rows = quality(
        *REFERENCE.columns,
        facts=WindowFacts(101, usual_rows=(100, 100), freshness_seconds=60.0, coverage=0.95),
    )
    assert not any(row.flagged for row in rows.values())
    assert rows["*", "rows"].value == 101 and rows["*", "freshness_seconds"].value == 60


def test_missing_nan_infinite_and_zero():
    rows = quality(numerical(X, [0.0, 1.0, 2.0, np.nan, np.inf, -np.inf], n_missing=4))
    assert told(rows["x", "missing_share"]) == (0.4, True)
    assert told(rows["x", "nan_share"]) == (0.1, True)
    assert told(rows["x", "inf_share"]) == (0.2, True)
    assert told(rows["x", "zero_share"]) == (0.1, None)


def test_missing_is_judged_by_its_change_unless_pinned():
    used = profile(numerical(X, np.arange(10.0), n_missing=90))
    now = numerical(X, np.arange(10.0), n_missing=92)
    as_ever = quality(now, reference=used)["x", "missing_share"]
    assert (as_ever.threshold, as_ever.source, as_ever.flagged) == (pytest.approx(0.95), "default", False)
    pinned = quality(now, reference=used, thresholds=Thresholds(columns={"x": {"missing_share": 0.5}}))[
        "x", "missing_share"
    ]
    assert (pinned.threshold, pinned.source, pinned.flagged) == (0.5, "declared", True)
    alone = quality(now, reference=None)["x", "missing_share"]
    assert (alone.value, alone.threshold, alone.flagged) == (pytest.approx(92 / 102), None, None)


def test_constant_needs_enough_values_and_a_reference_that_was_not():
    assert told(quality(numerical(X, [3.0] * 20))["x", "constant"]) == (1, True)
    assert told(quality(numerical(X, [3.0] * 19))["x", "constant"]) == (None, None)
    assert told(quality(numerical(X, [3.0] * 20 + [3.1]))["x", "constant"]) == (0, False)
    assert told(quality(categorical(C, "a" * 20))["c", "constant"]) == (1, True)
    assert told(quality(categorical(C, "yz" * 20))["c", "constant"]) == (0, False)  # one bin, two categories
    constant = profile(numerical(X, [3.0] * 20))
    assert told(quality(numerical(X, [3.0] * 30), reference=constant)["x", "constant"]) == (1, False)


def test_a_value_that_most_of_the_reference_has_may_fill_a_window():
    rain = profile(numerical(X, [0.0] * 60 + list(np.linspace(0.1, 10, 40))))
    assert told(quality(numerical(X, [0.0] * 30), reference=rain)["x", "constant"]) == (1, False)
    assert told(quality(numerical(X, [5.0] * 30), reference=rain)["x", "constant"]) == (1, True)


def test_a_segment_tells_what_can_differ_in_it():
    metrics = {metric for _, metric in quality(*REFERENCE.columns, segment="c=a")}
    assert metrics == {"rows", "missing_share", "out_of_range_share", "unseen_share"}


def test_values_the_reference_never_had():
    rows = quality(numerical(X, [-1.0, 0.0, 10.0, 11.0]), categorical(C, "aazz"))
    assert told(rows["x", "out_of_range_share"]) == (0.5, True)
    assert told(rows["c", "unseen_share"]) == (0.5, True)
    pinned = Thresholds(columns={"x": {"out_of_range_share": 0.6}, "c": {"unseen_share": 0.3}})
    rows = quality(numerical(X, [-1.0, 0.0, 10.0, 11.0]), categorical(C, "aaaz"), thresholds=pinned)
    assert not rows["x", "out_of_range_share"].flagged and not rows["c", "unseen_share"].flagged


def test_categories_the_reference_lumped_together_are_not_unseen():
    reference = profile(categorical(C, "ab" * 50 + "z" * 20))
    assert not quality(categorical(C, "ab" * 5 + "z" * 2), reference=reference)["c", "unseen_share"].flagged


@pytest.mark.parametrize(
    ("n", "usual", "ratio", "violated"),
    [(100, (100, 90, 400), 1.0, False), (49, (100, 100), 0.49, True), (201, (100, 100), 2.01, True),
     (9, (100,), None, None), (9, (0, 0), None, None), (0, (100, 100), 0.0, True)],
)  # fmt: skip
def test_volume_against_the_usual(n, usual, ratio, violated):
    row = quality(numerical(X, np.zeros(n)), facts=WindowFacts(n, usual_rows=usual))["*", "volume_ratio"]
    assert told(row) == (ratio, violated)


def test_duplicates_and_quarantine_are_shares_of_what_arrived():
    facts = WindowFacts(90, n_duplicates=4, n_quarantined=6, quarantine={"bad time": 1, "bad number": 5})
    rows = quality(numerical(X, np.zeros(90)), facts=facts)
    assert told(rows["*", "duplicate_share"]) == (0.04, True)
    assert told(rows["*", "quarantined_share"]) == (0.06, True)
    assert rows["*", "quarantined_share"].detail == "bad number: 5, bad time: 1"
    assert rows["*", "duplicate_share"].n == 100


def test_the_contract_names_what_was_met():
    contract = Contract(missing=("c",), extra=("new", "newer"), retyped={"x": "VARCHAR"}, invalid={"x": 5})
    rows = quality(*REFERENCE.columns, facts=WindowFacts(100, contract=contract))
    assert told(rows["c", "column_missing"]) == (1, True) and told(rows["x", "column_missing"]) == (0, False)
    assert told(rows["x", "retyped"]) == (1, True) and rows["x", "retyped"].detail == "VARCHAR"
    assert told(rows["c", "retyped"]) == (0, False)
    assert told(rows["x", "type_violation_share"]) == (0.05, True)
    assert told(rows["*", "column_extra"]) == (2, True) and rows["*", "column_extra"].detail == "new, newer"
    assert rows["*", "column_extra"].threshold == rows["x", "retyped"].threshold == 0
    assert told(quality(*REFERENCE.columns)["*", "column_extra"]) == (0, False)


@pytest.mark.parametrize(
    ("coverage", "mature", "violated"),
    [(0.5, True, True), (0.5, False, None), (0.95, True, False), (None, True, "absent")],
)
def test_label_coverage_is_judged_once_mature(coverage, mature, violated):
    rows = quality(*REFERENCE.columns, facts=WindowFacts(101, coverage=coverage), mature=mature)
    if violated == "absent":
        assert ("*", "label_coverage") not in rows
    else:
        assert told(rows["*", "label_coverage"]) == (coverage, violated)


def test_a_segment_tells_only_what_its_profile_knows():
    rows = quality(numerical(X, [1.0, 2.0], 2), segment="origin=JFK", facts=WindowFacts(1000, n_duplicates=500))
    assert rows["*", "rows"].value == 4
    assert ("*", "duplicate_share") not in rows and ("x", "column_missing") not in rows
    assert told(rows["x", "missing_share"]) == (0.5, True)


def test_an_empty_window_has_metrics_without_values():
    rows = quality(numerical(X, []), categorical(C, ""), facts=WindowFacts(0))
    assert told(rows["*", "rows"]) == (0, None)
    for column, metric in (
        ("x", "missing_share"),
        ("x", "out_of_range_share"),
        ("c", "unseen_share"),
        ("*", "duplicate_share"),
    ):
        assert told(rows[column, metric]) == (None, None)


def test_declared_thresholds_say_so():
    facts = WindowFacts(99, n_duplicates=1)
    row = quality(*REFERENCE.columns, facts=facts, thresholds=Thresholds(duplicate_share=0.005))["*", "duplicate_share"]
    assert (row.threshold, row.source, row.flagged) == (0.005, "declared", True)


def test_what_a_verdict_needs_of_the_reference():
    used = profile(numerical(X, [-1.0] * 2 + [0.0] * 7 + [np.nan], n_missing=10), categorical(C, "ab" * 4 + "zz"))
    rows = quality(numerical(X, [0.0] * 30), categorical(C, "a" * 30), reference=used)
    values = {key: row.reference_value for key, row in rows.items() if row.reference_value is not None}
    assert values == {
        ("x", "missing_share"): 0.5, ("x", "nan_share"): 0.05, ("x", "inf_share"): 0.0, ("c", "missing_share"): 0.0,
        ("x", "out_of_range_share"): pytest.approx(2 / 9), ("c", "unseen_share"): 0.2,
        ("x", "constant"): pytest.approx(7 / 9), ("c", "constant"): 0.4,
    }  # fmt: skip
    assert all(row.reference_value is None for row in quality(numerical(X, [0.0]), reference=None).values())


def test_metrics_of_whole_windows_stand_with_one_version():
    facts = WindowFacts(101, coverage=0.5)
    every, others = (
        quality(*REFERENCE.columns, facts=facts),
        quality(*REFERENCE.columns, facts=facts, about_window=False),
    )
    assert set(every) - set(others) == {key for key in every if key[0] == "*"} and set(others) < set(every)


def test_the_usual_volume_is_told_whenever_it_is_known():
    rows = quality(*REFERENCE.columns, facts=WindowFacts(101, usual_rows=(100, 100)))
    assert rows["*", "volume_ratio"].detail == "101 rows, usually 100"
    assert quality(*REFERENCE.columns)["*", "volume_ratio"].detail is None
