"""The layout that a reference fixes: bins by quantiles, the most frequent categories, edges for scores and errors."""

from __future__ import annotations

import numpy as np
from duckdb import DuckDBPyConnection
from numpy.typing import NDArray

from monitoring_pipeline.engines.statement import identifier
from monitoring_pipeline.lake.relation import Relation
from monitoring_pipeline.monitors.declaration import Monitor
from monitoring_pipeline.profiles.layout import ColumnLayout, Layout, OutcomeLayout, Role

BOOLEANS = ("false", "true")
OPPOSITE = {"1": "0", "0": "1", "true": "false", "false": "true", "yes": "no", "no": "yes"}
LEAST_NORMAL = float(np.finfo(np.float64).tiny)
SORTED_BYTES = 64 * 2**20  # numerical columns are fetched together as long as they fit
SCORE_QUANTILES = 100
ERROR_QUANTILES = 100
BINARY_GRID = tuple(i / 100 for i in range(1, 100))
MAX_SCALED = 200  # features that are compared pair by pair; the others are left out
MULTICLASS_GRID = tuple(i / 50 for i in range(1, 50))


def quantiles(ordered: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    """Of sorted values: those that end each of ``n`` parts of equal count, which right-closed bins then hold."""
    ranks = np.ceil(np.arange(1, n + 1) * (len(ordered) / n)).astype(np.intp) - 1
    return ordered[np.clip(ranks, 0, len(ordered) - 1)]


def bin_edges(ordered: NDArray[np.float64], bins: int) -> tuple[float, ...]:
    """Edges of a numerical column from its sorted finite values: a first edge just below the least value, then the
    distinct values where they are at most ``bins``, else the quantiles that cut into ``bins`` equal counts (ties make
    fewer)."""
    if not len(ordered):
        return ()
    distinct = ordered[np.concatenate(([True], ordered[1:] != ordered[:-1]))]
    ends = distinct if len(distinct) <= bins else np.unique(quantiles(ordered, bins))
    with np.errstate(over="ignore"):
        below = np.nextafter(ordered[0], -np.inf)
    if abs(below) < LEAST_NORMAL:
        below = -LEAST_NORMAL  # a denormal has no portable text
    edges = [below, *ends] if np.isfinite(below) else list(ends)
    return tuple(float(e) + 0.0 for e in edges)  # + 0.0 turns -0.0 into 0.0


def scale_of(values: NDArray[np.float64]) -> tuple[float, float] | None:
    """Mean and standard deviation of finite values; None without a spread, or when they overflow."""
    with np.errstate(over="ignore", invalid="ignore"):
        mean, sd = (float(values.mean()), float(values.std())) if len(values) else (0.0, 0.0)
    return (mean, sd) if np.isfinite(mean) and LEAST_NORMAL < sd < np.inf else None


class ReferenceReader:
    """Reads a reference. Exact: values are sorted, categories counted; a few columns at a time are in memory."""

    def __init__(self, connection: DuckDBPyConnection, relation: Relation, monitor: Monitor) -> None:
        self._connection, self._relation, self._monitor = connection, relation, monitor
        self._scales: dict[str, tuple[float, float]] = {}

    def layout(self) -> Layout:
        """Reads the relation and fixes bins, categories and edges of every column the monitor declares."""
        s, task = self._monitor.schema_, self._monitor.task
        numerical = dict.fromkeys(s.numerical)
        named = self._relation.column_of
        wanted = [(c, named(c), "feature") for c in s.features]
        if s.prediction:
            wanted.append((s.prediction, "__prediction", "prediction"))
        wanted += [(name, column, "score") for name, column in self._scores()]
        truth = self._monitor.ground_truth.outcome if self._monitor.ground_truth else self._monitor.reference.outcome
        if truth:
            wanted.append((truth, "__outcome", "target"))

        def is_numerical(name: str, role: str) -> bool:
            if role in ("score", "segment"):
                return role == "score"
            return name in numerical if role == "feature" else task == "regression"

        wanted += [(c, named(c), "segment") for c in self._monitor.segment_columns]
        values = self._edges([column for name, column, role in wanted if is_numerical(name, role)])
        columns: list[ColumnLayout] = []
        for name, column, role in wanted:
            if is_numerical(name, role):
                columns.append(ColumnLayout(name, _role(role), "numerical", edges=values[column]))
            else:
                categories = BOOLEANS if role == "feature" and name in s.boolean else self._categories(column)
                columns.append(ColumnLayout(name, _role(role), "categorical", categories=categories))
        scaled = [c for c in s.features if named(c) in self._scales and is_numerical(c, "feature")]
        scales = [(c, *self._scales[named(c)]) for c in scaled]
        return Layout(tuple(columns), self._outcome(), tuple(scales[:MAX_SCALED]))

    def _scores(self) -> list[tuple[str, str]]:
        """(name in the log, name in the relation) of each score."""
        s = self._monitor.schema_
        if self._monitor.task == "binary":
            return [(s.score, "__score")] if s.score else []
        if self._monitor.task == "regression":
            return []
        return [(s.class_scores[c], f"__score_{i}") for i, c in enumerate(sorted(s.class_scores))]

    def _has(self, column: str) -> bool:
        return column in self._relation.columns

    def _sql(self, template: str, **parts: str) -> str:
        return template.format(relation=f"({self._relation.sql}) AS __relation", **parts)

    def _finite(self, expressions: list[str]) -> list[NDArray[np.float64]]:
        """The finite values of each expression, sorted."""
        listed = ", ".join(f"{e} AS __c{i}" for i, e in enumerate(expressions))
        table = self._connection.sql(self._sql("SELECT {listed} FROM {relation}", listed=listed)).to_arrow_table()
        found = []
        for i in range(len(expressions)):
            x = table.column(i).drop_null().to_numpy()
            found.append(np.sort(x[np.isfinite(x)]))
        return found

    def _edges(self, columns: list[str]) -> dict[str, tuple[float, ...]]:
        n = self._connection.sql(self._sql("SELECT count(*) FROM {relation}")).fetchall()[0][0]
        at_once = max(1, SORTED_BYTES // (8 * max(n, 1)))
        distinct, edges = list(dict.fromkeys(columns)), {}
        for start in range(0, len(distinct), at_once):
            some = distinct[start : start + at_once]
            for column, ordered in zip(some, self._finite([self._double(c) for c in some]), strict=True):
                edges[column] = bin_edges(ordered, self._monitor.bins)
                if (scale := scale_of(ordered)) is not None:
                    self._scales[column] = scale
        return edges

    def _double(self, column: str) -> str:
        return f"CAST({identifier(column) if self._has(column) else 'NULL'} AS DOUBLE)"

    def _categories(self, column: str, limit: int | None = None) -> tuple[str, ...]:
        """The most frequent, ties by name. The others are counted as unseen, in the reference as in every window: its
        share of unseen is then not 0, and only a change of it is drift. So are those with a NUL, which no database
        holds."""
        if not self._has(column):
            return ()
        name = identifier(column)
        rows = self._connection.execute(
            self._sql(
                "SELECT CAST({name} AS VARCHAR) AS __category FROM {relation} WHERE {name} IS NOT NULL "
                "GROUP BY __category HAVING NOT contains(__category, chr(0)) "
                "ORDER BY count(*) DESC, __category LIMIT ?",
                name=name,
            ),
            [self._monitor.max_categories if limit is None else limit],
        ).fetchall()
        return tuple(row[0] for row in rows)

    def _outcome(self) -> OutcomeLayout:
        if self._monitor.task == "regression":
            return self._regression()
        return self._binary() if self._monitor.task == "binary" else self._multiclass()

    def _binary(self) -> OutcomeLayout:
        positive = self._monitor.schema_.positive_class
        seen = [c for column in ("__outcome", "__prediction") for c in self._categories(column, 2) if c != positive]
        negative = seen[0] if seen else OPPOSITE.get(positive, f"not {positive}")
        if not self._monitor.schema_.score:
            return OutcomeLayout("binary", (negative, positive))
        edges = self._score_edges(["__score"], BINARY_GRID)
        return OutcomeLayout("binary", (negative, positive), scored=(positive,), score_edges=edges)

    def _multiclass(self) -> OutcomeLayout:
        scored = tuple(sorted(self._monitor.schema_.class_scores))
        limit = self._monitor.max_categories
        seen = {c for column in ("__outcome", "__prediction") for c in self._categories(column, limit)}
        edges = MULTICLASS_GRID if scored else ()
        return OutcomeLayout("multiclass", tuple(sorted(seen | set(scored))), scored, edges)

    def _score_edges(self, columns: list[str], grid: tuple[float, ...]) -> tuple[float, ...]:
        """A fine grid, so that any usual threshold is an edge, and the reference's quantiles, so that AUC is tight."""
        ordered = self._finite([self._double(c) for c in columns])[0]
        found = quantiles(ordered, SCORE_QUANTILES).tolist() if len(ordered) else []
        return tuple(sorted({float(e) + 0.0 for e in (*grid, *found)}))

    def _regression(self) -> OutcomeLayout:
        prediction, outcome = self._double("__prediction"), self._double("__outcome")
        errors, outcomes = self._finite([f"{prediction} - {outcome}", outcome])
        if not len(errors):
            predictions = self._finite([prediction])[0]
            spread = float(predictions.std()) if len(predictions) > 1 else 0.0
            centre = float(predictions.mean()) if len(predictions) else 0.0
            errors = np.linspace(-4, 4, ERROR_QUANTILES + 1) * (spread or 1.0)
        else:
            centre = float(outcomes.mean())
        edges = np.unique(np.concatenate((errors[:1], quantiles(errors, ERROR_QUANTILES))))
        return OutcomeLayout("regression", error_edges=tuple(float(e) + 0.0 for e in edges), centre=centre)


def _role(role: str) -> Role:
    return role  # type: ignore[return-value]
