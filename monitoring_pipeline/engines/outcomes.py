"""Predictions against outcomes, group by group, added up over batches."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from monitoring_pipeline.engines.binning import Binner, binner
from monitoring_pipeline.engines.grouping import Groups
from monitoring_pipeline.engines.statement import Batch, Numbers, Statement
from monitoring_pipeline.profiles.layout import OutcomeLayout
from monitoring_pipeline.profiles.outcome import CLASSIFICATION_SUMS, REGRESSION_SUMS, OutcomeProfile

N_PREDICTIONS, N_LABELLED, N_SCORED, N_NONZERO, HEADS = range(5)
CLIP = 1e-15


class OutcomeTotals:
    """Outcome profiles in the making: a row for each group; arrays flattened in the order of ``OutcomeProfile``."""

    def __init__(self, layout: OutcomeLayout) -> None:
        self.layout = layout
        empty = OutcomeProfile.empty(layout)
        self._count_shapes = [
            getattr(empty, name).shape
            for name in ("score_counts", "labelled_counts", "positive_counts", "confusion", "error_counts")
        ]
        self._sum_shapes = [empty.score_sums.shape, empty.labelled_sums.shape, empty.sums.shape]
        self.counts = np.zeros((0, HEADS + sum(int(np.prod(s)) for s in self._count_shapes)), np.int64)
        self.sums = np.zeros((0, sum(int(np.prod(s)) for s in self._sum_shapes)))

    def reserve(self, n_groups: int) -> None:
        """Makes room for ``n_groups`` groups in all; new ones hold zeros."""
        have = len(self.counts)
        if n_groups > have:
            more = max(16, 2 * have, n_groups) - have
            self.counts = np.concatenate((self.counts, np.zeros((more, self.counts.shape[1]), np.int64)))
            self.sums = np.concatenate((self.sums, np.zeros((more, self.sums.shape[1]))))

    def add(self, ids: NDArray[np.intp], counts: list[NDArray[np.int64]], sums: list[NDArray[np.float64]]) -> None:
        """Blocks (G, width) in order; a missing tail stays zero."""
        at = 0
        for block in counts:
            self.counts[ids, at : at + block.shape[1]] += block
            at += block.shape[1]
        at = 0
        for part in sums:
            self.sums[ids, at : at + part.shape[1]] += part
            at += part.shape[1]

    def merged(self, rows: NDArray[np.intp], starts: NDArray[np.intp]) -> OutcomeTotals:
        """Totals of coarser groups; arguments as for ``ColumnTotals.merged``."""
        merged = OutcomeTotals(self.layout)
        merged.counts = np.add.reduceat(self.counts[rows], starts, axis=0)
        merged.sums = np.add.reduceat(self.sums[rows], starts, axis=0)
        return merged

    def profiles(self, n_groups: int) -> list[OutcomeProfile]:
        """The outcome profile of each group. Positional, in the order of ``OutcomeProfile``'s fields."""
        heads = self.counts[:n_groups, :HEADS].tolist()
        counts = list(_split(self.counts[:n_groups, HEADS:], self._count_shapes))
        sums = list(_split(self.sums[:n_groups], self._sum_shapes))
        return [
            OutcomeProfile(
                self.layout,
                n,
                labelled_n,
                scored_n,
                nonzero_n,
                scores,
                score_sums,
                labelled,
                positive,
                labelled_sums,
                confusion,
                errors,
                rest,
            )
            for (n, labelled_n, scored_n, nonzero_n), (scores, labelled, positive, confusion, errors), (
                score_sums,
                labelled_sums,
                rest,
            ) in zip(heads, zip(*counts, strict=True), zip(*sums, strict=True), strict=True)
        ]


def _split(flat: NDArray[np.generic], shapes: list[tuple[int, ...]]) -> Iterator[NDArray[np.generic]]:
    at = 0
    for shape in shapes:
        width = int(np.prod(shape))
        yield np.ascontiguousarray(flat[:, at : at + width]).reshape(len(flat), *shape)
        at += width


class _Sums:
    """Sums by group over some rows of a batch."""

    def __init__(self, groups: Groups, rows: NDArray[np.intp] | None) -> None:
        codes = groups.codes
        self._n = groups.n
        self._codes = codes if codes is None or rows is None else codes[rows]

    def by_bin(self, bins: NDArray[np.integer], n_bins: int, weights: NDArray[np.float64] | None = None) -> NDArray:
        """(G, n_bins) counts, or sums of ``weights``."""
        combined = bins if self._codes is None else self._codes * n_bins + bins
        return np.bincount(combined, weights, self._n * n_bins).reshape(self._n, n_bins)

    def of(self, *values: NDArray[np.float64]) -> NDArray[np.float64]:
        """(G, len(values))."""
        if self._codes is None:
            return np.array([[v.sum() for v in values]])
        return np.stack([np.bincount(self._codes, v, self._n) for v in values], axis=1)


def _heads(groups: Groups, n_rows: int, *marked: NDArray[np.bool_]) -> NDArray[np.int64]:
    counted = [groups.sizes(n_rows), *(groups.count(m) for m in marked)]
    counted += [np.zeros(groups.n, np.int64)] * (HEADS - len(counted))
    return np.stack(counted, axis=1)


class RegressionReader:
    """Reads prediction and outcome of a regression."""

    def __init__(self, statement: Statement, layout: OutcomeLayout) -> None:
        self._prediction = statement.numerical("__prediction")
        self._outcome = statement.numerical("__outcome")
        self._layout = layout
        self._bins = binner(layout.error_edges)

    def add(self, batch: Batch, tables: list[tuple[Groups, OutcomeTotals]]) -> None:
        """Adds the batch's labelled rows to the totals of each table of groups."""
        prediction, outcome = batch.numbers(self._prediction), batch.numbers(self._outcome)
        labelled = _present(outcome)
        rows = np.flatnonzero(labelled & _finite(outcome) & _finite(prediction))
        y, e = outcome.values[rows], prediction.values[rows] - outcome.values[rows]
        d, e2 = y - self._layout.centre, e * e
        d2 = d * d
        scored = np.zeros(batch.n_rows, bool)
        scored[rows] = True
        nonzero = scored.copy()
        nonzero[rows] = y != 0
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            ape = np.where(y != 0, np.abs(e / y), 0.0)
        sums = (e, np.abs(e), e2, e2 * e2, ape, ape * ape, d, d2, d2 * d, d2 * d2, e2 * d, e2 * d2)
        assert len(sums) == len(REGRESSION_SUMS)
        bins = self._bins(e)
        for groups, totals in tables:
            by = _Sums(groups, rows)
            heads = _heads(groups, batch.n_rows, labelled, scored, nonzero)
            totals.add(groups.ids, [heads, by.by_bin(bins, self._bins.n_bins)], [by.of(*sums)])


class ClassificationReader:
    """Reads classes and scores of a classification."""

    def __init__(self, statement: Statement, layout: OutcomeLayout) -> None:
        self._layout = layout
        self._prediction = statement.code("__prediction", layout.classes)
        self._outcome = statement.code("__outcome", layout.classes)
        binary = layout.task == "binary"
        names = ["__score"] if binary else [f"__score_{i}" for i in range(len(layout.scored))]
        self._scores = [statement.numerical(name) for name in names[: len(layout.scored)]]
        self._codes = [layout.classes.index(c) + 1 for c in layout.scored]
        self._bins = binner(layout.score_edges)

    def add(self, batch: Batch, tables: list[tuple[Groups, OutcomeTotals]]) -> None:
        """Adds the batch's labelled rows to the totals of each table of groups."""
        outcome, predicted = batch.codes(self._outcome), batch.codes(self._prediction)
        labelled = np.flatnonzero(outcome)
        k = len(self._layout.classes)
        truth, guess = outcome[labelled], predicted[labelled]
        # Codes 1 … K are classes, K + 1 is unknown, 0 a missing prediction.
        confusion = (truth.astype(np.intp) - 1) * (k + 2) + np.where(guess == 0, k + 1, guess - 1)
        scores = [batch.numbers(position) for position in self._scores]
        scored, losses = self._losses(scores, outcome)
        by_class = [_ClassScores(s, code, outcome, self._bins) for s, code in zip(scores, self._codes, strict=True)]
        for groups, totals in tables:
            heads = _heads(groups, batch.n_rows, outcome != 0, scored)
            parts = [c.by_group(groups) for c in by_class]
            counts = [heads, *(p[0] for p in parts), *(p[1] for p in parts), *(p[2] for p in parts)]
            counts.append(_Sums(groups, labelled).by_bin(confusion, (k + 1) * (k + 2)))
            sums = [*(p[3] for p in parts), *(p[4] for p in parts), _Sums(groups, np.flatnonzero(scored)).of(*losses)]
            totals.add(groups.ids, counts, sums)

    def _losses(self, scores: list[Numbers], outcome: NDArray[np.integer]) -> tuple[NDArray, list[NDArray[np.float64]]]:
        """Labelled rows whose scores are all finite, and their ``CLASSIFICATION_SUMS``."""
        scored = (outcome != 0) if scores else np.zeros(len(outcome), bool)
        for s in scores:
            scored = scored & _finite(s)
        rows = np.flatnonzero(scored)
        truth = outcome[rows]
        squared, of_truth = np.zeros(len(rows)), np.zeros(len(rows))
        for s, code in zip(scores, self._codes, strict=True):
            p, hit = s.values[rows], truth == code
            squared += (p - hit) ** 2
            # Binary: the score is of the positive class, so any other outcome had 1 - p.
            of_truth += np.where(hit, p, 1 - p if self._layout.task == "binary" else 0.0)
        log_loss = -np.log(np.clip(of_truth, CLIP, 1 - CLIP))
        sums = [squared, squared * squared, log_loss, log_loss * log_loss]
        assert len(sums) == len(CLASSIFICATION_SUMS)
        return scored, sums


class _ClassScores:
    """The scores of one class in a batch, binned once for all groupings."""

    def __init__(self, score: Numbers, code: int, outcome: NDArray[np.integer], bins: Binner) -> None:
        finite = _finite(score)
        self._rows = None if finite.all() else np.flatnonzero(finite)
        self._p = score.values if self._rows is None else score.values[self._rows]
        truth = outcome if self._rows is None else outcome[self._rows]
        self._bins, self._n_bins = bins(self._p), bins.n_bins
        # Three states a bin, so that one count yields unlabelled, labelled and positive.
        self._state = (truth != 0).astype(np.int64) + (truth == code)

    def by_group(self, groups: Groups) -> tuple[NDArray, NDArray, NDArray, NDArray, NDArray]:
        """(G, B) all, labelled and positive rows by bin, then the sums of all and of the labelled scores."""
        by, n = _Sums(groups, self._rows), 3 * self._n_bins
        combined = self._bins * np.int64(3) + self._state
        counts = by.by_bin(combined, n).reshape(groups.n, -1, 3)
        sums = by.by_bin(combined, n, self._p).reshape(groups.n, -1, 3)
        return counts.sum(2), counts[:, :, 1:].sum(2), counts[:, :, 2], sums.sum(2), sums[:, :, 1:].sum(2)


def _present(numbers: Numbers) -> NDArray[np.bool_]:
    return np.ones(len(numbers.values), bool) if numbers.valid is None else numbers.valid


def _finite(numbers: Numbers) -> NDArray[np.bool_]:
    finite = np.isfinite(numbers.values)
    return finite if numbers.valid is None else finite & numbers.valid


def outcome_reader(layout: OutcomeLayout, statement: Statement) -> RegressionReader | ClassificationReader:
    """The reader of the layout's task."""
    return (RegressionReader if layout.task == "regression" else ClassificationReader)(statement, layout)
