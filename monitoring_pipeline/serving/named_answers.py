"""Named answers: which fields of what a model answered hold the prediction and the scores.

A field is read by its name and never by its position: ``prediction`` and ``score``, the monitor's own columns of the
two, one of the usual other names, or the names of the classes. Names that tell nothing, or two things, are ambiguous.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np

from monitoring_pipeline.prediction_log.values import as_category, as_mapping

PREDICTION = ("prediction", "predicted", "predicted_class", "predicted_label", "label", "class")
SCORE = ("score", "scores", "probability", "probabilities", "proba")
MOST_KNOWN = 64  # sets of names that are kept: those of a service are few
_NAMELESS = (list, str, bytes, int, float, complex, Enum, np.ndarray, np.number, type(None))


@dataclass(frozen=True)
class Roles:
    """Names of the fields: of the prediction, of the score or scores, or of each class's score."""

    prediction: Hashable | None = None
    score: Hashable | None = None
    by_class: tuple[tuple[str, Hashable], ...] = ()

    def prediction_of(self, fields: Mapping[Any, Any]) -> Any:
        """What stands in the field of the prediction."""
        return None if self.prediction is None else fields[self.prediction]

    def score_of(self, fields: Mapping[Any, Any]) -> Any:
        """What stands in the field of the score, or in those of the classes, by class."""
        if self.by_class:
            return {label: fields[name] for label, name in self.by_class}
        return None if self.score is None else fields[self.score]


class FieldNames:
    """The fields of one model's answers."""

    def __init__(self, prediction: str | None, scores: Mapping[str, str], classes: Sequence[str]) -> None:
        """``prediction``, ``scores`` (column -> class): the log's own columns; ``classes``: all of them."""
        self._predictions = {*PREDICTION[1:], *([prediction] if prediction else [])} - {SCORE[0]}
        self._scores = {*SCORE[1:], *(scores if len(scores) == 1 else ())} - {PREDICTION[0]}
        self._columns = scores if len(scores) > 1 else {}
        self._classes = frozenset(classes)
        self._known: dict[tuple[Any, ...], Roles | None] = {}

    def roles(self, names: tuple[Any, ...]) -> Roles | None:
        """None when the names tell nothing, or two things."""
        try:
            return self._known[names]
        except KeyError:
            found = self._roles(names)
        except TypeError:  # a name that cannot be one
            return None
        if len(self._known) < MOST_KNOWN:
            self._known[names] = found
        return found

    def _roles(self, names: tuple[Any, ...]) -> Roles | None:
        predictions = _named(names, PREDICTION[0], self._predictions)
        scores = _named(names, SCORE[0], self._scores)
        if len(predictions) > 1 or len(scores) > 1:
            return None
        columns: tuple[tuple[str, Hashable], ...] = tuple(
            (label, name) for name, label in self._columns.items() if name in names
        )
        if len(columns) < len(self._columns) or scores:
            columns = ()
        if not (predictions or scores or columns):
            columns = self._by_class(names)
            if not columns:
                return None
        return Roles(next(iter(predictions), None), next(iter(scores), None), columns)

    def _by_class(self, names: tuple[Any, ...]) -> tuple[tuple[str, Hashable], ...]:
        """Where every class is a field, or every field a class."""
        labels = {as_category(name)[0] or "": name for name in names}
        if self._classes <= labels.keys() or labels.keys() <= self._classes:
            return tuple((label, name) for label, name in labels.items() if label in self._classes)
        return ()


def _named(names: tuple[Any, ...], first: str, others: set[str]) -> list[Any]:
    return [first] if first in names else [name for name in names if name in others]


def fields_of(answer: Any) -> Mapping[Any, Any] | None:
    """The fields of one row's answer by name; None of what has no names, or names of rows alone."""
    if isinstance(answer, Mapping):
        return answer
    if isinstance(answer, _NAMELESS) or type(answer) is tuple or hasattr(answer, "__next__"):
        return None
    table = columns_of(answer)
    if table is not None:
        return {name: column[0] for name, column in table.items() if len(column) == 1}
    if hasattr(answer, "columns"):
        return None
    if hasattr(answer, "index") and hasattr(answer, "keys"):  # a Series
        return _series(answer)
    return as_mapping(answer)


def _series(answer: Any) -> Mapping[Any, Any] | None:
    """By its labels, where they are texts or stand in an order that somebody gave them."""
    labels = list(answer.keys())
    texts = all(isinstance(label, str) for label in labels)
    if not texts and (len(labels) < 2 or labels == list(range(len(labels)))):
        return None
    return dict(zip(labels, answer.tolist(), strict=True))


def columns_of(answers: Any) -> Mapping[Any, Sequence[Any]] | None:
    """Columns of a batch by name: of a frame, an Arrow table, a structured array, an object whose fields are columns.

    None of what has none, and of a frame whose columns have no names but their positions.
    """
    if isinstance(answers, Mapping):
        return answers
    if hasattr(answers, "column_names") and hasattr(answers, "to_pydict"):
        table: Mapping[Any, Sequence[Any]] = answers.to_pydict()
        return table
    names = getattr(getattr(answers, "dtype", None), "names", None)
    if names and getattr(answers, "ndim", 0) == 1:
        return {name: answers[name].tolist() for name in names}
    if hasattr(answers, "columns") and hasattr(answers, "__getitem__"):
        columns = list(answers.columns)
        if _positions(columns):
            return None
        return {name: _listed(answers[name]) for name in columns}
    return None


def _positions(columns: list[Any]) -> bool:
    """Whether the names are those a frame gets that was given none: pandas' 0, 1, …, Polars' column_0, column_1, …"""
    n = len(columns)
    return columns == list(range(n)) or columns == [f"column_{i}" for i in range(n)]


def _listed(column: Any) -> list[Any]:
    found = column.to_list() if hasattr(column, "to_list") else column.tolist()
    return found if isinstance(found, list) else [found]
