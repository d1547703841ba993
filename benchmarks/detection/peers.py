"""The peers' default rules on the same rows, which are the cells' values.

Evidently 0.7.23 (``DataDriftPreset``): up to 1,000 reference rows Kolmogorov-Smirnov and chi-square at 0.05, else
Wasserstein's distance over the reference's standard deviation, and Jensen-Shannon's distance of names, both at 0.1;
missing values are dropped. NannyML 0.13.1 (``UnivariateDriftCalculator``): Jensen-Shannon's distance, over Doane's bins
for numbers, above the mean and three standard deviations of the reference's chunks. ``real_code`` runs the originals.

GATE (Shankar et al. 2023, Automatic and Precise Data Validation for Machine Learning; dm4ml/gate): a partition's
summary statistics by column, z-scored over history; columns clustered by how their statistics go together; the mean
distance to the three nearest partitions, from its 95th percentile on an alarm, and the ten columns of largest z named.
Left out: the similarity of column names, which mean nothing here. Clusters are found from 1 − similarity.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import cdist, squareform
from scipy.special import chdtrc, kolmogorov, rel_entr

from benchmarks.detection.streams import VALUES, Counts, Drawn, Floats, Stream

Flags = NDArray[np.bool_]
EVIDENTLY_LARGE, EVIDENTLY_DISTANCE, EVIDENTLY_ALPHA = 1_000, 0.1, 0.05
NANNYML_DEVIATIONS = 3
GATE_NEIGHBOURS, GATE_PERCENTILE, GATE_COLUMNS, GATE_EXPLAINED, GATE_LEAST = 3, 0.95, 10, 0.95, 5


def evidently(stream: Stream) -> Flags:
    """(T, C) columns that have drifted."""
    before, after = stream.reference, stream.windows
    numbers = [
        _evidently_numbers(before.numbers[:, c].sum(axis=0), after.numbers[:, c])
        for c in range(stream.setting.numerical)
    ]
    names = [_evidently_names(x.sum(axis=0), y) for x, y in zip(before.names, after.names, strict=True)]
    return np.stack(numbers + names, axis=1)


def _evidently_numbers(reference: Counts, windows: Counts) -> Flags:
    m, n = reference.sum(), np.maximum(windows.sum(axis=1), 1)
    p, q = reference / m, windows / n[:, None]
    gap = np.abs(np.cumsum(q, axis=1) - np.cumsum(p))
    if m <= EVIDENTLY_LARGE:
        significant: Flags = kolmogorov(np.sqrt(n * m / (n + m)) * gap.max(axis=1)) < EVIDENTLY_ALPHA
        return significant
    distance = (gap[:, :-1] * np.diff(VALUES)).sum(axis=1)
    large: Flags = distance / np.sqrt(p @ VALUES**2 - (p @ VALUES) ** 2) >= EVIDENTLY_DISTANCE
    return large


def _evidently_names(reference: Counts, windows: Counts) -> Flags:
    m, n = reference.sum(), np.maximum(windows.sum(axis=1, keepdims=True), 1)
    if m > EVIDENTLY_LARGE:
        far: Flags = _jensen_shannon((reference / m)[None], windows / n) >= EVIDENTLY_DISTANCE
        return far
    expected = reference / m * n
    both = (reference > 0) | (windows > 0)
    terms = np.where(expected > 0, (windows - expected) ** 2 / np.where(expected > 0, expected, 1), np.inf)
    x2 = np.where(both, terms, 0).sum(axis=1)
    unlikely: Flags = chdtrc(both.sum(axis=1) - 1, x2) < EVIDENTLY_ALPHA
    return unlikely


def nannyml(stream: Stream) -> Flags:
    """(T, C) alerts."""
    before, after = stream.reference, stream.windows
    pairs = [_doane(before.numbers[:, c], after.numbers[:, c]) for c in range(stream.setting.numerical)]
    pairs += list(zip(before.names, after.names, strict=True))
    return np.stack([_beyond_chunks(chunks, windows) for chunks, windows in pairs], axis=1)


def _doane(chunks: Counts, windows: Counts) -> tuple[Counts, Counts]:
    """By the bins of Doane's rule; the last one is of rows outside of them."""
    edges = np.histogram_bin_edges(np.repeat(VALUES, chunks.sum(axis=0)), bins="doane")
    at = np.searchsorted(edges, VALUES, side="right") - 1
    at[edges[-1] == VALUES] = len(edges) - 2
    at[(at < 0) | (at > len(edges) - 2)] = len(edges) - 1
    into = np.zeros((len(VALUES), len(edges)), np.int64)
    into[np.arange(len(VALUES)), at] = 1
    return chunks @ into, windows @ into


def _beyond_chunks(chunks: Counts, windows: Counts) -> Flags:
    total = chunks.sum(axis=0, keepdims=True)
    p = total / total.sum()
    own, now = (_jensen_shannon(p, x / np.maximum(x.sum(axis=1, keepdims=True), 1)) for x in (chunks, windows))
    beyond: Flags = now > own.mean() + NANNYML_DEVIATIONS * own.std()
    return beyond


def _jensen_shannon(p: Floats, q: Floats) -> Floats:
    middle = (p + q) / 2
    distance: Floats = np.sqrt(np.maximum((rel_entr(p, middle) + rel_entr(q, middle)).sum(axis=1) / 2, 0))
    return distance


def gate(stream: Stream) -> Flags:
    """(T, C) columns named in windows that are alarms; history is the reference's blocks and all earlier windows."""
    before, after = _summaries(stream.reference), _summaries(stream.windows)
    every = np.concatenate((before, after))
    kept = np.arange(every.shape[2]) < np.where(np.arange(every.shape[1]) < stream.setting.numerical, 4, 3)[:, None]
    found = np.zeros((len(after), every.shape[1]), bool)
    for t in range(len(after)):
        history = every[: len(before) + t + 1]
        if len(history) > GATE_LEAST:
            found[t] = _gate_names(history, kept)
    return found


def _summaries(drawn: Drawn) -> Floats:
    """(T, C, 4) statistics. Numbers: coverage, mean, standard deviation, 95th percentile. Names: coverage, distinct
    ones, share of the most frequent one, and 0."""
    n = np.maximum(drawn.numbers.sum(axis=2), 1)
    mean = drawn.numbers @ VALUES / n
    deviation = np.sqrt(np.maximum(drawn.numbers @ VALUES**2 / n - mean**2, 0))
    high = VALUES[(np.cumsum(drawn.numbers, axis=2) >= 0.95 * n[:, :, None]).argmax(axis=2)]
    columns = [np.stack((n, mean, deviation, high), axis=2)]
    for counts in drawn.names:
        rows = np.maximum(counts.sum(axis=1), 1)
        columns.append(np.stack((rows, (counts > 0).sum(axis=1), counts.max(axis=1) / rows, 0 * rows), axis=1)[:, None])
    found = np.concatenate(columns, axis=1).astype(float)
    found[:, :, 0] /= found[:, :, 0] + drawn.missing
    return found


def _gate_names(history: Floats, kept: Flags) -> Flags:
    """(C,) of the last partition."""
    z = (history - history.mean(axis=0)) / (history.std(axis=0, ddof=1) + 1e-10)
    z[:, ~kept] = 0
    cluster = _clusters(z)
    members = np.equal.outer(np.unique(cluster), cluster).astype(float)
    means = np.einsum("kc,tcs->tks", members / members.sum(axis=1, keepdims=True), np.abs(z))
    flat = means.reshape(len(z), -1)
    nearest = np.sort(cdist(flat, flat), axis=1)[:, 1 : GATE_NEIGHBOURS + 1].mean(axis=1)
    named = np.zeros(z.shape[1], bool)
    if (nearest[:-1] <= nearest[-1]).mean() >= GATE_PERCENTILE:
        named[np.argsort(-np.abs(z[-1]).max(axis=1))[:GATE_COLUMNS]] = True
    return named


def _clusters(z: Floats) -> NDArray[np.int_]:
    """(C,) cluster of each column: as many as principal components explain 95 % of the columns' similarity."""
    by_column = z.transpose(1, 0, 2).reshape(z.shape[1], -1)
    unit = by_column / np.maximum(np.linalg.norm(by_column, axis=1, keepdims=True), 1e-12)
    similarity = unit @ unit.T
    share = np.cumsum(np.linalg.svd(similarity - similarity.mean(axis=0), compute_uv=False) ** 2)
    many = int(np.searchsorted(share / share[-1], GATE_EXPLAINED, side="right")) + 1
    distance = squareform(np.clip(1 - similarity, 0, 2), checks=False)
    found: NDArray[np.int_] = fcluster(linkage(distance, "average"), many, "maxclust")
    return found
