"""Performance metrics against scikit-learn on the raw rows, their intervals by simulation, and the edges."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from monitoring_pipeline.measurements import same_values
from monitoring_pipeline.metrics.performance import (
    average_precision,
    classification_at,
    measure_outcome,
    measure_performance,
    roc_auc,
)
from monitoring_pipeline.profiles.layout import OutcomeLayout
from monitoring_pipeline.profiles.outcome import OutcomeProfile
from monitoring_pipeline_tests.metrics.counting import classified, labelled, regressed, score_layout
from monitoring_pipeline_tests.metrics.reading import rows


@pytest.fixture(autouse=True)
def _warnings_are_errors():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def binary(n=4000, seed=0, cut=0.3, sharpness=1.0):
    random = np.random.default_rng(seed)
    scores = random.beta(1.5, 4, n)
    actual = (random.random(n) < np.clip(scores * sharpness, 0, 1)).astype(int)
    return actual, scores, (scores > cut).astype(int)


def three_classes(n=3000, seed=0):
    random = np.random.default_rng(seed)
    scores = random.dirichlet([2.0, 1.0, 0.6], n)
    actual = np.array([random.choice(3, p=row) for row in scores])
    return actual, scores, scores.argmax(axis=1)


def measured(outcome, reference=None):
    found = measure_performance(labelled(outcome), reference and labelled(reference))
    return {metric: row for (_, metric), row in rows(found).items()}


def sound(estimates):
    """What holds for every metric: finite or absent, and inside its own interval."""
    for name, e in estimates.items():
        if e.value is None:
            assert e.low is None and e.high is None, name
            continue
        assert np.isfinite(e.value), name
        if e.low is not None:
            assert np.isfinite([e.low, e.high]).all(), name
            assert e.low <= e.value <= e.high, name
    return estimates


def test_binary_equals_scikit_learn():
    actual, scores, predicted = binary()
    found = sound(measure_outcome(classified(score_layout(scores), actual, scores, predicted)))
    expected = {
        "accuracy": sk.accuracy_score(actual, predicted),
        "balanced_accuracy": sk.balanced_accuracy_score(actual, predicted),
        "mcc": sk.matthews_corrcoef(actual, predicted),
        "log_loss": sk.log_loss(actual, scores),
        "brier": sk.brier_score_loss(actual, scores),
        "calibration_bias": scores.mean() - actual.mean(),
        "positive_rate": actual.mean(),
        "predicted_positive_rate": predicted.mean(),
    }
    for metric, score in (("precision", sk.precision_score), ("recall", sk.recall_score), ("f1", sk.f1_score)):
        expected[metric] = score(actual, predicted)
        for average in ("macro", "weighted"):
            expected[f"{metric}_{average}"] = score(actual, predicted, average=average)
    for (a, b), count in np.ndenumerate(sk.confusion_matrix(actual, predicted)):
        expected[f"confusion[actual={a},predicted={b}]"] = count
    for metric, value in expected.items():
        assert found[metric].value == pytest.approx(value, abs=1e-12), metric
    tenth = np.clip(np.ceil(scores * 10).astype(int) - 1, 0, 9)
    error = sum(abs((actual - scores)[tenth == i].sum()) for i in range(10)) / len(actual)
    assert found["expected_calibration_error"].value == pytest.approx(error, abs=1e-12)
    assert found["reliability[bin=2]"].value == pytest.approx(actual[tenth == 2].mean())
    assert found["mean_score[bin=2]"].value == pytest.approx(scores[tenth == 2].mean())


def test_calibration_bias_tells_the_direction_and_its_interval_is_that_of_a_mean():
    actual, scores, predicted = binary()
    high = np.minimum(scores + 0.1, 1.0)
    found = measure_outcome(classified(score_layout(high), actual, high, predicted))["calibration_bias"]
    each = high - actual
    assert found.value == pytest.approx(each.mean(), abs=1e-12) and found.value > 0.05
    assert found.high - found.value == pytest.approx(
        1.9605573771860272 * each.std(ddof=1) / np.sqrt(len(each)), rel=1e-6
    )
    assert found.n == len(each)


def test_calibration_bias_of_each_class():
    random = np.random.default_rng(3)
    scores = random.dirichlet([1.0, 2.0, 2.0], 3000)
    actual = (random.random(3000)[:, None] > np.cumsum(scores, 1)).sum(1).clip(0, 2)
    outcome = classified(score_layout(scores, ("a", "b", "c")), actual, scores, scores.argmax(1))
    found = measure_outcome(outcome)
    for k, name in enumerate("abc"):
        each = scores[:, k] - (actual == k)
        estimate = found[f"calibration_bias[class={name}]"]
        assert estimate.value == pytest.approx(each.mean(), abs=1e-12)
        assert estimate.high - estimate.value == pytest.approx(1.959964 * each.std() / np.sqrt(3000), rel=0.01)


def test_calibration_bias_without_labels_is_undefined():
    layout = score_layout(binary()[1])
    assert measure_outcome(OutcomeProfile.empty(layout))["calibration_bias"].value is None


def test_areas_lie_within_their_bound_and_closer_in_practice():
    for seed in range(5):
        actual, scores, predicted = binary(seed=seed)
        outcome = classified(score_layout(scores), actual, scores, predicted)
        for area, exact in ((roc_auc, sk.roc_auc_score), (average_precision, sk.average_precision_score)):
            value, bound = area(outcome)
            assert abs(exact(actual, scores) - value) <= min(bound, 1.5e-3)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 1), st.sampled_from([0.0, 0.1, 0.15, 0.2, 0.5, 0.55, 0.9, 1.0])),
        min_size=1,
        max_size=40,
    ),
    st.sets(st.sampled_from([0.05, 0.12, 0.17, 0.3, 0.52, 0.95])),
)
def test_areas_within_their_bound_whatever_the_bins(rows, edges):
    actual, scores = (np.array(x) for x in zip(*rows, strict=True))
    layout = OutcomeLayout("binary", ("0", "1"), ("1",), tuple(sorted(edges)))
    outcome = classified(layout, actual, scores, (scores > 0.5).astype(int))
    found = sound(measure_outcome(outcome))
    for metric, area, exact in (
        ("roc_auc", roc_auc, sk.roc_auc_score),
        ("pr_auc", average_precision, sk.average_precision_score),
    ):
        value, bound = area(outcome)
        if 0 < actual.sum() < len(actual):
            assert abs(exact(actual, scores) - value) <= bound + 1e-9
            assert found[metric].low - 1e-9 <= exact(actual, scores) <= found[metric].high + 1e-9
        else:
            assert found[metric].value is None


def test_any_threshold_is_exact_at_an_edge():
    actual, scores, _ = binary()
    outcome = classified(score_layout(scores), actual, scores, np.zeros_like(actual))
    for threshold in (0.1, 0.25, 0.5, 0.8):
        found = sound(classification_at(outcome, threshold))
        predicted = scores > threshold
        assert found["threshold"].value == threshold
        assert found["f1"].value == pytest.approx(sk.f1_score(actual, predicted), abs=1e-12)
        assert found["mcc"].value == pytest.approx(sk.matthews_corrcoef(actual, predicted), abs=1e-12)
        assert found["balanced_accuracy"].value == pytest.approx(
            sk.balanced_accuracy_score(actual, predicted), abs=1e-12
        )
    with pytest.raises(ValueError, match="binary monitor with a score"):
        classification_at(regressed([1.0], [1.0], [0.0]), 0.5)


def test_a_score_without_predictions_is_cut_at_the_threshold():
    actual, scores, _ = binary()
    older = classified(score_layout(scores), actual, scores, np.full_like(actual, 2))
    missing = replace(older, confusion=np.insert(older.confusion, 2, 0, axis=1))
    for outcome in (older, missing):
        assert measure_outcome(outcome, 0.4)["recall"].value == pytest.approx(
            sk.recall_score(actual, scores > 0.4), abs=1e-12
        )
    unknown = replace(older, confusion=np.insert(older.confusion, 3, 0, axis=1))
    assert measure_outcome(unknown, 0.4)["accuracy"].value == 0  # all predicted, all of a class nobody knows


def test_multiclass_equals_scikit_learn():
    actual, scores, predicted = three_classes()
    found = sound(measure_outcome(classified(score_layout(scores.ravel(), ("a", "b", "c")), actual, scores, predicted)))
    for metric, score in (("precision", sk.precision_score), ("recall", sk.recall_score), ("f1", sk.f1_score)):
        for average in ("macro", "weighted"):
            assert found[f"{metric}_{average}"].value == pytest.approx(
                score(actual, predicted, average=average), abs=1e-12
            )
        for name, value in zip("abc", score(actual, predicted, average=None), strict=True):
            assert found[f"{metric}[class={name}]"].value == pytest.approx(value, abs=1e-12)
    assert found["mcc"].value == pytest.approx(sk.matthews_corrcoef(actual, predicted), abs=1e-12)
    assert found["balanced_accuracy"].value == pytest.approx(sk.balanced_accuracy_score(actual, predicted), abs=1e-12)
    assert found["log_loss"].value == pytest.approx(sk.log_loss(actual, scores), abs=1e-12)
    assert found["brier"].value == pytest.approx(((scores - np.eye(3)[actual]) ** 2).sum(axis=1).mean(), abs=1e-12)
    for average in ("macro", "weighted"):
        area = sk.roc_auc_score(actual, scores, multi_class="ovr", average=average)
        assert found[f"roc_auc_{average}"].value == pytest.approx(area, abs=1e-3)
        precision = sk.average_precision_score(np.eye(3)[actual], scores, average=average)
        assert found[f"pr_auc_{average}"].value == pytest.approx(precision, abs=2e-3)
    assert found["roc_auc[class=b]"].value == pytest.approx(sk.roc_auc_score(actual == 1, scores[:, 1]), abs=1e-3)


def test_an_outcome_of_an_unknown_class_is_an_error_of_the_model():
    layout = OutcomeLayout("multiclass", ("a", "b"))
    confusion = [[8, 1, 0, 3], [0, 9, 0, 0], [2, 0, 0, 0]]  # three rows of class a without a prediction
    found = sound(measure_outcome(replace(OutcomeProfile.empty(layout), confusion=np.array(confusion))))
    assert found["accuracy"].value == 17 / 20
    assert found["precision[class=a]"].value == 8 / 10
    assert found["recall[class=a]"].value == 8 / 9
    assert found["confusion[actual=other,predicted=a]"].value == 2
    actual, predicted = [0] * 9 + [1] * 9 + [2] * 2, [0] * 8 + [1] + [1] * 9 + [0] * 2
    assert found["mcc"].value == pytest.approx(sk.matthews_corrcoef(actual, predicted), abs=1e-12)


def tabled(classes, actual, predicted, columns):
    """A profile of class names without scores; names that are not in ``classes`` go to ``other``, None is missing."""
    layout = OutcomeLayout("binary" if len(classes) == 2 else "multiclass", classes)
    k = len(classes)
    confusion = np.zeros((k + 1, columns), np.int64)
    for a, b in zip(actual, predicted, strict=True):
        column = columns - 1 if b is None else classes.index(b) if b in classes else k
        confusion[classes.index(a) if a in classes else k, column] += 1
    return replace(OutcomeProfile.empty(layout), n_predictions=len(actual), n_labelled=len(actual), confusion=confusion)


def test_predictions_of_an_unknown_class_are_wrong():
    """Half of a day's predictions are ``unknown``: 390 of 1,000 are right, not 390 of 500."""
    actual = ["yes", "no"] * 500
    predicted = [a if i % 50 < 39 else ("no" if a == "yes" else "yes") for i, a in enumerate(actual[:500])]
    found = sound(measure_outcome(tabled(("no", "yes"), actual, predicted + ["unknown"] * 500, 4)))
    assert found["accuracy"].value == 0.39
    assert found["recall"].value == np.mean([p == "yes" for p in predicted[:500:2]]) / 2
    assert found["confusion[actual=no,predicted=other]"].value == 250


NAMES = st.sampled_from(["a", "b", "c", "new"])


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(NAMES, NAMES), min_size=1, max_size=60), st.sampled_from([4, 5]))
def test_unknown_classes_equal_scikit_learn_on_the_names(pairs, columns):
    """Unknown outcomes and unknown predictions are given different names, as nothing tells that they are the same."""
    actual = ["new outcome" if a == "new" else a for a, _ in pairs]
    predicted = ["new prediction" if p == "new" else p for _, p in pairs]
    found = sound(measure_outcome(tabled(("a", "b", "c"), actual, predicted, columns)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = {"accuracy": sk.accuracy_score(actual, predicted)}
        if len(set(actual)) > 1:
            expected["balanced_accuracy"] = sk.balanced_accuracy_score(actual, predicted)
        if len(set(actual)) > 1 and len(set(predicted)) > 1:
            expected["mcc"] = sk.matthews_corrcoef(actual, predicted)
        for metric, score in (("precision", sk.precision_score), ("recall", sk.recall_score), ("f1", sk.f1_score)):
            for average in ("macro", "weighted"):
                expected[f"{metric}_{average}"] = score(actual, predicted, average=average, zero_division=0)
    for metric, value in expected.items():
        assert found[metric].value == pytest.approx(value, abs=1e-12), metric
    for k in "abc":
        for metric, score in (("precision", sk.precision_score), ("recall", sk.recall_score), ("f1", sk.f1_score)):
            value = found[f"{metric}[class={k}]"].value
            if value is not None:
                assert value == pytest.approx(score(actual, predicted, labels=[k], average="macro", zero_division=0))
        assert found[f"positive_rate[class={k}]"].value == pytest.approx(np.mean(np.array(actual) == k))
        assert found[f"predicted_positive_rate[class={k}]"].value == pytest.approx(np.mean(np.array(predicted) == k))
    cells = {name: e.value for name, e in found.items() if name.startswith("confusion")}
    assert sum(cells.values()) == len(pairs)
    right = sum(
        value for name, value in cells.items() if name in {f"confusion[actual={k},predicted={k}]" for k in "abc"}
    )
    assert right == sum(a == p for a, p in zip(actual, predicted, strict=True))


def test_missing_predictions_are_left_out_once_they_are_told_apart():
    found = measure_outcome(tabled(("a", "b"), ["a", "b", "a", "b"], ["a", "b", None, "x"], 4))
    assert found["accuracy"].value == pytest.approx(2 / 3)
    older = measure_outcome(tabled(("a", "b"), ["a", "b", "a", "b"], ["a", "b", None, "x"], 3))
    assert older["accuracy"].value == 0.5


def test_intervals_hold_the_truth_when_a_class_is_unknown():
    """A quarter of the predictions and a tenth of the outcomes are of classes the layout lacks."""
    share = np.array(
        [[0.30, 0.05, 0.05, 0.15], [0.05, 0.10, 0.02, 0.05], [0.02, 0.03, 0.05, 0.03], [0.05, 0.03, 0.02, 0]]
    )
    layout = OutcomeLayout("multiclass", ("a", "b", "c"))

    def draw(seed, n=300):
        counts = np.random.default_rng(seed).multinomial(n, share.ravel()).reshape(share.shape)
        return replace(OutcomeProfile.empty(layout), n_labelled=n, confusion=counts)

    exact = replace(OutcomeProfile.empty(layout), confusion=np.round(share * 1e6).astype(int))
    truth = {k: e.value for k, e in measure_outcome(exact).items()}
    metrics = [f"{m}_{a}" for m in ("precision", "recall", "f1") for a in ("macro", "weighted")]
    for metric, held in coverage(draw, truth, ["accuracy", "balanced_accuracy", "mcc", *metrics]).items():
        assert 0.91 <= held <= 0.995, metric


def numbers(n=3000, seed=0):
    random = np.random.default_rng(seed)
    actual = random.gamma(2.0, 10.0, n) + 1000
    return actual, actual + random.normal(1.0, 6.0, n) * (1 + (actual - 1000) / 40)


def test_regression_equals_scikit_learn():
    actual, predicted = numbers()
    outcome = regressed(actual, predicted)
    found = sound(measure_outcome(outcome))
    expected = {
        "mae": sk.mean_absolute_error(actual, predicted),
        "rmse": sk.root_mean_squared_error(actual, predicted),
        "mape": sk.mean_absolute_percentage_error(actual, predicted),
        "bias": (predicted - actual).mean(),
        "r2": sk.r2_score(actual, predicted),
    }
    for metric, value in expected.items():
        assert found[metric].value == pytest.approx(value, rel=1e-10), metric
    for q in (5, 25, 50, 75, 95):
        exact, e = np.quantile(predicted - actual, q / 100), found[f"error_p{q:02d}"]
        assert e.low <= exact <= e.high
        width = max(np.diff(outcome.layout.error_edges))
        assert e.value == pytest.approx(exact, abs=width)


def test_errors_beyond_the_outer_edges_are_still_covered():
    actual, predicted = numbers(400)
    found = sound(measure_outcome(regressed(actual, predicted, edges=[0.0, 1.0])))
    for q in (5, 95):
        e = found[f"error_p{q:02d}"]
        assert e.low <= np.quantile(predicted - actual, q / 100) <= e.high


def coverage(draw, truth, metrics, runs=250):
    """Share of runs whose interval holds the truth."""
    held = dict.fromkeys(metrics, 0)
    for seed in range(runs):
        found = measure_outcome(draw(seed))
        for metric in metrics:
            held[metric] += found[metric].low <= truth[metric] <= found[metric].high
    return {metric: count / runs for metric, count in held.items()}


def test_binary_intervals_hold_the_truth_nineteen_times_in_twenty():
    actual, scores, predicted = binary(400_000, seed=99)
    layout = score_layout(scores[:5000])
    truth = {k: e.value for k, e in measure_outcome(classified(layout, actual, scores, predicted)).items()}
    metrics = (
        "accuracy", "balanced_accuracy", "precision", "recall", "f1", "f1_macro", "f1_weighted", "precision_macro",
        "precision_weighted", "recall_weighted", "mcc", "roc_auc", "pr_auc", "brier", "log_loss",
    )  # fmt: skip
    for metric, share in coverage(lambda s: classified(layout, *binary(300, seed=s)), truth, metrics).items():
        assert 0.91 <= share <= 0.995, metric


def test_calibration_intervals_hold_the_error_of_a_miscalibrated_score():
    actual, scores, predicted = binary(400_000, seed=99, sharpness=1.6)
    layout = score_layout(scores[:5000])
    truth = {k: e.value for k, e in measure_outcome(classified(layout, actual, scores, predicted)).items()}
    draw = lambda s: classified(layout, *binary(600, seed=s, sharpness=1.6))  # noqa: E731
    share = coverage(draw, truth, ["expected_calibration_error"], 150)["expected_calibration_error"]
    assert share >= 0.9


def test_regression_intervals_hold_the_truth():
    truth = {k: e.value for k, e in measure_outcome(regressed(*numbers(400_000, seed=99))).items()}
    edges = np.arange(-60, 61, 2)
    metrics = ("mae", "rmse", "mape", "bias", "r2", "error_p05", "error_p50", "error_p95")
    shares = coverage(lambda s: regressed(*numbers(500, seed=s), edges=edges, centre=1020.0), truth, metrics)
    for metric, share in shares.items():
        assert share >= (0.9 if metric in ("r2", "rmse") else 0.92), metric


EMPTY = {
    "binary": OutcomeLayout("binary", ("0", "1"), ("1",), (0.25, 0.5, 0.75)),
    "binary without score": OutcomeLayout("binary", ("0", "1")),
    "multiclass": OutcomeLayout("multiclass", ("a", "b", "c"), ("a", "b", "c"), (0.5,)),
    "regression": OutcomeLayout("regression", error_edges=(-1.0, 1.0)),
    "regression without edges": OutcomeLayout("regression"),
}


@pytest.mark.parametrize("layout", EMPTY.values(), ids=EMPTY)
def test_without_labels_every_metric_is_undefined(layout):
    found = measure_performance(labelled(OutcomeProfile.empty(layout)), None)
    assert found.value.size and found.n_labelled == 0
    for array in (found.value, found.low, found.high, found.reference_value):
        assert np.isnan(array).all()
    assert not found.n.any()


@pytest.mark.parametrize("actual", [0, 1])
@pytest.mark.parametrize("n", [1, 50])
def test_one_class_only(actual, n):
    scores = np.linspace(0.1, 0.9, n)
    found = sound(measure_outcome(classified(score_layout(scores), [actual] * n, scores, [actual] * n)))
    assert found["accuracy"].value == 1
    for metric in ("roc_auc", "pr_auc", "mcc", "balanced_accuracy"):
        assert found[metric].value is None, metric
    assert (found["recall"].value is None) == (actual == 0)


def test_one_score_for_all_and_a_perfect_one():
    actual = np.array([0, 1] * 50)
    same = sound(measure_outcome(classified(EMPTY["binary"], actual, np.full(100, 0.6), np.ones(100))))
    assert same["roc_auc"].value == 0.5 and same["mcc"].value is None
    perfect = sound(measure_outcome(classified(EMPTY["binary"], actual, actual * 0.8 + 0.1, actual)))
    for metric in ("roc_auc", "pr_auc", "f1", "mcc", "balanced_accuracy", "f1_macro"):
        assert perfect[metric].value == pytest.approx(1, abs=1e-12)
        assert perfect[metric].low < 1, f"{metric}: a hundred rows do not make certain"


@pytest.mark.parametrize("score", [0.0, 0.137, 0.6, 1.0])
def test_a_constant_score_ranks_nothing_and_is_sure_of_it(score):
    def at(n):
        actual = (np.arange(n) % 5 == 0).astype(int)
        return sound(measure_outcome(classified(EMPTY["binary"], actual, np.full(n, score), np.ones(n))))

    for metric, value in (("roc_auc", 0.5), ("pr_auc", 0.2)):
        widths = []
        for n in (5, 100, 2000, 100_000):
            found = at(n)[metric]
            assert found.value == pytest.approx(value, abs=1e-12)
            widths.append(found.high - found.low)
        assert widths[0] > 0.7, f"{metric}: five rows with one score do not say that all rows have it"
        assert widths == sorted(widths, reverse=True) and widths[2] < 0.06 and widths[3] < 0.006


def test_a_constant_score_of_each_class():
    n = 3000
    scores = np.tile([0.2, 0.5, 0.3], (n, 1))
    found = sound(measure_outcome(classified(EMPTY["multiclass"], np.arange(n) % 3, scores, np.ones(n))))
    for metric in ("roc_auc[class=a]", "roc_auc[class=b]", "roc_auc_macro", "roc_auc_weighted"):
        assert found[metric].value == 0.5 and found[metric].high - found[metric].low < 0.02


def test_areas_of_few_scores_are_exact_and_those_of_nearly_equal_ones_are_not():
    random = np.random.default_rng(4)
    leaves = random.choice([0.11, 0.234, 0.5, 0.77], 4000)
    actual = (random.random(4000) < leaves).astype(int)
    layout = score_layout(random.random(500))
    outcome = classified(layout, actual, leaves, np.ones(4000))
    for area, exact in ((roc_auc, sk.roc_auc_score), (average_precision, sk.average_precision_score)):
        value, bound = area(outcome)
        assert value == pytest.approx(exact(actual, leaves), abs=1e-12) and bound == 0
    nearly = np.float64(np.float32(0.3)) + 3e-8 * actual  # one digit of single precision apart, and a perfect ranking
    value, bound = roc_auc(classified(layout, actual, nearly, np.ones(4000)))
    assert (value, bound) == (0.5, 0.5)


def test_one_row_and_constant_outcomes_of_a_regression():
    one = sound(measure_outcome(regressed([0.0], [2.0], [0.0])))
    assert (one["mae"].value, one["rmse"].value, one["bias"].value) == (2, 2, 2)
    assert one["r2"].value is None and one["mape"].value is None
    constant = sound(measure_outcome(regressed([1e9] * 5, [1e9 + 1] * 5, [0.0])))
    assert constant["r2"].value is None and constant["rmse"].value == 1


def test_counts_of_many_windows_and_huge_numbers():
    outcome = classified(EMPTY["binary"], [0, 1, 1, 0], [0.1, 0.6, 0.9, 0.3], [0, 1, 1, 1])
    for _ in range(40):
        outcome = outcome.merge(outcome)  # 4e12 rows
    found = sound(measure_outcome(outcome))
    assert found["f1"].value == pytest.approx(0.8) and found["f1"].high - found["f1"].low < 1e-5


def test_overflowed_sums_are_undefined_rather_than_infinite():
    with np.errstate(over="ignore", invalid="ignore"):
        outcome = regressed([1e150, 2.0], [-1e150, 1.0], [0.0], centre=0.0)
    sound(measure_outcome(outcome))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 80), st.integers(1, 80))
def test_merged_windows_measure_as_the_whole(seed, n, m):
    actual, scores, predicted = binary(n + m, seed)
    layout = EMPTY["binary"]
    whole = measure_outcome(classified(layout, actual, scores, predicted))
    halves = [classified(layout, actual[s], scores[s], predicted[s]) for s in (slice(n), slice(n, None))]
    merged = sound(measure_outcome(halves[0].merge(halves[1])))
    assert set(whole) == set(merged)
    for metric, e in whole.items():
        assert merged[metric].value == (None if e.value is None else pytest.approx(e.value, abs=1e-12)), metric
        assert merged[metric].low == (None if e.low is None else pytest.approx(e.low, abs=1e-9)), metric


def test_a_measurement_carries_the_references_values_and_sizes():
    outcome = classified(score_layout(binary()[1]), *binary())
    now = classified(outcome.layout, *binary(500, seed=3))
    found = measure_performance(labelled(now), labelled(outcome))
    assert (found.family, found.n_predictions, found.n_labelled) == ("realized", 500, 500)
    by_metric = measured(now, outcome)
    estimates, usual = measure_outcome(now), measure_outcome(outcome)
    for metric, row in by_metric.items():
        e = estimates[metric]
        assert (row.value, row.low, row.high) == (e.value, e.low, e.high)
        assert row.reference_value == (usual[metric].value if metric in usual else None)
        assert row.n == (e.n if metric.startswith(("reliability", "mean_score")) else 500)
    assert all(row.reference_value is None for row in measured(now).values())


def test_the_same_counts_give_the_same_measurement():
    outcome = labelled(classified(score_layout(binary()[1]), *binary()))
    once, again = measure_performance(outcome, None), measure_performance(outcome, None)
    assert same_values(once, again) and once.keys is again.keys
