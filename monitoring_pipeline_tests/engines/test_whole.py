"""Parts kept for all rows together: against NumPy on the same rows, batch by batch and merged."""

from __future__ import annotations

from datetime import timedelta

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from monitoring_pipeline.engines.duckdb.profiler import Profiler
from monitoring_pipeline.engines.merging import merged
from monitoring_pipeline.profiles.layout import ColumnLayout, Layout, OutcomeLayout
from monitoring_pipeline.profiles.parts import PARTS
from monitoring_pipeline_tests.engines.rows import DAY, relation

ALL = frozenset(PARTS)
N = 3000
X = ColumnLayout("x", "feature", "numerical", (-1.0, 0.0, 1.0))
C = ColumnLayout("c", "feature", "categorical", (), ("a", "b"))
SCALES = (("x", 0.5, 2.0), ("y", -1.0, 0.5))


@pytest.fixture(params=[True, False], ids=["one window", "many groups"])
def rows(request, connection: duckdb.DuckDBPyConnection, monkeypatch):
    """Rows with what may be missing; in several windows and versions, in batches that do not end with them."""
    monkeypatch.setattr("monitoring_pipeline.engines.statement.BATCH_ROWS", 700)
    rng = np.random.default_rng(4)
    x = rng.normal(size=N)
    x[:3] = np.nan, np.inf, -np.inf
    valid = rng.random(N) > 0.1
    day = np.zeros(N, int) if request.param else np.sort(rng.integers(0, 3, N))
    version = np.full(N, "1") if request.param else rng.choice(["1", "2"], N)
    found = {
        "x": x, "x_valid": valid, "y": rng.normal(size=N), "c": rng.choice(["a", "b", "z", ""], N),
        "score": rng.random(N), "guess": rng.choice(["0", "1", "odd", None], N),
        "truth": rng.choice(["0", "1", None], N), "prediction": rng.normal(size=N), "outcome": rng.normal(size=N),
        "labelled": rng.random(N) > 0.3, "day": day, "version": version,
    }  # fmt: skip
    return found


def profiled(connection, rows, layout, regression: bool):
    outcome = (
        pa.array(rows["outcome"], mask=~rows["labelled"])
        if regression
        else pa.array(rows["truth"].tolist(), pa.string())
    )
    table = relation(
        connection,
        {
            "__window": pa.array([DAY + timedelta(days=int(d)) for d in rows["day"]], pa.timestamp("us")),
            "__version": pa.array(rows["version"].tolist()),
            "x": pa.array(rows["x"], mask=~rows["x_valid"]),
            "y": rows["y"],
            "c": rows["c"].tolist(),
            "__score": rows["score"],
            "__prediction": pa.array(rows["prediction"])
            if regression
            else pa.array(rows["guess"].tolist(), pa.string()),
            "__outcome": outcome,
        },
    )
    layouts = dict.fromkeys(np.unique(rows["version"]).tolist(), layout)
    return Profiler(connection).profile(table, layouts, [("c",)], ALL)


def of_group(rows, one):
    return (rows["version"] == one.version) & (rows["day"] == (one.window.replace(tzinfo=None) - DAY).days)


def test_score_bins_and_comoments(connection, rows) -> None:
    outcome = OutcomeLayout("binary", ("0", "1"), ("1",), (0.25, 0.5))
    layout = Layout((X, C), outcome, SCALES)
    counted = profiled(connection, rows, layout, regression=False)
    whole = [one for one in counted if one.segment == "*"]
    assert sum(one.n_rows for one in whole) == N
    for one in whole:
        mine = of_group(rows, one)
        bins = np.searchsorted((0.25, 0.5), rows["score"])
        place = {"0": 0, "1": 1, "odd": 2, None: 3}
        guess = np.array([place[g] for g in rows["guess"]])
        known = np.array([t is not None for t in rows["truth"]])
        for b in range(3):
            for p in range(4):
                cell = mine & (bins == b) & (guess == p)
                assert one.parts["prediction_bins"].counts[0, b, p] == cell.sum()
                assert one.parts["labelled_bins"].labelled[0, b, p] == (cell & known).sum()
                assert one.parts["labelled_bins"].positive[0, b, p] == (cell & (rows["truth"] == "1")).sum()
        x = np.where(rows["x_valid"] & np.isfinite(rows["x"]), rows["x"], 0.5)
        z = np.stack([(x - 0.5) / 2, (rows["y"] + 1) / 0.5])[:, mine]
        found = one.parts["comoments"]
        assert found.n == mine.sum()
        np.testing.assert_allclose(found.z, z.sum(axis=1), rtol=1e-12, atol=1e-9)
        np.testing.assert_allclose(found.zz, z @ z.T, rtol=1e-12, atol=1e-9)
    assert all(
        not {"comoments", "prediction_bins", "labelled_bins"} & set(c.parts) for c in counted if c.segment != "*"
    )


def test_errors_by_bin(connection, rows) -> None:
    prediction = ColumnLayout("p", "prediction", "numerical", (0.0,))
    layout = Layout((prediction, X, C), OutcomeLayout("regression", error_edges=(0.0,)))
    for one in profiled(connection, rows, layout, regression=True):
        if one.segment != "*":
            continue
        assert "prediction_bins" not in one.parts
        mine = of_group(rows, one) & rows["labelled"]
        finite = rows["x_valid"] & np.isfinite(rows["x"])
        e = rows["prediction"] - rows["outcome"]
        codes = (
            (1 + np.searchsorted((0.0,), rows["prediction"]), 3),
            (np.where(finite, 1 + np.searchsorted(X.edges, rows["x"]), 0), 5),
            (np.array([{"a": 1, "b": 2}.get(c, 3) for c in rows["c"]]), 4),
        )
        cells = [mine & (code == value) for code, width in codes for value in range(width)]
        found = one.parts["labelled_bins"]
        assert found.n.tolist() == [cell.sum() for cell in cells]
        for sums, weights in zip(found.errors, (np.abs(e), e, e**2, e**4), strict=True):
            np.testing.assert_allclose(sums, [weights[cell].sum() for cell in cells], rtol=1e-12, atol=1e-10)


@pytest.mark.parametrize("regression", [False, True])
def test_days_merge_to_the_whole_and_read_back(connection, rows, regression: bool) -> None:
    prediction = ColumnLayout("p", "prediction", "numerical", (0.0,))
    outcome = (
        OutcomeLayout("regression", error_edges=(0.0,))
        if regression
        else OutcomeLayout("binary", ("0", "1"), ("1",), (0.25, 0.5))
    )
    layout = Layout((prediction, X, C) if regression else (X, C), outcome, SCALES)
    apart = [c for c in profiled(connection, rows, layout, regression) if c.segment == "*"]
    together = rows | {"day": np.zeros(N, int), "version": np.full(N, "1")}
    [whole] = [c for c in profiled(connection, together, layout, regression) if c.segment == "*"]
    added = merged(apart)
    assert set(whole.parts) == {name for name, part in PARTS.items() if part.applies(layout)}
    for name, value in whole.parts.items():
        part = PARTS[name]
        counts, sums = part.flatten(value)
        merged_counts, merged_sums = part.flatten(added.parts[name])
        assert merged_counts.tolist() == counts.tolist()
        np.testing.assert_allclose(merged_sums, sums, rtol=1e-9, atol=1e-9)
        again = part.flatten(part.read(layout, part.format, counts, sums))
        assert [a.tolist() for a in again] == [counts.tolist(), sums.tolist()]
