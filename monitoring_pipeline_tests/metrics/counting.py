"""Profiles counted from raw rows by plain NumPy: an implementation of their definitions that shares nothing with the
engine.
"""

from __future__ import annotations

import numpy as np

from monitoring_pipeline.profiles.column import ColumnProfile
from monitoring_pipeline.profiles.layout import ColumnLayout, OutcomeLayout
from monitoring_pipeline.profiles.outcome import OutcomeProfile
from monitoring_pipeline.profiles.profile import LabelledProfile, Profile
from monitoring_pipeline.windows import Window

DAY = Window.from_key("2013-04-01", "day")


def numerical_layout(reference, bins=20, name="x", role="feature"):
    reference = np.asarray(reference, float)
    inner = np.quantile(reference, np.linspace(0, 1, bins + 1)[1:])
    edges = np.unique(np.append(np.nextafter(reference.min(), -np.inf), inner))
    return ColumnLayout(name, role, "numerical", tuple(edges.tolist()))


def categorical_layout(categories, name="c", role="feature"):
    return ColumnLayout(name, role, "categorical", (), tuple(categories))


def numerical(layout, rows, n_missing=0):
    rows = np.asarray(rows, float)
    x = rows[np.isfinite(rows)]
    counts = np.bincount(np.searchsorted(layout.edges, x, side="left"), minlength=layout.n_bins)
    with np.errstate(over="ignore"):
        moments = (x.min(), x.max(), x.mean(), ((x - x.mean()) ** 2).sum()) if x.size else (np.inf, -np.inf, 0.0, 0.0)
    return ColumnProfile(
        layout, rows.size + n_missing, n_missing, int(np.isnan(rows).sum()), int(np.isinf(rows).sum()),
        int((rows == 0).sum()), counts, *(float(m) for m in moments),
    )  # fmt: skip


def categorical(layout, rows, n_missing=0):
    place = {c: i for i, c in enumerate(layout.categories)}
    counts = np.zeros(layout.n_bins, np.int64)
    for row in rows:
        counts[place.get(row, layout.n_bins - 1)] += 1
    return ColumnProfile(layout, len(rows) + n_missing, n_missing, 0, 0, 0, counts)


def profile(*columns, segment="*"):
    return Profile(DAY, "1", segment, "layout", columns[0].n if columns else 0, columns)


def labelled(outcome, segment="*"):
    return LabelledProfile(DAY, "1", segment, "layout", 1, outcome)


def score_layout(scores, classes=("0", "1")):
    """The engine's edges: a grid of hundredths and the scores' own quantiles."""
    edges = np.unique(np.append(np.arange(1, 100) / 100, np.quantile(scores, np.linspace(0, 1, 51)[1:-1])))
    binary = len(classes) == 2
    return OutcomeLayout(
        "binary" if binary else "multiclass", classes, classes[1:] if binary else classes, tuple(edges.tolist())
    )


def classified(layout, actual, scores, predicted):
    """``actual``, ``predicted``: indices of classes, K for a class unknown or missing. ``scores``: (n,) binary, (n,
    K) multiclass.
    """
    actual, predicted, k = np.asarray(actual, int), np.asarray(predicted, int), len(layout.classes)
    scores = np.asarray(scores, float).reshape(len(actual), -1)
    is_class = actual[:, None] == ([1] if layout.task == "binary" else np.arange(k))
    confusion = np.zeros((k + 1, k + 1), np.int64)
    np.add.at(confusion, (actual, predicted), 1)
    counts, positives, sums = (np.zeros((scores.shape[1], len(layout.score_edges) + 1)) for _ in range(3))
    for c in range(scores.shape[1]):
        at = np.searchsorted(layout.score_edges, scores[:, c], side="left")
        np.add.at(counts[c], at, 1)
        np.add.at(positives[c], at, is_class[:, c])
        np.add.at(sums[c], at, scores[:, c])
    squared = ((scores - is_class) ** 2).sum(axis=1)
    each = (
        np.where(actual == 1, scores[:, 0], 1 - scores[:, 0])
        if layout.task == "binary"
        else scores[np.arange(len(actual)), actual]
    )
    loss = -np.log(np.clip(each, 1e-15, 1 - 1e-15))
    return OutcomeProfile(
        layout, len(actual), len(actual), len(actual), 0,
        counts.astype(np.int64), sums, counts.astype(np.int64), positives.astype(np.int64), sums, confusion,
        np.zeros(0, np.int64), np.array([squared.sum(), (squared**2).sum(), loss.sum(), (loss**2).sum()]),
    )  # fmt: skip


def regressed(actual, predicted, edges=None, centre=None):
    actual, predicted = np.asarray(actual, float), np.asarray(predicted, float)
    e = predicted - actual
    edges = np.unique(np.quantile(e, np.linspace(0, 1, 101)[1:-1])) if edges is None else np.asarray(edges, float)
    centre = float(actual.mean()) if centre is None else centre
    d, there = actual - centre, actual != 0
    ape = np.abs(e[there] / actual[there])
    sums = [e, np.abs(e), e**2, e**4, ape, ape**2, d, d**2, d**3, d**4, e**2 * d, e**2 * d**2]
    layout = OutcomeLayout("regression", error_edges=tuple(edges.tolist()), centre=centre)
    empty = OutcomeProfile.empty(layout)
    counts = np.bincount(np.searchsorted(edges, e, side="left"), minlength=edges.size + 1)
    n = len(actual)
    return OutcomeProfile(
        layout, n, n, n, int(there.sum()), empty.score_counts, empty.score_sums, empty.labelled_counts,
        empty.positive_counts, empty.labelled_sums, empty.confusion, counts, np.array([s.sum() for s in sums]),
    )  # fmt: skip
