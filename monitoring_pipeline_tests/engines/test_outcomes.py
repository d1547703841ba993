"""Outcome profiles against counts made with plain NumPy."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest

from monitoring_pipeline.engines import statement
from monitoring_pipeline.profiles.layout import ColumnLayout, OutcomeLayout
from monitoring_pipeline.profiles.outcome import REGRESSION_SUMS
from monitoring_pipeline_tests.engines.rows import (
    DAY,
    assert_equals,
    categorical_oracle,
    doubles,
    layout_of,
    numerical_oracle,
    relation,
    texts,
)

GROUP = ColumnLayout("g", "feature", "categorical", categories=("u", "v"))
EDGES = tuple(i / 20 for i in range(1, 20))


@pytest.fixture(params=[65_536, 700], ids=["one batch", "many batches"])
def batch_rows(request, monkeypatch):
    monkeypatch.setattr(statement, "BATCH_ROWS", request.param)


def choose(rng, n, values, p=None):
    return [values[i] for i in rng.choice(len(values), n, p=p)]


def segments_of(profiles, g):
    names = {None: "g=∅", "w": "g=__other__", "u": "g=u", "v": "g=v"}
    assert [p.segment for p in profiles] == ["*", *sorted({names[v] for v in g})]
    for p in profiles:
        yield p, np.array([p.segment in ("*", names[v]) for v in g])


@pytest.mark.usefixtures("batch_rows")
def test_binary(engine, connection):
    rng = np.random.default_rng(0)
    n = 4_000
    truth = choose(rng, n, ["0", "1", "odd", None], [0.5, 0.25, 0.05, 0.2])
    guess = choose(rng, n, ["0", "1", None], [0.6, 0.3, 0.1])
    score = choose(rng, n, [*EDGES, 0.0, 1.0, *rng.random(300)])
    score = [None if rng.random() < 0.05 else float("nan") if rng.random() < 0.05 else s for s in score]
    g = choose(rng, n, ["u", "v", "w", None])
    target = ColumnLayout("truth", "target", "categorical", categories=("0", "1"))
    layout = layout_of(GROUP, target, outcome=OutcomeLayout("binary", ("0", "1"), ("1",), EDGES))
    rows = relation(
        connection, {"__outcome": texts(truth), "__prediction": texts(guess), "__score": doubles(score), "g": texts(g)}
    )
    for profile, mine in segments_of(engine.profile_outcomes(rows, {"1": layout}, [("g",)], 7, "day"), g):
        assert profile.batch == 7
        o = profile.outcome
        t, y, p = (np.array(v, object)[mine] for v in (truth, guess, score))
        p = p.astype(float)  # None becomes NaN
        labelled, scored = np.array([v is not None for v in t]), np.isfinite(p)
        assert (o.n_predictions, o.n_labelled, o.n_scored) == (mine.sum(), labelled.sum(), (labelled & scored).sum())
        assert_histogram(o.score_counts[0], o.score_sums[0], p[scored])
        assert_histogram(o.labelled_counts[0], o.labelled_sums[0], p[scored & labelled])
        assert_histogram(o.positive_counts[0], None, p[scored & (t == "1")])
        known = ["0", "1"]
        for i in range(3):
            row = labelled & ((t == known[i]) if i < 2 else ~np.isin(t, known))
            none = np.array([v is None for v in y])
            for j, column in enumerate((y == "0", y == "1", ~none & ~np.isin(y, known), none)):
                assert o.confusion[i, j] == (row & column).sum()
        use = labelled & scored
        hit, q = (t == "1")[use], p[use]
        squared = (q - hit) ** 2
        loss = -np.log(np.clip(np.where(hit, q, 1 - q), 1e-15, 1 - 1e-15))
        np.testing.assert_allclose(o.sums, [squared.sum(), (squared**2).sum(), loss.sum(), (loss**2).sum()], rtol=1e-12)
        assert_equals(profile.target, categorical_oracle(target, t[labelled].tolist()))


def assert_histogram(counts, sums, values):
    bins = np.searchsorted(EDGES, values, side="left")
    assert counts.tolist() == np.bincount(bins, minlength=len(EDGES) + 1).tolist()
    if sums is not None:
        np.testing.assert_allclose(sums, np.bincount(bins, values, len(EDGES) + 1), rtol=1e-12)


@pytest.mark.usefixtures("batch_rows")
def test_multiclass(engine, connection):
    rng = np.random.default_rng(1)
    n, classes, scored = 3_000, ("a", "b", "c", "d"), ("a", "b", "c")  # d is a class without a score
    truth = choose(rng, n, [*classes, "new", None])
    guess = choose(rng, n, [*classes, None])
    scores = rng.dirichlet([1, 1, 1], n)
    scores[rng.random(n) < 0.05, 1] = np.nan
    outcome = OutcomeLayout("multiclass", classes, scored, EDGES)
    columns = {f"__score_{i}": pa.array(np.ascontiguousarray(scores[:, i])) for i in range(3)}
    g = choose(rng, n, ["u", "v"])
    rows = relation(connection, {"__outcome": texts(truth), "__prediction": texts(guess), "g": texts(g), **columns})
    for profile, mine in segments_of(
        engine.profile_outcomes(rows, {"1": layout_of(GROUP, outcome=outcome)}, [("g",)], 0, "day"), g
    ):
        o, t, y, p = profile.outcome, np.array(truth, object)[mine], np.array(guess, object)[mine], scores[mine]
        labelled = np.array([v is not None for v in t])
        for k, name in enumerate(scored):
            finite = np.isfinite(p[:, k])
            assert_histogram(o.score_counts[k], o.score_sums[k], p[finite, k])
            assert_histogram(o.labelled_counts[k], o.labelled_sums[k], p[finite & labelled, k])
            assert_histogram(o.positive_counts[k], None, p[finite & (t == name), k])
        use = labelled & np.isfinite(p).all(1)
        assert o.n_scored == use.sum()
        hits = np.stack([t[use] == name for name in scored], axis=1)
        squared = ((p[use] - hits) ** 2).sum(1)
        loss = -np.log(np.clip((p[use] * hits).sum(1), 1e-15, 1 - 1e-15))
        np.testing.assert_allclose(o.sums, [squared.sum(), (squared**2).sum(), loss.sum(), (loss**2).sum()], rtol=1e-12)
        code = {name: i for i, name in enumerate(classes)}
        expected = np.zeros((5, 6), int)
        guesses = [5 if v is None else code.get(v, 4) for v in y[labelled]]
        np.add.at(expected, ([code.get(v, 4) for v in t[labelled]], guesses), 1)
        assert o.confusion.tolist() == expected.tolist()


@pytest.mark.usefixtures("batch_rows")
def test_regression(engine, connection):
    rng = np.random.default_rng(2)
    n = 3_000
    prediction = [
        choose(rng, 1, [None, np.nan, np.inf])[0] if rng.random() < 0.1 else v for v in rng.normal(100, 20, n)
    ]
    truth = [choose(rng, 1, [None, np.nan, 0.0])[0] if rng.random() < 0.4 else v for v in rng.normal(98, 25, n)]
    g = choose(rng, n, ["u", "v", None])
    errors = tuple(float(e) for e in np.linspace(-60, 60, 31))
    target = ColumnLayout("truth", "target", "numerical", edges=(50.0, 100.0, 150.0))
    layout = layout_of(GROUP, target, outcome=OutcomeLayout("regression", error_edges=errors, centre=98.0))
    rows = relation(connection, {"__outcome": doubles(truth), "__prediction": doubles(prediction), "g": texts(g)})
    for profile, mine in segments_of(engine.profile_outcomes(rows, {"1": layout}, [("g",)], 2, "day"), g):
        o = profile.outcome
        present = [v for v, m in zip(truth, mine, strict=True) if m and v is not None]
        assert o.n_labelled == len(present)
        y, p = (np.array(v, float)[mine] for v in (truth, prediction))
        use = np.isfinite(y) & np.isfinite(p)
        e, d, y = (p - y)[use], (y - 98.0)[use], y[use]
        assert (o.n_scored, o.n_nonzero) == (use.sum(), (y != 0).sum())
        bins = np.searchsorted(errors, e, side="left")
        assert o.error_counts.tolist() == np.bincount(bins, minlength=32).tolist()
        ape = np.abs(e[y != 0] / y[y != 0])
        powers = {
            "e": e, "abs_e": abs(e), "e2": e**2, "e4": e**4, "ape": ape, "ape2": ape**2, "d": d, "d2": d**2, "d3": d**3,
            "d4": d**4, "e2d": e**2 * d, "e2d2": e**2 * d**2,
        }  # fmt: skip
        for name, value in zip(REGRESSION_SUMS, o.sums, strict=True):
            expected, size = powers[name].sum(), np.abs(powers[name]).sum()
            assert abs(value - expected) <= 1e-12 * size, name
        assert_equals(profile.target, numerical_oracle(target, present))


def test_without_labels_predictions_are_still_counted(engine, connection):
    layout = layout_of(outcome=OutcomeLayout("binary", ("0", "1"), ("1",), EDGES))
    rows = relation(connection, {"__score": doubles([0.1, 0.9, 0.9]), "__prediction": texts(["0", "1", "1"])})
    (profile,) = engine.profile_outcomes(rows, {"1": layout}, (), 0, "day")
    assert profile.outcome.n_predictions == 3
    assert profile.outcome.n_labelled == profile.outcome.n_scored == profile.outcome.confusion.sum() == 0
    assert profile.outcome.score_counts.sum() == 3
    assert profile.target is None


def test_labels_without_scores_or_predictions(engine, connection):
    layout = layout_of(outcome=OutcomeLayout("binary", ("0", "1")))
    (profile,) = engine.profile_outcomes(
        relation(connection, {"__outcome": texts(["1", None])}), {"1": layout}, (), 0, "day"
    )
    assert profile.outcome.confusion.tolist() == [[0, 0, 0, 0], [0, 0, 0, 1], [0, 0, 0, 0]]
    assert profile.outcome.n_scored == 0


def test_each_window_has_the_batch_it_was_computed_from(engine, connection):
    layout = layout_of(outcome=OutcomeLayout("binary", ("0", "1")))
    windows = pa.array([DAY, datetime(2024, 3, 31)], pa.timestamp("us"))
    rows = relation(connection, {"__outcome": texts(["1", "0"]), "__window": windows})
    batches = {datetime(2024, 3, 31, tzinfo=UTC): 4}
    assert [p.batch for p in engine.profile_outcomes(rows, {"1": layout}, (), batches, "day")] == [0, 4]


def test_one_pass_for_both_says_what_two_passes_say(engine, connection):
    rng = np.random.default_rng(8)
    n = 2_000
    x = ColumnLayout("x", "feature", "numerical", edges=(0.0, 1.0))
    target = ColumnLayout("truth", "target", "categorical", categories=("0", "1"))
    layout = layout_of(x, GROUP, target, outcome=OutcomeLayout("binary", ("0", "1"), ("1",), EDGES))
    rows = relation(
        connection,
        {
            "x": doubles(rng.normal(0, 1, n)), "g": texts(choose(rng, n, ["u", "v"])),
            "__score": doubles(rng.random(n)), "__outcome": texts(choose(rng, n, ["0", "1", None])),
        },
    )  # fmt: skip
    arguments = (rows, {"1": layout}, [("g",)])
    profiles, labelled = engine.profile_both(*arguments, 1, "day")
    for both, alone in zip(profiles, engine.profile(*arguments, "day"), strict=True):
        assert both.segment == alone.segment
        assert [c.counts.tolist() for c in both.columns] == [c.counts.tolist() for c in alone.columns]
    for both, alone in zip(labelled, engine.profile_outcomes(*arguments, 1, "day"), strict=True):
        assert both.segment == alone.segment
        assert both.outcome.positive_counts.tolist() == alone.outcome.positive_counts.tolist()
        assert both.target.counts.tolist() == alone.target.counts.tolist()


def test_segments_add_up_to_the_whole(engine, connection):
    rng = np.random.default_rng(9)
    n = 1_000
    layout = layout_of(GROUP, outcome=OutcomeLayout("binary", ("0", "1"), ("1",), EDGES))
    rows = relation(
        connection,
        {"g": texts(choose(rng, n, ["u", "v", None, "w"])), "__score": doubles(rng.random(n)),
         "__outcome": texts(choose(rng, n, ["0", "1", None]))},
    )  # fmt: skip
    whole, *parts = engine.profile_outcomes(rows, {"1": layout}, [("g",)], 0, "day")
    merged = parts[0].outcome
    for part in parts[1:]:
        merged = merged.merge(part.outcome)
    assert merged.labelled_counts.tolist() == whole.outcome.labelled_counts.tolist()
    assert merged.confusion.tolist() == whole.outcome.confusion.tolist()
    np.testing.assert_allclose(merged.sums, whole.outcome.sums, rtol=1e-12)
