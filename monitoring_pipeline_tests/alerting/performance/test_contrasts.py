"""Each contrast against a direct computation from rows, and where none can be made."""

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.special import expit
from sklearn.metrics import roc_auc_score

from benchmarks import detection_streams as streams
from monitoring_pipeline.alerting.performance import PerformanceSettings, errors, predicted, scores
from monitoring_pipeline.alerting.performance.contrasts import smaller, stack

SETTINGS = PerformanceSettings()


def rows_of(evidence):
    """(bin, outcome) of each row."""
    labelled, positive = (side.astype(int) for side in scores.sides_of(evidence))
    at = np.arange(len(labelled))
    return (
        np.concatenate((np.repeat(at, positive), np.repeat(at, labelled - positive))),
        np.repeat([1, 0], [positive.sum(), (labelled - positive).sum()]),
    )


@pytest.fixture(scope="module")
def stream():
    return streams.labelled_scores(0.2, 800, "all", 40, np.random.default_rng(5))


def delong(at, y):
    """Variances of the placements, row by row (DeLong 1988, equations of V10 and V01)."""
    a, b = at[y == 1], at[y == 0]
    wins = (a[:, None] > b[None]) + 0.5 * (a[:, None] == b[None])
    return wins.mean(), wins.mean(1).var(), wins.mean(0).var()


def test_auc_and_its_variance_are_delongs(stream):
    x, evidence = stream
    reference = evidence[:30].sum(0)
    family = scores.against_reference(x, reference, SETTINGS)
    thinned = np.floor(reference / 20)
    at, y = rows_of(thinned)
    area, xi10, xi01 = delong(at, y)
    found = scores.placed(*(lambda n, p: (p, n - p))(*scores.sides_of(thinned)))
    assert (found[0], *found[1]) == pytest.approx((area, xi10, xi01), rel=1e-12)
    at, y = rows_of(evidence[33])
    c = family.contrasts(evidence[None, 33:34], SETTINGS)
    assert c.value[0, 0, 0] + family.auc[0] == pytest.approx(roc_auc_score(y, at))
    assert c.variance[0, 0, 0] == pytest.approx(
        family.placements[0, 0] / y.sum() + family.placements[0, 1] / (1 - y).sum()
    )


def test_level_and_slope_are_the_score_test_of_the_rows(stream):
    x, evidence = stream
    family = scores.against_reference(x, evidence[:30].sum(0), SETTINGS)
    bins, y = rows_of(evidence[35])
    z, p = x[bins], expit(family.line[0, 0] + family.line[0, 1] * x[bins])
    w = p * (1 - p)
    c = family.contrasts(evidence[None, 35:36], SETTINGS)
    root = 2 * (np.sqrt(y.sum() + 0.25) - np.sqrt(p.sum() + 0.25)) * np.sqrt(p.sum())
    level = min(y.sum() - p.sum(), root, key=abs) / w.sum()
    assert c.value[0, 0, 1] == pytest.approx(level, rel=1e-9)
    assert c.variance[0, 0, 1] == pytest.approx(1 / w.sum(), rel=1e-9)

    def at(moved):
        return expit(family.line[0, 0] + moved + family.line[0, 1] * z)

    p = at(brentq(lambda moved: at(moved).sum() - y.sum(), -3, 3))
    w = p * (1 - p)
    mean = (w * z).sum() / w.sum()
    spread = (w * (z - mean) ** 2).sum()
    slope = ((y - p) * (z - mean)).sum() / spread / family.line[0, 1]
    assert c.value[0, 0, 2] == pytest.approx(slope, rel=1e-4)
    assert c.variance[0, 0, 2] == pytest.approx(1 / spread / family.line[0, 1] ** 2, rel=1e-4)


def test_a_moved_level_is_not_another_slope():
    x, density = streams.scores_axis(0.1)
    labelled = np.round(200_000 * density)
    usual, moved = (np.concatenate((labelled, labelled * expit(x + by))) for by in (0.0, np.log(3)))
    c = scores.against_reference(x, usual, SETTINGS).contrasts(moved[None, None], SETTINGS)
    assert c.value[0, 0, 1] > 0.9 and abs(c.value[0, 0, 2]) < 0.01


def test_the_variances_are_those_of_repeated_draws():
    x, drawn = streams.labelled_scores(0.2, 500, "iid", 3000, np.random.default_rng(6))
    family = scores.against_reference(x, drawn.sum(0), SETTINGS)
    c = family.contrasts(drawn[None], SETTINGS)
    standardized = c.value[0] / np.sqrt(c.variance[0])
    np.testing.assert_allclose(standardized.std(0), 1, atol=0.05)
    np.testing.assert_allclose(standardized.mean(0), 0, atol=0.1)


def test_smaller_keeps_the_sign_and_never_exceeds_the_difference():
    o, e = np.meshgrid(np.arange(0.0, 60), np.arange(0.5, 60))
    found = smaller(o, e)
    assert (np.abs(found) <= np.abs(o - e) + 1e-12).all()
    assert ((found == 0) | (np.sign(found) == np.sign(o - e))).all()


@pytest.mark.parametrize("positive", [0.0, 1.0])
def test_a_reference_of_one_class_is_able_to_nothing(positive):
    x = np.linspace(-3, 3, 20)
    labelled = np.full(20, 100.0)
    family = scores.against_reference(x, np.concatenate((labelled, labelled * positive)), SETTINGS)
    assert not family.able.any()
    c = family.contrasts(np.concatenate((labelled, labelled / 2))[None, None], SETTINGS)
    assert np.isfinite(c.value).all() and np.isfinite(c.variance).all()


def test_a_constant_score_has_a_level_and_no_ranking():
    x = np.linspace(-3, 3, 20)
    labelled = np.zeros(20)
    labelled[7] = 5000
    family = scores.against_reference(x, np.concatenate((labelled, labelled / 5)), SETTINGS)
    assert family.able.tolist() == [[False, True, False]]
    c = family.contrasts(np.concatenate((labelled, labelled / 4))[None, None], SETTINGS)
    assert c.usable[0, 0].tolist() == [True, True, False]
    assert c.value[0, 0, 1] == pytest.approx(np.log((0.25 / 0.75) / (0.2 / 0.8)), rel=0.05)


def test_a_perfect_reference_does_not_make_one_mistake_certain():
    x = np.array([-3.0, 3.0])
    family = scores.against_reference(x, np.array([500.0, 500, 0, 500]), SETTINGS)
    c = family.contrasts(np.array([100.0, 100, 1, 99])[None, None], SETTINGS)
    deviations = abs(c.value[0, 0, 0]) / np.sqrt(c.variance + family.reference_variance)[0, 0, 0]
    assert 0 < deviations < 3


def test_an_empty_window_is_not_usable_and_not_nan(stream):
    x, evidence = stream
    family = scores.against_reference(x, evidence.sum(0), SETTINGS)
    c = family.contrasts(np.zeros((1, 2, evidence.shape[1])), SETTINGS)
    assert not c.usable.any() and np.isfinite(c.value).all() and np.isfinite(c.variance).all()


def test_bias_and_scale_of_errors():
    random = np.random.default_rng(7)
    e, f = random.standard_normal(4000) * 2 + 0.5, random.standard_normal(900) * 3 - 0.1
    sums = [np.array([len(k), k.sum(), np.abs(k).sum(), (k * k).sum()]) for k in (e, f)]
    family = errors.against_reference(sums[0], SETTINGS)
    c = family.contrasts(sums[1][None, None], SETTINGS)
    rmse = np.sqrt((e * e).mean())
    assert c.value[0, 0] == pytest.approx([(f.mean() - e.mean()) / rmse, np.log(np.abs(f).mean() / np.abs(e).mean())])
    ratio = max((f * f).mean() / np.abs(f).mean() ** 2, (e * e).mean() / np.abs(e).mean() ** 2)
    assert c.variance[0, 0] == pytest.approx([max(f.var(), e.var()) / rmse**2 / 900, (ratio - 1) / 900])


def test_errors_that_overflow_or_never_occur():
    with np.errstate(all="raise"):
        perfect = errors.against_reference(np.array([500.0, 0, 0, 0]), SETTINGS)
    assert not perfect.able.any()
    usual = errors.against_reference(np.array([500.0, 0, 400, 500]), SETTINGS)
    c = usual.contrasts(np.array([[[50.0, np.inf, np.inf, np.inf], [50, 0, 0, 0], [0, 0, 0, 0]]]), SETTINGS)
    assert c.usable[0].tolist() == [[False, False], [True, False], [False, False]]
    assert np.isfinite(c.value).all()


def test_error_is_compared_class_by_class():
    reference = np.array([8000.0, 2000, 0, 400, 600, 0])  # classes a, b, other: 5 % and 30 % wrong
    family = predicted.against_reference(reference, SETTINGS)
    assert family.expected[0, :2] == pytest.approx([0.05, 0.3], rel=0.02)
    same, mixed, worse = ([400.0, 100, 0, 20, 30, 0], [250.0, 250, 0, 12.5, 75, 0], [400.0, 100, 0, 40, 60, 0])
    c = family.contrasts(np.array([[same, mixed, worse]]), SETTINGS)
    assert c.value[0, :2, 0] == pytest.approx([0, 0], abs=0.02)  # another mix of predictions is not a worse model
    assert c.value[0, 2, 0] > 0.9
    unknown = family.contrasts(np.array([[[400.0, 50, 50, 20, 15, 50]]]), SETTINGS)
    assert unknown.value[0, 0, 0] > 0.5  # predictions of a class that the reference lacks are errors


def test_macro_is_the_mean_of_the_classes():
    random = np.random.default_rng(8)
    drawn = [streams.labelled_scores(b, 900, "iid", 20, random) for b in (0.2, 0.3, 0.5)]
    families = [scores.against_reference(x, e[:15].sum(0), SETTINGS) for x, e in drawn]
    joined = np.concatenate([e for _, e in drawn], axis=1)
    macro = scores.macro(families, joined[:15].sum(0), SETTINGS)
    c = macro.contrasts(joined[None, 15:], SETTINGS)
    each = [f.contrasts(e[None, 15:], SETTINGS) for f, (_, e) in zip(families, drawn, strict=True)]
    np.testing.assert_allclose(c.value[..., 0], np.mean([k.value[..., 0] for k in each], axis=0))
    deviation = np.mean([np.sqrt(k.variance[..., 0]) for k in each], axis=0)
    np.testing.assert_allclose(c.variance[..., 0], deviation**2)
    assert c.usable.all() and macro.able.all()


def test_only_series_of_one_kind_stack():
    x, evidence = streams.labelled_scores(0.2, 300, "iid", 4, np.random.default_rng(9))
    one = scores.against_reference(x, evidence.sum(0), SETTINGS)
    assert stack([one, one]).x.shape == (2, len(x))
    with pytest.raises(ValueError, match="one kind"):
        stack([one, errors.against_reference(np.array([500.0, 0, 400, 500]), SETTINGS)])
