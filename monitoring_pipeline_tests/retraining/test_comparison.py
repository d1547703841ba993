"""Champion against challenger: the statistics against independent computations, and how often they are wrong."""

from __future__ import annotations

import re

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as sklearn_metrics

from monitoring_pipeline.errors import UserError
from monitoring_pipeline.monitors.retraining import Promotion
from monitoring_pipeline.retraining.comparison import Outputs, PairedRows, compare
from monitoring_pipeline.retraining.comparison.delong import by_days, delong
from monitoring_pipeline.retraining.comparison.paired import difference_in

CLASSES = ("a", "b", "c")


def binary(n: int, n_days: int, seed: int = 0, **segments: np.ndarray) -> PairedRows:
    """Two related scores of one decimal and a half, so that there are ties."""
    rng = np.random.default_rng(seed)
    positive = rng.random(n) < 0.3
    one = rng.normal(positive * 1.0, 1)
    other = one + rng.normal(0, 0.7, n)
    scores = [np.round(1 / (1 + np.exp(-s)), 2) for s in (one, other)]
    outputs = [Outputs((s >= 0.5).astype(float), s[:, None]) for s in scores]
    days = np.sort(np.arange(n) % n_days)
    return PairedRows("binary", positive.astype(float), *outputs, days, ("0", "1"), segments)


def multiclass(n: int, n_days: int, seed: int = 0) -> PairedRows:
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 3, n)
    outputs = []
    for noise in (1.0, 1.5):
        logits = np.eye(3)[truth] + rng.normal(0, noise, (n, 3))
        scores = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        outputs.append(Outputs(scores.argmax(axis=1).astype(float), scores))
    return PairedRows("multiclass", truth.astype(float), *outputs, np.arange(n) % n_days, CLASSES)


def regression(n: int, n_days: int, seed: int = 0) -> PairedRows:
    rng = np.random.default_rng(seed)
    truth = rng.normal(10, 3, n)
    outputs = [Outputs(truth + rng.normal(0.2, noise, n)) for noise in (1.0, 1.2)]
    return PairedRows("regression", truth, *outputs, np.arange(n) % n_days)


# -- DeLong --------------------------------------------------------------------------------------------------------


def kernel(positive: np.ndarray, score: np.ndarray) -> np.ndarray:
    """(P, N): 1 where the positive row is ahead of the negative, a half for a tie."""
    ahead, behind = score[positive][:, None], score[~positive][None, :]
    return (ahead > behind) + 0.5 * (ahead == behind)


@pytest.mark.parametrize("seed", range(4))
def test_delongs_variance_equals_all_pairs_counted(seed: int) -> None:
    """The covariance matrices of the paper, from the kernel of every pair of a positive and a negative row."""
    rows = binary(400, 8, seed)
    positive = rows.outcome == 1
    one, other = (kernel(positive, o.scores[:, 0]) for o in (rows.champion, rows.challenger))
    s10 = np.cov(one.mean(axis=1), other.mean(axis=1))
    s01 = np.cov(one.mean(axis=0), other.mean(axis=0))
    contrast = np.array([-1.0, 1.0])
    variance = contrast @ (s10 / one.shape[0] + s01 / one.shape[1]) @ contrast
    found = delong(positive, rows.champion.scores[:, 0], rows.challenger.scores[:, 0])
    assert found == pytest.approx((other.mean() - one.mean(), variance), abs=1e-10)


@pytest.mark.parametrize("seed", range(4))
def test_the_variance_by_days_equals_all_pairs_counted(seed: int) -> None:
    """A day's part: what its positives and its negatives take part in, of every pair."""
    rows = binary(400, 8, seed)
    positive = rows.outcome == 1
    one, other = (kernel(positive, o.scores[:, 0]) for o in (rows.champion, rows.challenger))
    difference = other - one
    centred = difference - difference.mean()
    day_of_positive, day_of_negative = rows.day[positive], rows.day[~positive]
    parts = [
        centred[day_of_positive == day].sum() / difference.size
        + centred[:, day_of_negative == day].sum() / difference.size
        for day in range(8)
    ]
    variance = 8 / 7 * float(np.square(parts).sum())
    found = by_days(positive, rows.champion.scores[:, 0], rows.challenger.scores[:, 0], rows.day, 0.95)
    half = stats.t.ppf(0.975, 7) * np.sqrt(variance)
    assert found.deviation**2 == pytest.approx(variance, abs=1e-10)
    assert (found.low, found.high) == pytest.approx((difference.mean() - half, difference.mean() + half), abs=1e-10)


def streams(n_pairs: int, gain: float, n_days: int = 28, n_a_day: int = 150):
    """Pairs of models whose errors go with the day; the second has ``gain`` more signal, and is else exchangeable."""
    rng = np.random.default_rng(2013)
    day = np.repeat(np.arange(n_days), n_a_day)
    for _ in range(n_pairs):
        signal, hidden = rng.normal(size=(2, len(day)))
        positive = rng.random(len(day)) < 1 / (1 + np.exp(1.2 - 1.1 * signal - 0.5 * hidden))
        scores = []
        for weight in (0.0, gain):
            of_day = rng.normal(0, 0.18, n_days)[day]  # how the model happens to use the hidden feature on that day
            scores.append(signal + (of_day + weight) * hidden + rng.normal(0, 0.25, len(day)))
        yield positive, *scores, day


def test_equal_models_are_rarely_called_better() -> None:
    """At nominal 2.5 %; taking rows as independent is wrong far more often on the same pairs."""
    by_day, by_row = [], []
    for positive, one, other, day in streams(200, gain=0.0):
        by_day.append(by_days(positive, one, other, day, 0.95).low > 0)
        difference, variance = delong(positive, one, other)
        by_row.append(difference > 1.96 * np.sqrt(variance))
    assert np.mean(by_day) <= 0.08
    assert np.mean(by_row) > 0.08


def test_a_true_gain_is_found() -> None:
    differences = [by_days(*pair, 0.95) for pair in streams(100, gain=0.22)]
    gain = np.mean([d.value for d in differences])
    assert 0.017 < gain < 0.023  # the scene is what it should be
    assert np.mean([d.low > 0 for d in differences]) >= 0.8


# -- other metrics -------------------------------------------------------------------------------------------------


def test_with_days_of_equal_size_it_is_the_paired_t_test_of_the_days() -> None:
    rows = regression(600, 12)
    error = [np.abs(o.prediction - rows.outcome) for o in (rows.champion, rows.challenger)]
    by_day = np.array([(error[0] - error[1])[rows.day == day].mean() for day in range(12)])
    expected = stats.ttest_1samp(by_day, 0).confidence_interval(0.9)
    found = difference_in("mae", rows, 0.9)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-12)
    assert found.value == pytest.approx(error[0].mean() - error[1].mean())


def test_leaving_days_out_agrees_with_delong_by_days() -> None:
    rows = binary(6000, 30)
    exact = difference_in("roc_auc", rows, 0.95)
    as_multiclass = PairedRows(
        "multiclass",
        rows.outcome,
        *(Outputs(o.prediction, np.hstack((1 - o.scores, o.scores))) for o in (rows.champion, rows.challenger)),
        rows.day,
        ("0", "1"),
    )
    left_out = difference_in("roc_auc_macro", as_multiclass, 0.95)
    assert left_out.value == pytest.approx(exact.value, abs=1e-12)
    assert left_out.deviation == pytest.approx(exact.deviation, rel=0.05)


OF_LABELS = {
    "accuracy": sklearn_metrics.accuracy_score,
    "balanced_accuracy": sklearn_metrics.balanced_accuracy_score,
    "mcc": sklearn_metrics.matthews_corrcoef,
}
OF_SCORES = {
    "log_loss": lambda y, p: sklearn_metrics.log_loss(y, np.clip(p, 1e-15, 1 - 1e-15)),
    "brier": sklearn_metrics.brier_score_loss,
    "pr_auc": sklearn_metrics.average_precision_score,
    "roc_auc": sklearn_metrics.roc_auc_score,
}
AVERAGED = {
    "precision": sklearn_metrics.precision_score,
    "recall": sklearn_metrics.recall_score,
    "f1": sklearn_metrics.f1_score,
}
OF_NUMBERS = {
    "mae": sklearn_metrics.mean_absolute_error,
    "rmse": sklearn_metrics.root_mean_squared_error,
    "mape": sklearn_metrics.mean_absolute_percentage_error,
    "r2": sklearn_metrics.r2_score,
}


def values_of(metric: str, rows: PairedRows) -> tuple[float, float]:
    found = difference_in(metric, rows, 0.95)
    return found.champion, found.challenger


def test_values_are_scikit_learns() -> None:
    two, three, numbers = binary(500, 7), multiclass(500, 7), regression(500, 7)
    for name, metric in (OF_LABELS | AVERAGED).items():
        expected = [metric(two.outcome, o.prediction) for o in (two.champion, two.challenger)]
        assert values_of(name, two) == pytest.approx(expected), name
    for name, metric in OF_SCORES.items():
        expected = [metric(two.outcome, o.scores[:, 0]) for o in (two.champion, two.challenger)]
        assert values_of(name, two) == pytest.approx(expected), name
    for name, metric in OF_LABELS.items():
        expected = [metric(three.outcome, o.prediction) for o in (three.champion, three.challenger)]
        assert values_of(name, three) == pytest.approx(expected), name
    for name, metric in AVERAGED.items():
        for average in ("macro", "weighted"):
            expected = [
                metric(three.outcome, o.prediction, average=average) for o in (three.champion, three.challenger)
            ]
            assert values_of(f"{name}_{average}", three) == pytest.approx(expected), (name, average)
    for average in ("macro", "weighted"):
        expected = [
            sklearn_metrics.roc_auc_score(three.outcome, o.scores, average=average, multi_class="ovr")
            for o in (three.champion, three.challenger)
        ]
        assert values_of(f"roc_auc_{average}", three) == pytest.approx(expected), average
    assert values_of("log_loss", three) == pytest.approx(
        [sklearn_metrics.log_loss(three.outcome, o.scores) for o in (three.champion, three.challenger)]
    )
    for name, metric in OF_NUMBERS.items():
        expected = [metric(numbers.outcome, o.prediction) for o in (numbers.champion, numbers.challenger)]
        assert values_of(name, numbers) == pytest.approx(expected), name


@pytest.mark.parametrize("metric", ["roc_auc", "log_loss", "f1", "pr_auc", "expected_calibration_error"])
def test_positive_is_better_and_the_roles_are_opposite(metric: str) -> None:
    rows = binary(600, 9)
    forth = difference_in(metric, rows, 0.95)
    back = difference_in(metric, PairedRows("binary", rows.outcome, rows.challenger, rows.champion, rows.day), 0.95)
    assert (back.value, back.low, back.high) == pytest.approx((-forth.value, -forth.high, -forth.low), abs=1e-12)
    lower_is_better = metric in ("log_loss", "expected_calibration_error")
    assert np.sign(forth.value) == np.sign(
        forth.champion - forth.challenger if lower_is_better else forth.challenger - forth.champion
    )


def test_what_cannot_be_compared_is_said() -> None:
    with pytest.raises(UserError, match=r"retrain.metric: 'bias' is neither good nor bad"):
        difference_in("bias", regression(50, 5), 0.95)
    with pytest.raises(UserError, match=r"'f1_macro' cannot be compared for this task; name one such as roc_auc"):
        difference_in("f1_macro", binary(50, 5), 0.95)
    blind = binary(50, 5)
    blind = PairedRows("binary", blind.outcome, Outputs(blind.champion.prediction), blind.challenger, blind.day)
    with pytest.raises(UserError, match="log_loss needs scores"):
        difference_in("log_loss", blind, 0.95)


# -- the rule and its guards ---------------------------------------------------------------------------------------

EASY = Promotion(least_rows=100, least_days=5)


def scene(gain: float, segments: np.ndarray | None = None, harmed: str = "", n_days: int = 20) -> PairedRows:
    """A challenger with ``gain`` more signal; in segment ``harmed`` it has none at all."""
    rng = np.random.default_rng(5)
    n = 8000
    signal = rng.normal(size=n)
    p = 1 / (1 + np.exp(-1.5 * signal))
    positive = rng.random(n) < p
    one = signal + rng.normal(0, 1, n)
    other = one + gain * (signal - one)
    if segments is not None and harmed:
        other = np.where(segments == harmed, rng.normal(size=n), other)
    outputs = [Outputs((s > 0).astype(float), 1 / (1 + np.exp(-s))[:, None]) for s in (one, other)]
    of = {"s": segments} if segments is not None else {}
    return PairedRows("binary", positive.astype(float), *outputs, np.arange(n) % n_days, ("0", "1"), of)


def test_the_rule() -> None:
    gain, same, loss = scene(0.3), scene(0.0), scene(-0.4)
    better = EASY.model_copy(update={"rule": "better"})
    assert [compare(rows, "roc_auc", EASY).outcome for rows in (gain, same, loss)] == ["promote", "promote", "kept"]
    assert [compare(rows, "roc_auc", better).outcome for rows in (gain, same, loss)] == ["promote", "kept", "kept"]
    assert compare(gain, "roc_auc", better, least_gain=0.5).outcome == "kept"
    said = compare(loss, "roc_auc", EASY)
    assert said.compared[0].verdict == "worse"
    assert "against the champion's" in said.reason and "rule not_worse asks for a lower end above -0.01" in said.reason


@pytest.mark.parametrize(
    ("rows", "promote", "why"),
    [
        (scene(0.3, n_days=4), EASY, "4 days with labelled rows"),
        (scene(0.3, n_days=10), Promotion(least_rows=100), "10 days .* 14 are needed"),
        (scene(0.0), Promotion(least_rows=9000, least_days=5), "8,000 labelled rows .* 9,000 are needed"),
        (scene(0.3, n_days=400).of(np.arange(8000) % 400 < 14), Promotion(), "280 labelled rows .* 5,000 are needed"),
        (scene(0.3).of(scene(0.3).outcome == 1), EASY, "a class is missing"),
        (scene(0.3).of(np.zeros(8000, bool)), EASY, "0 days"),
    ],
)  # fmt: skip
def test_too_little_is_inconclusive(rows: PairedRows, promote: Promotion, why: str) -> None:
    said = compare(rows, "roc_auc", promote)
    assert said.outcome == "inconclusive"
    assert said.compared[0].verdict == "abstained"
    assert re.search(why, said.reason), said.reason


def test_few_rows_show_a_large_gain_as_well_as_many_but_not_that_nothing_is_lost() -> None:
    promote = Promotion(least_days=5)
    few = np.arange(8000) < 2000
    assert compare(scene(0.5).of(few), "roc_auc", promote).outcome == "promote"
    same = compare(scene(0.0).of(few), "roc_auc", promote)
    assert same.outcome == "inconclusive" and "of a challenger that is not surely better" in same.reason


def test_margins_of_errors_are_shares_of_the_champions_value() -> None:
    """So that one default serves minutes and euros."""
    rows = regression(2000, 20)
    outputs = [Outputs(1000 * o.prediction) for o in (rows.challenger, rows.champion)]
    scaled = PairedRows("regression", 1000 * rows.outcome, *outputs, rows.day)
    small = PairedRows("regression", rows.outcome, rows.challenger, rows.champion, rows.day)
    for metric in ("mae", "rmse"):
        one, other = compare(small, metric, EASY), compare(scaled, metric, EASY)
        assert one.compared[0].delta == pytest.approx(0.01 * one.compared[0].difference.champion)
        assert (one.outcome, one.compared[0].verdict) == (other.outcome, other.compared[0].verdict)
        better = EASY.model_copy(update={"rule": "better"})
        assert compare(small, metric, better, least_gain=0.05).outcome == "promote"
        assert compare(small, metric, better, least_gain=0.5).outcome == "kept"


def test_a_shadow_needs_the_days_it_lasts_but_five() -> None:
    rows = scene(0.3, n_days=7)
    promote = Promotion(least_rows=100)
    assert compare(rows, "roc_auc", promote).outcome == "inconclusive"
    assert compare(rows, "roc_auc", promote, shadow=True).outcome == "promote"
    assert compare(scene(0.3, n_days=4), "roc_auc", promote, shadow=True).outcome == "inconclusive"


def test_one_segment_that_is_surely_worse_forbids() -> None:
    segments = np.where(np.arange(8000) % 9 == 0, "s=small", "s=large")
    harmed = scene(0.5, segments, harmed="s=small")
    said = compare(harmed, "roc_auc", EASY)
    assert (
        compare(harmed, "roc_auc", EASY.model_copy(update={"segments": False, "calibration": False})).outcome
        == "promote"
    )
    assert said.outcome == "kept" and "segment s=small is surely worse" in said.reason
    by_segment = {one.segment: one for one in said.compared if one.guard == "segment"}
    assert by_segment["s=small"].verdict == "worse" and by_segment["s=large"].verdict == "better"
    assert by_segment["s=small"].difference.level == pytest.approx(1 - 0.05 / 2)


def test_a_small_segment_abstains_and_costs_the_others_no_level() -> None:
    segments = np.where(np.arange(8000) < 200, "s=tiny", "s=rest")
    said = compare(scene(0.3, segments, harmed="s=tiny"), "roc_auc", EASY)
    by_segment = {one.segment: one for one in said.compared if one.guard == "segment"}
    assert by_segment["s=tiny"].verdict == "abstained" and "200 rows; 300 are needed" in by_segment["s=tiny"].reason
    assert by_segment["s=rest"].difference.level == pytest.approx(0.95)
    assert said.outcome == "promote"


def test_equal_challengers_pass_the_segments() -> None:
    """A rule on the values alone would stop many of them."""
    passed = []
    for number, (positive, one, other, day) in enumerate(streams(40, gain=0.0)):
        outputs = [Outputs((s > 0).astype(float), 1 / (1 + np.exp(-s))[:, None]) for s in (one, other)]
        of = {"s": np.array(["s=0", "s=1", "s=2", "s=3"])[(np.arange(len(day)) + number) % 4]}
        rows = PairedRows("binary", positive.astype(float), *outputs, day, ("0", "1"), of)
        passed.append(not any(one.forbids for one in compare(rows, "roc_auc", EASY).compared if one.guard == "segment"))
    assert np.mean(passed) >= 0.97


def test_scores_that_ceased_to_be_probabilities_forbid() -> None:
    rows = scene(0.3)
    squeezed = Outputs(rows.challenger.prediction, rows.challenger.scores / 3)
    harmed = PairedRows("binary", rows.outcome, rows.champion, squeezed, rows.day, rows.classes)
    said = compare(harmed, "roc_auc", EASY)
    assert said.outcome == "kept" and "calibration is surely worse" in said.reason
    assert compare(harmed, "roc_auc", EASY.model_copy(update={"calibration": False})).outcome == "promote"
