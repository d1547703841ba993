import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitoring_pipeline.engines import binning
from monitoring_pipeline.engines.binning import Binner

finite = st.floats(allow_nan=False, allow_infinity=False)


@given(edges=st.lists(finite, max_size=90, unique=True), x=st.lists(finite, max_size=60))
@settings(max_examples=200, deadline=None)
def test_bins_are_those_of_a_binary_search(edges, x):
    edges = sorted({e + 0.0 for e in edges})
    with np.errstate(over="ignore"):
        values = np.array([*x, *edges, *np.nextafter(np.array(edges), np.inf)])
    values = values[np.isfinite(values)]
    expected = np.searchsorted(np.array(edges), values, side="left")
    binner = Binner(tuple(edges))
    assert binner(values).tolist() == expected.tolist()
    if len(values):
        counts = binner.counts(values, values.min(), values.max())
        assert counts.tolist() == np.bincount(expected, minlength=len(edges) + 1).tolist()


@pytest.mark.parametrize("n", [binning.CHUNK - 1, binning.CHUNK, 3 * binning.CHUNK + 1, 256 * binning.CHUNK + 7])
def test_counts_add_up_over_chunks(n):
    rng = np.random.default_rng(n)
    x, edges = np.round(rng.normal(0, 1, n), 1), (-9.0, -1.0, 0.0, 0.30000000000000004, 2.5, 7.0)
    expected = np.bincount(np.searchsorted(edges, x, side="left"), minlength=7)
    assert Binner(edges).counts(x, x.min(), x.max()).tolist() == expected.tolist()


@pytest.mark.parametrize(
    "edges",
    [
        np.linspace(0, 1, 199),
        np.unique(np.r_[np.arange(1, 100) / 100, np.random.default_rng(0).beta(1, 4, 100)]),
        np.geomspace(1e-300, 1e300, 100),  # too uneven for cells
        np.linspace(-1, 1, 60) * 1.7e308,  # the span is no number
        np.arange(300.0),  # more bins than a byte counts
        np.linspace(1, 1 + 1e-13, 50),
    ],
    ids=["even", "score", "geometric", "huge", "many", "narrow"],
)
def test_many_edges(edges):
    edges = np.unique(edges)
    rng = np.random.default_rng(1)
    with np.errstate(over="ignore"):
        x = np.concatenate(
            (
                edges,
                np.nextafter(edges, np.inf),
                np.nextafter(edges, -np.inf),
                rng.normal(0, 2, 500),
                [1e308, -1e308, 0.0],
            )
        )
    x = x[np.isfinite(x)]
    assert Binner(tuple(edges.tolist()))(x).tolist() == np.searchsorted(edges, x, side="left").tolist()
