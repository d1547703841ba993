"""Estimates beside NannyML's published values, beside known outcomes, and their intervals."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.isotonic import isotonic_regression

from monitoring_pipeline.metrics.estimation.calibrator import calibrated
from monitoring_pipeline.metrics.estimation.classification import expected_metrics, score_model
from monitoring_pipeline.metrics.estimation.errors import expected_errors
from monitoring_pipeline.metrics.estimation.estimates import known_values
from monitoring_pipeline.metrics.estimation.own_record import Past, widened
from monitoring_pipeline.metrics.performance.intervals import Estimate
from monitoring_pipeline.profiles.layout import OutcomeLayout
from monitoring_pipeline.profiles.outcome import OutcomeProfile
from monitoring_pipeline.profiles.parts.bins import LabelledBins

CAR_LOAN = Path(__file__).parent / "data" / "car_loan.csv"
# NannyML 0.13.1, CBPE on its car-loan data, chunks of 5,000 rows
NANNYML = {
    "roc_auc": [
        *(0.970744, 0.971011, 0.971407, 0.971091, 0.971123, 0.96109, 0.961825, 0.961073, 0.962533, 0.961316),
    ],
    "accuracy": [
        *(0.941792, 0.943321, 0.945492, 0.944816, 0.944645, 0.910714, 0.911149, 0.911193, 0.914389, 0.911731),
    ],
    "f1": [0.94303, 0.941324, 0.943574, 0.943159, 0.944204, 0.911753, 0.911766, 0.911661, 0.913763, 0.914751],
    "precision": [
        *(0.957786, 0.957956, 0.958275, 0.956998, 0.958208, 0.941318, 0.941868, 0.939413, 0.943347, 0.941133),
    ],
    "recall": [0.928723, 0.925261, 0.929317, 0.929713, 0.930604, 0.88399, 0.883528, 0.885501, 0.885978, 0.889808],
}  # fmt: skip


def counted(
    layout: OutcomeLayout, score: np.ndarray, predicted: np.ndarray, rows: np.ndarray, positive: np.ndarray
) -> tuple[OutcomeProfile, np.ndarray]:
    """A binary outcome profile of groups of rows, and their prediction bins (1, B, 4)."""
    bins = np.searchsorted(layout.score_edges, score)
    n_bins = len(layout.score_edges) + 1
    counts = np.zeros((1, n_bins, 4), np.int64)
    np.add.at(counts[0], (bins, predicted), rows)

    def summed(weights: np.ndarray) -> np.ndarray:
        return np.bincount(bins, weights, n_bins)[None, :]

    confusion = np.zeros((3, 4), np.int64)
    for outcome, of in ((0, rows - positive), (1, positive)):
        np.add.at(confusion[outcome], predicted, of)
    labelled, hits = summed(rows).astype(np.int64), summed(positive).astype(np.int64)
    sums, n = summed(rows * score), int(rows.sum())
    squares = positive * (1 - score) ** 2 + (rows - positive) * score**2
    losses = -positive * np.log(score) - (rows - positive) * np.log1p(-score)
    of_scores = np.array([squares.sum(), 0.0, losses.sum(), 0.0])
    profile = OutcomeProfile(
        layout, n, n, n, 0, labelled, sums, labelled, hits, sums, confusion, np.zeros(0, np.int64), of_scores
    )
    return profile, counts


def binary_layout(edges: np.ndarray) -> OutcomeLayout:
    return OutcomeLayout("binary", ("0", "1"), ("1",), tuple(edges.tolist()))


def test_cbpe_equals_nannymls_published_values() -> None:
    rows = pd.read_csv(CAR_LOAN)
    layout = binary_layout(np.arange(0.005, 1, 0.01))

    def of(chunk: int) -> tuple[OutcomeProfile, np.ndarray]:
        g = rows[rows["chunk"] == chunk]
        score = g["score"].clip(1e-9, 1 - 1e-9).to_numpy()
        return counted(layout, score, g["predicted"].to_numpy(), g["rows"].to_numpy(), g["positive"].to_numpy())

    model = score_model(of(0)[0])
    found = [expected_metrics(model, of(chunk)[1], OutcomeProfile.empty(layout)) for chunk in range(1, 11)]
    for metric, published in NANNYML.items():
        assert [one[metric].value for one in found] == pytest.approx(published, abs=1e-4), metric


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), min_size=1, max_size=30))
def test_pooling_is_sklearns_isotonic_regression(bins: list[tuple[int, int]]) -> None:
    n = np.array([max(a, b) for a, b in bins], float)
    k = np.array([min(a, b) for a, b in bins], float)
    held = n > 0
    if not held.any():
        with pytest.raises(ValueError, match="no labelled row"):
            calibrated(n, k)
        return
    found = calibrated(n, k)
    assert found.share[held] == pytest.approx(isotonic_regression(k[held] / n[held], sample_weight=n[held]), abs=1e-12)
    assert np.all(np.diff(found.share) >= -1e-12)
    assert found.n.sum() == n.sum()


def stream(rng: np.random.Generator, n: int, layout: OutcomeLayout) -> tuple[OutcomeProfile, np.ndarray]:
    score = rng.beta(1.5, 3, n).clip(0.001, 0.999)
    truth = rng.random(n) < score
    return counted(layout, score, (score > 0.4).astype(int), np.ones(n, np.int64), truth.astype(np.int64))


def test_intervals_hold_what_is_realized_where_the_concept_stands() -> None:
    rng, layout = np.random.default_rng(5), binary_layout(np.linspace(0.01, 0.99, 99))
    metrics = ("roc_auc", "pr_auc", "accuracy", "precision", "recall", "f1", "mcc", "log_loss", "brier")
    hits: dict[str, list[bool]] = {metric: [] for metric in metrics}
    for _ in range(15):
        model = score_model(stream(rng, 6000, layout)[0])
        for _ in range(10):
            window, counts = stream(rng, 1500, layout)
            estimated, realized = expected_metrics(model, counts, OutcomeProfile.empty(layout)), known_values(window)
            for metric in metrics:
                e, r = estimated[metric], realized[metric].value
                assert e.value is not None and e.low is not None and e.high is not None and r is not None
                hits[metric].append(e.low <= r <= e.high)
    share = {metric: np.mean(each) for metric, each in hits.items()}
    assert all(0.89 <= value <= 1.0 for value in share.values()), share
    assert np.mean(list(share.values())) == pytest.approx(0.95, abs=0.03)


def test_a_constant_score_is_estimated_as_guessing() -> None:
    layout = binary_layout(np.array([0.3, 0.6]))
    one = np.array([50])
    reference, counts = counted(layout, np.array([0.5]), np.array([0]), one, np.array([20]))
    found = expected_metrics(score_model(reference), counts, OutcomeProfile.empty(layout))
    assert found["roc_auc"].value == 0.5
    assert found["accuracy"].value == pytest.approx(0.6)
    assert found["precision"].value is None


def estimate(value: float, half: float = 0.02) -> Estimate:
    return Estimate(value, value - half, value + half, 0)


def test_a_bad_record_widens_the_interval_and_a_good_one_does_not() -> None:
    def record(gap: float, n: int) -> list[Past]:
        return [Past({"roc_auc": estimate(0.8)}, {"roc_auc": estimate(0.8 + gap)}, 1.0)] * n

    now = {"roc_auc": estimate(0.8)}
    assert widened(now, record(0.005, 12)) == now
    assert widened(now, record(0.1, 3)) == now
    wide = widened(now, record(0.1, 12))["roc_auc"]
    assert wide.low is not None and wide.low < 0.8 - 1.9 * 0.1
    assert widened(now, [*record(0.5, 5), *record(0.1, 12)])["roc_auc"] == wide, "the last twelve count"


def test_expected_errors_follow_the_predictions() -> None:
    n = np.array([0, 100, 100, 0])
    size = np.array([0.0, 1.0, 3.0, 0.0]) * n
    bins = LabelledBins(
        np.zeros(0, np.int64), np.zeros(0, np.int64), n, np.stack([size, 0 * size, size**2 / 100, size])
    )
    found = expected_errors(bins, np.array([30.0, 10.0, 0.0]))
    assert found["mae"].value == pytest.approx(1.5)
    assert found["rmse"].value == pytest.approx(3.0**0.5)
    assert found["bias"].value == 0.0
    assert expected_errors(bins, np.zeros(3)) == {}
