"""Verdicts over a history: that they look back only, what they abstain from, and how often they are wrong and right."""

import json
from dataclasses import fields, replace
from time import process_time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.detection_streams import Change, incidents
from monitoring_pipeline.alerting.performance import (
    Calibration,
    PerformanceSettings,
    calibrate,
    causes,
    decide,
    judge,
    scores,
    stacked,
)
from monitoring_pipeline.alerting.performance import judgement as j
from monitoring_pipeline.alerting.performance.contrasts import taken
from monitoring_pipeline.alerting.performance.judgement import rolling, simes
from monitoring_pipeline_tests.alerting.performance.series import (
    LEVEL,
    SETTINGS,
    alarms,
    all_mature,
    regressed,
    scored,
    verdicts,
)

FIELDS = ("p", "by_contrast", "effect", "horizon", "contrast", "source", "reason", "untrusted")


def assert_prefix(part, whole):
    n = part.p.shape[1]
    for name in FIELDS:
        np.testing.assert_array_equal(getattr(part, name), getattr(whole, name)[:, :n], err_msg=name)


@pytest.mark.parametrize("blocks", [True, False])
def test_window_by_window_gives_what_the_range_gives(blocks):
    calibration, evidence = scored(
        1, 800, "all", windows=75, change=Change("odds", 2.0), since=50, series=2, blocks=blocks
    )
    mature = np.random.default_rng(2).random(evidence.shape[:2]) < 0.9
    uncovered = np.random.default_rng(3).random(evidence.shape[:2]) < 0.1
    whole = judge(calibration, evidence, mature, SETTINGS, uncovered=uncovered, origin=5)
    last = decide([whole], LEVEL)[0]
    for t in range(1, evidence.shape[1] + 1):
        part = judge(calibration, evidence[:, :t], mature[:, :t], SETTINGS, uncovered=uncovered[:, :t], origin=5)
        assert_prefix(part, whole)
    assert (last.status == "alarm").any() and (last.status == "abstained").any()


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 59), st.booleans(), st.integers(0, 30))
def test_later_windows_never_change_earlier_verdicts(seed, cut, blocks, origin):
    calibration, evidence = scored(7, 300, "heavy", windows=60, series=2, blocks=blocks)
    random = np.random.default_rng(seed)
    evidence = evidence * random.integers(0, 2, (2, 60, 1))  # windows without rows
    mature = random.random((2, 60)) < 0.8
    part = judge(calibration, evidence[:, :cut], mature[:, :cut], SETTINGS, origin=origin)
    assert_prefix(part, judge(calibration, evidence, mature, SETTINGS, origin=origin))


@pytest.mark.parametrize("make", [scored, regressed])
@pytest.mark.parametrize("blocks", [True, False])
@pytest.mark.parametrize("cut", [1, 30, 74])
def test_going_on_from_states_needs_no_more_evidence_than_the_longest_merge(make, blocks, cut):
    calibration, evidence = make(1, 800, "all", windows=75, series=2)
    if not blocks:
        calibration = stacked([calibrate(taken(calibration.family, [s]), evidence[:0, 0], SETTINGS) for s in (0, 1)])
    random = np.random.default_rng(3)
    mature, uncovered = random.random((2, 75)) < 0.9, random.random((2, 75)) < 0.1
    whole = judge(calibration, evidence, mature, SETTINGS, uncovered=uncovered, origin=5)
    start = max(0, cut + 1 - max(SETTINGS.horizons))
    part = judge(
        calibration, evidence[:, start:], mature[:, start:], SETTINGS, uncovered=uncovered[:, start:],
        origin=5 + start, first=cut - start, before=whole.state[:, :cut],
    )  # fmt: skip
    for name in (*FIELDS, "state"):
        np.testing.assert_array_equal(
            getattr(part, name)[:, cut - start :], getattr(whole, name)[:, cut:], err_msg=name
        )  # fmt: skip
    why = [
        causes(calibration, evidence[:, at:], mature[:, at:], one, decide([one], LEVEL)[0], LEVEL, SETTINGS)
        for one, at in ((part, start), (whole, 0))
    ]
    np.testing.assert_array_equal(why[0][:, cut - start :], why[1][:, cut:])


def test_states_must_reach_back_to_what_is_merged():
    calibration, evidence = scored(4, 800, windows=20)
    with pytest.raises(ValueError, match="states of 3 windows before window 5"):
        judge(calibration, evidence, all_mature(evidence), SETTINGS, first=5, before=np.zeros((1, 3, 7)))


@pytest.mark.parametrize("make", [scored, regressed])
def test_a_stored_calibration_reads_back_exactly(make):
    calibration, _ = make(2, 500, series=3)
    back = Calibration.from_json(json.loads(json.dumps(calibration.to_json()))).of([2, 0])
    wanted = stacked([calibration.of([2]), calibration.of([0])])
    assert type(back.family) is type(wanted.family) and back.null.source == wanted.null.source
    for part in ("family", "null", "daily"):
        for f in fields(getattr(wanted, part)):
            ours, theirs = (getattr(getattr(one, part), f.name) for one in (back, wanted))
            np.testing.assert_array_equal(ours, theirs, err_msg=f.name, strict=f.name != "source")
    np.testing.assert_array_equal(back.by_day, wanted.by_day)


def test_series_do_not_influence_each_others_tests():
    one, two = scored(4, 800, "all", series=1), scored(5, 800, "all", series=1)
    both = judge(stacked([one[0], two[0]]), np.concatenate((one[1], two[1])), np.ones((2, 60), bool), SETTINGS)
    for s, (calibration, evidence) in enumerate((one, two)):
        np.testing.assert_array_equal(judge(calibration, evidence, all_mature(evidence), SETTINGS).p[0], both.p[s])


def test_lessons_lie_on_the_calendar():
    assert [(s.start, s.stop) for s in j._lessons(40, 14, 0)] == [(0, 14), (14, 28), (28, 40)]
    assert [(s.start, s.stop) for s in j._lessons(40, 14, 10)] == [(0, 4), (4, 18), (18, 32), (32, 40)]
    assert j._lessons(0, 14, 3) == []


def test_a_changed_level_is_found_and_named():
    calibration, evidence = scored(6, 2000, change=Change("odds", 2.0), since=40)
    tests, found = verdicts(calibration, evidence)
    assert (found.status[0, 41:] == "alarm").all() and not (found.status[0, :40] == "alarm").any()
    assert found.contrast[0, 41] == "level" and found.effect[0, 41] == pytest.approx(-np.log(2), abs=0.25)
    assert set(found.source.ravel()) == {"calibrated"} and found.horizon[0, 41] in (1, 2)
    assert (found.q[0] == tests.p[0]).all()


def test_a_lost_ranking_is_found():
    calibration, evidence = scored(7, 5000, change=Change("concept", 0.1), since=40)
    found = verdicts(calibration, evidence)[1]
    assert found.status[0, 41] == "alarm" and found.contrast[0, 41] in ("auc", "slope") and found.effect[0, 41] < 0


@pytest.mark.parametrize(("n", "found"), [(1000, True), (60, False)])
def test_scores_that_became_constant_are_found_where_there_are_enough_rows(n, found):
    calibration, evidence = scored(seed=12, n=n, windows=20)
    labelled, positive = scores.sides_of(evidence[:, -2:])
    constant = np.zeros_like(evidence[:, -2:])
    bins = labelled.shape[-1]
    constant[..., bins // 2], constant[..., bins + bins // 2] = labelled.sum(-1), positive.sum(-1)
    tests, verdict = verdicts(calibration, np.concatenate((evidence[:, :-2], constant), axis=1))
    auc = tests.by_contrast[0, -1, :, 0]
    assert tests.effect[0, -1, 0, 0] == pytest.approx(0.5 - calibration.family.auc[0])
    assert bool(np.nanmin(np.append(auc, 1.0)) < 1e-4) is found
    if found:
        assert (verdict.status[0, -2:] == "alarm").all()
    assert not (verdict.status[0, :-2] == "alarm").any()


def test_a_better_model_alarms_nobody():
    calibration, evidence = scored(8, 5000, change=Change("concept", 0.1), since=0, windows=30)
    worse, better = scored(8, 5000, windows=30)[1], evidence
    random = np.random.default_rng(9)
    family = calibration.family
    half = better.shape[-1] // 2
    steep = 1 / (1 + np.exp(-(1.6 * (family.x[0] - family.x[0].mean()) + family.x[0].mean())))
    worse[..., half:] = random.binomial(worse[..., :half].astype(int), steep)
    tests = judge(calibration, worse, all_mature(worse), SETTINGS)
    by = np.nan_to_num(tests.by_contrast, nan=1.0)
    assert (tests.effect[0, :, 0, 0] > 0.02).all() and (by[..., [0, 2]] > 0.5).all()


def test_errors_of_a_regression():
    calibration, evidence = regressed(10, 1000, scale=1.3, since=40)
    found = verdicts(calibration, evidence)[1]
    assert found.status[0, 41] == "alarm" and found.contrast[0, 41] == "scale"
    calibration, evidence = regressed(11, 1000, bias=-0.4, since=40)
    found = verdicts(calibration, evidence)[1]
    assert found.contrast[0, 41] == "bias" and found.effect[0, 41] == pytest.approx(-0.4, abs=0.1)


def test_below_the_floor_nothing_alarms_however_many_rows():
    calibration, evidence = scored(12, 2_000_000, change=Change("odds", 1.15), since=20, windows=40)
    tests, found = verdicts(calibration, evidence)
    assert (np.abs(tests.effect[0, 20:, 0, 1]) > 0.1).all() and not (found.status == "alarm").any()
    tighter = replace(SETTINGS, level=replace(SETTINGS.level, floor=0.05))
    again = decide([judge(calibration, evidence, all_mature(evidence), tighter)], LEVEL)[0]
    assert (again.status[0, 21:] == "alarm").any()


def test_reasons():
    calibration, evidence = scored(13, 400, windows=6)
    evidence[0, 2] = 0
    evidence[0, 3] *= np.where(np.arange(evidence.shape[2]) < evidence.shape[2] // 2, 1, 0)  # no positives
    mature = np.array([[True, False, True, True, True, True]])
    found = decide([judge(calibration, evidence, mature, SETTINGS)], LEVEL)[0]
    assert found.reason[0, 1] == j.IMMATURE and found.reason[0, 2] == j.NO_LABELS
    assert found.status[0].tolist()[:3] == ["quiet", "abstained", "abstained"]
    assert np.isnan(found.effect[0, 1]) and found.reason[0, 0] == ""


def test_a_small_reference_or_window_is_not_judged():
    few, evidence = scored(14, 12, windows=5)
    assert set(verdicts(few, evidence)[1].reason.ravel()) == {j.SMALL_REFERENCE}
    good, _ = scored(14, 500)
    assert verdicts(good, evidence[:, :1])[1].reason[0, 0] == j.SMALL_WINDOW


def test_declared_contrasts_are_left_to_their_threshold():
    calibration, evidence = scored(15, 2000, change=Change("odds", 2.0), since=40)
    tests, found = verdicts(calibration, evidence, declared=("level",))
    assert np.isnan(tests.by_contrast[..., 1]).all() and tests.tried.tolist() == [8]
    assert "level" not in found.contrast
    every = verdicts(calibration, evidence, declared=("auc", "level", "slope"))[1]
    assert set(every.reason.ravel()) == {j.DECLARED} and (every.status == "abstained").all()


def test_a_level_that_moved_while_labels_are_missing_is_a_notice():
    calibration, evidence = scored(6, 2000, change=Change("odds", 2.0), since=40)
    uncovered = np.zeros((1, 60), bool)
    uncovered[0, 45] = True
    found = verdicts(calibration, evidence, uncovered=uncovered)[1]
    assert found.status[0, 45] == "notice" and found.reason[0, 45] == j.UNCOVERED
    assert found.status[0, 44] == "alarm"


def test_a_budget_of_0_never_alarms():
    calibration, evidence = scored(6, 2000, change=Change("odds", 4.0), since=10)
    assert not (verdicts(calibration, evidence, level=0.0)[1].status == "alarm").any()


def test_all_series_of_a_window_are_one_family():
    calibration, evidence = scored(16, 1500, series=6, change=Change("odds", 1.6), since=40)
    tests = judge(calibration, evidence, all_mature(evidence), SETTINGS)
    half = [
        replace(tests, **{n: getattr(tests, n)[at] for n in (*FIELDS, "tried")}) for at in (slice(0, 3), slice(3, 6))
    ]
    whole, parts = decide([tests], LEVEL)[0], decide(half, LEVEL)
    np.testing.assert_array_equal(whole.q, np.concatenate([one.q for one in parts]))
    assert decide([], LEVEL) == []
    assert (whole.q >= tests.p - 1e-15).all()


def test_an_untimed_reference_learns_from_accepted_windows():
    calibration, evidence = scored(17, 3000, "all", windows=70, blocks=False)
    found = verdicts(calibration, evidence)[1]
    assert (found.source[0, :14] == "provisional").all() and (found.source[0, 28:] == "learnt").all()


def test_a_window_of_most_rows_counts_as_one():
    calibration, evidence = scored(18, 3000, "all", windows=7)
    evidence[0, 6] *= 1000
    merge = j._merge(calibration, evidence, all_mature(evidence), 7, np.ones((1, 3), bool), SETTINGS)
    assert merge.windows[0, 6] == pytest.approx(1, abs=0.05)
    assert merge.windows[0, 5] == pytest.approx(6, abs=0.5)


@given(st.integers(1, 40), st.integers(1, 50))
def test_rolling_sums(n, h):
    x = np.arange(2.0 * n).reshape(1, n, 2) ** 2
    expected = np.stack([x[0, max(0, t - h + 1) : t + 1].sum(0) for t in range(n)])
    np.testing.assert_allclose(rolling(x, h)[0], expected)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_simes_lies_between_the_smallest_p_and_bonferroni(p):
    found = simes(np.array(p), np.array(len(p))).item()
    assert min(p) - 1e-12 <= found <= min(len(p) * min(p), 1) + 1e-12


def test_shapes_that_do_not_fit_are_refused():
    calibration, evidence = scored(19, 300, windows=5)
    with pytest.raises(ValueError, match="maturity"):
        judge(calibration, evidence, np.ones((1, 4), bool), SETTINGS)
    with pytest.raises(ValueError, match="horizons"):
        PerformanceSettings(horizons=(1, 1))
    with pytest.raises(ValueError, match="accept_above"):
        PerformanceSettings(accept_above=0.5)
    with pytest.raises(ValueError, match="no calibrations"):
        stacked([])


@pytest.mark.parametrize("kind", ["iid", "all", "ar", "heavy"])
def test_few_false_incidents(kind):
    """Twelve months of each n: the budget's share is 0.25 a month."""
    months = []
    for n in (300, 1000, 5000, 50_000):
        found = alarms(*scored([20, n], n, kind, windows=90, series=12, base=0.2))
        months.append(sum(incidents(row) for row in found) / (12 * 3))
    assert np.mean(months) <= (0.25 if kind == "heavy" else 0.1)


def test_power():
    def within_two(change, n, kind="iid"):
        return alarms(*scored(21, n, kind, windows=42, change=change, since=40, series=40))[:, 40:].any(1).mean()

    assert within_two(Change("concept", 0.05), 5000) >= 0.9
    assert within_two(Change("concept", 0.1), 1000) >= 0.85
    assert within_two(Change("odds", 2.0), 1000) >= 0.9
    assert within_two(Change("concept", 0.1), 5000, "all") >= 0.95


def test_a_year_of_ten_segments_in_a_second():
    calibration, evidence = scored(22, 1000, "all", windows=365, series=10)
    best = np.inf
    for _ in range(3):
        started = process_time()
        decide([judge(calibration, evidence, all_mature(evidence), SETTINGS)], LEVEL)
        best = min(best, process_time() - started)
    assert best < 1
