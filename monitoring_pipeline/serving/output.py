"""Output: what a model answered, as prediction and scores in the reference's terms."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from monitoring_pipeline.prediction_log.rows import MISSING, MISSING_CODE, RowSchema
from monitoring_pipeline.prediction_log.values import as_category, as_code, as_number, category_codes, truncated
from monitoring_pipeline.profiles.layout import ColumnLayout, Layout
from monitoring_pipeline.serving.named_answers import FieldNames, Roles, columns_of, fields_of

logger = logging.getLogger(__name__)
_PLAIN = (str, int, float, list, type(None))
OutputForm = Literal["auto", "prediction", "score", "scores"]
FORMS: dict[str, OutputForm] = {"predict": "prediction", "predict_proba": "scores", "decision_function": "scores"}
"""What the methods of a classifier answer."""


@dataclass(frozen=True)
class Answer:
    """Of one row: numbers and codes of the outputs in the schema's order; ``oddities`` as a row's."""

    numbers: tuple[float, ...]
    codes: tuple[int, ...]
    oddities: dict[str, Any] = field(default_factory=dict)


@dataclass
class Answers:
    """Of a batch: numbers (n, numerical outputs), codes (n, categorical outputs)."""

    numbers: NDArray[np.float64]
    codes: NDArray[np.uint16]
    oddities: dict[int, dict[str, Any]] = field(default_factory=dict)


class Output:
    """Reads answers.

    What has names — a mapping, a named tuple, an object with fields, a frame — is read by them
    (``serving.named_answers``), of a batch each field as many as rows. Else by ``form``; ``auto`` is: regression — the
    number is the prediction. Classification — as many floats as classes, which add up to one, are the scores in
    the order of ``classes`` (the model's ``classes_``; else the reference's); a float is the positive class's score;
    any other single value is the predicted class. What is neither is ambiguous: logged without an answer, and an
    error. A class that is not given follows from the scores: the greatest, of one score at ``threshold``.
    """

    def __init__(
        self,
        layout: Layout,
        schema: RowSchema,
        form: OutputForm = "auto",
        classes: Sequence[Any] | None = None,
        threshold: float = 0.5,
    ) -> None:
        self._threshold = threshold
        outcome = layout.outcome
        self._regression = outcome.task == "regression"
        self._form = form
        self._labels = outcome.classes
        self._scored = outcome.scored or outcome.classes[1:2]
        self._order = _order(classes, outcome.classes)
        self._picks = [self._order.index(c) for c in self._scored]
        self._n_classes = len(self._order)
        predictions = [c for c in schema.columns if c.role == "prediction"]
        self._prediction: ColumnLayout | None = predictions[0] if predictions else None
        self._codes = (
            category_codes(self._prediction) if self._prediction and self._prediction.kind == "categorical" else {}
        )
        self._code_by_position = [self._codes.get(c, MISSING_CODE) for c in self._order]
        self._outputs = [c for c in schema.numerical if c.role != "feature"]
        self._n_scores = sum(c.role == "score" for c in self._outputs)
        self._has_class = bool(self._prediction and self._prediction.kind == "categorical")
        of_scores = [c.name for c in self._outputs if c.role == "score"]
        self._names = FieldNames(
            self._prediction.name if self._prediction else None,
            dict(zip(of_scores, self._scored, strict=False)),
            self._order,
        )

    def one(self, answer: Any) -> Answer:
        """Of one row. An answer that cannot be read is logged as missing with what it was."""
        if type(answer) is not float and type(answer) is not str:
            if (named := self._named(answer)) is not None:
                return named
            answer = _unwrapped(answer)
            if not isinstance(answer, _PLAIN) and (named := self._named(answer)) is not None:
                return named
        form = self._guess(answer) if self._form == "auto" else self._form
        if form is None:
            return self._ambiguous(answer)
        if form == "prediction":
            return self.given(answer, None)
        return self.given(None, answer)

    def _guess(self, answer: Any) -> OutputForm | None:
        if self._regression:
            return "prediction"
        if isinstance(answer, list):
            return "scores" if self._are_scores(answer) else None
        return "score" if isinstance(answer, float) else "prediction"

    def _are_scores(self, values: list[Any]) -> bool:
        """Whether they can be the classes' shares: a class and its score are no two scores. NaN is for the log."""
        if not all(isinstance(v, float) for v in values):
            return False
        return self._threshold == 0.0 or not abs(sum(values) - 1.0) > _rounded(len(values))

    def _named(self, answer: Any) -> Answer | None:
        """By the names of its fields; None of what has none. Of one column alone the name need not tell anything."""
        fields = fields_of(answer)
        if fields is None:
            return None
        roles = self._names.roles(tuple(fields))
        if roles is not None:
            return self.given(_unwrapped(roles.prediction_of(fields)), roles.score_of(fields))
        if len(fields) == 1 and hasattr(answer, "to_numpy"):
            return None
        return self._ambiguous(answer)

    def _ambiguous(self, answer: Any) -> Answer:
        nothing = self.given(None, None)
        return Answer(nothing.numbers, nothing.codes, {"__row__": ["answer", truncated(answer)]})

    def given(self, prediction: Any, score: Any) -> Answer:
        """From a prediction, a score (binary) or scores (in the order of the classes, or by class), or both."""
        odd: dict[str, Any] = {}
        scores, position = self._scores(score, odd)
        codes: tuple[int, ...] = ()
        numbers = scores
        if self._has_class:
            assert self._prediction is not None
            code = MISSING_CODE if position is None else self._code_by_position[position]
            if prediction is not None:
                code, text, reason = as_code(prediction, self._codes)
                if text is not None or reason:
                    odd[self._prediction.name] = text if text is not None else [reason, truncated(prediction)]
            codes = (code,)
        elif self._prediction is not None:
            number, reason = as_number(prediction)
            if reason:
                odd[self._prediction.name] = [reason, truncated(prediction)]
            numbers = (number, *scores)
        return Answer(numbers, codes, odd)

    def _scores(self, score: Any, odd: dict[str, Any]) -> tuple[tuple[float, ...], int | None]:
        """The scores that are logged, and the position of the class they speak for."""
        n = self._n_scores
        if type(score) is float and len(self._scored) == 1:
            return (score,)[:n], self._binary_position(score)
        if score is None:
            return (MISSING,) * n, None
        if isinstance(score, Mapping):
            score = self._in_order(score)
        elif not isinstance(score, list):
            score = _unwrapped(score)
        read = [as_number(v) for v in score] if isinstance(score, list) else [as_number(score)]
        if any(reason for _, reason in read):
            odd["__row__"] = ["scores", truncated(score)]
            return (MISSING,) * n, None
        values = [number for number, _ in read]
        if len(values) == 1 and len(self._scored) == 1:
            return (values[0],)[:n], self._binary_position(values[0])
        if len(values) != self._n_classes:
            odd["__row__"] = ["scores", truncated(score)]
            return (MISSING,) * n, None
        position = None if any(v != v for v in values) else max(range(len(values)), key=values.__getitem__)
        return tuple(values[i] for i in self._picks)[:n], position

    def _in_order(self, scores: Mapping[Any, Any]) -> list[Any]:
        """Scores that were given by class, in the order of the classes; of none of them when no class is known."""
        by_class = {as_category(c)[0]: score for c, score in scores.items()}
        if by_class.keys().isdisjoint(self._order):
            return []
        if self._n_classes == 2:  # the other class's score follows
            for one, other in (self._order, self._order[::-1]):
                number, reason = as_number(by_class.get(one))
                if other not in by_class and not reason:
                    by_class[other] = 1.0 - number
        return [by_class.get(c, 0.0) for c in self._order]

    def _binary_position(self, score: float) -> int | None:
        if score != score or not self._picks:
            return None
        return self._picks[0] if score >= self._threshold else self._n_classes - 1 - self._picks[0]

    def many(self, answers: Any, n: int) -> Answers | None:
        """Of a batch of ``n``; None when the answer is not one of ``n``. A batch of one may be answered as a row is."""
        if (columns := self._columns(answers)) is not None:
            roles = self._names.roles(tuple(columns))
            if roles is not None:
                return self._by_name(columns, roles, n)
            if len(columns) != 1 or not hasattr(answers, "to_numpy"):
                return None
        if hasattr(answers, "to_numpy"):
            answers = answers.to_numpy()
        if isinstance(answers, np.ndarray) and answers.dtype.kind == "f" and answers.ndim and len(answers) == n:
            fast = self._array(answers)
            if fast is not None:
                return fast
        listed = _listed(answers)
        if listed is None or len(listed) != n:
            return self._gathered([self.one(answers)]) if n == 1 and _is_readable(answers) else None
        return self._gathered([self.one(a) for a in listed])

    def _columns(self, answers: Any) -> Mapping[Any, Any] | None:
        """Of a batch whose parts have names; of objects and Series too, where the names are those of an answer."""
        if isinstance(answers, np.ndarray | list) and getattr(getattr(answers, "dtype", None), "names", None) is None:
            return None
        columns = columns_of(answers)
        if columns is not None or hasattr(answers, "columns") or not _is_readable(answers):
            return columns
        fields = fields_of(answers)
        if fields is None or hasattr(answers, "_fields"):
            return fields
        roles = self._names.roles(tuple(fields))
        if roles is None or (roles.by_class and hasattr(answers, "index")):  # the labels of a Series' rows
            return None
        return fields

    def _by_name(self, columns: Mapping[Any, Any], roles: Roles, n: int) -> Answers | None:
        """Fields of as many values each as there are rows."""
        predictions = _column(roles.prediction_of(columns), n)
        scores = roles.score_of(columns)
        if roles.by_class:
            by_class = {label: _column(column, n) for label, column in scores.items()}
            if any(column is None for column in by_class.values()):
                return None
            rows = zip(*by_class.values(), strict=True)
            scores = [dict(zip(by_class, row, strict=True)) for row in rows]
        else:
            scores = _column(scores, n)
        if predictions is None or scores is None:
            return None
        return self._gathered([self.given(p, s) for p, s in zip(predictions, scores, strict=True)])

    def _gathered(self, each: Sequence[Answer]) -> Answers:
        n = len(each)
        return Answers(
            np.array([a.numbers for a in each], np.float64).reshape(n, len(self._outputs)),
            np.array([a.codes for a in each], np.uint16).reshape(n, int(self._has_class)),
            {i: a.oddities for i, a in enumerate(each) if a.oddities},
        )

    def _array(self, answers: NDArray[Any]) -> Answers | None:
        """Scores (n,) or (n, classes), or a regression's predictions; None for other forms."""
        n = len(answers)
        none = np.empty((n, 0), np.uint16)
        if self._regression:
            return (
                Answers(answers.reshape(n, 1).astype(np.float64), none) if answers.size == n and self._outputs else None
            )
        if self._form == "prediction":
            return None
        if answers.ndim == 2 and answers.shape[1] == self._n_classes and len(self._picks) == len(self._scored):
            if (
                self._form == "auto"
                and self._threshold
                and (np.abs(answers.sum(axis=1) - 1.0) > _rounded(self._n_classes)).any()
            ):
                return None  # not shares: read one by one, which says of which rows
            scores = answers[:, self._picks][:, : self._n_scores]
            position = answers.argmax(axis=1)
        elif answers.size == n and len(self._scored) == 1 and self._picks:
            scores = answers.reshape(n, 1)[:, : self._n_scores]
            other = self._n_classes - 1 - self._picks[0]
            position = np.where(answers.reshape(n) >= self._threshold, self._picks[0], other)
        else:
            return None
        codes = none
        if self._has_class:
            codes = np.asarray(self._code_by_position, np.uint16)[position].reshape(n, 1)
            nan = np.isnan(answers)
            if nan.any():
                codes[nan.reshape(n, -1).any(axis=1)] = MISSING_CODE
        return Answers(scores.astype(np.float64), codes)


def _order(given: Sequence[Any] | None, known: tuple[str, ...]) -> list[str]:
    """The model's classes as the reference writes them; by position where the model has other names for as many."""
    if given is None:
        return list(known)
    order = [as_category(c)[0] or "" for c in given]
    if set(known) <= set(order):
        return order
    logger.warning(
        "the model's classes are %s, the reference's %s: scores are taken in the reference's order", order, known
    )
    return list(known)


def _rounded(n: int) -> float:
    """How far the sum of ``n`` shares that were written with two decimals may be from one."""
    return 0.005 * n + 0.005


def _column(column: Any, n: int) -> list[Any] | None:
    """``n`` values; nothing of what is not there; None of another number of them."""
    listed = [None] * n if column is None else _listed(column)
    if listed is None or len(listed) != n:
        return [column] if n == 1 else None
    return listed


def _is_readable(answers: Any) -> bool:
    """Whether it may be looked at more than once: what an iterator gives is the caller's."""
    return not hasattr(answers, "__next__")


def _listed(answers: Any) -> list[Any] | None:
    """Answers one by one; None of what holds none, or may not be looked at."""
    if isinstance(answers, str | bytes | Mapping | Set) or not _is_readable(answers):
        return None
    try:
        listed = answers.tolist() if hasattr(answers, "tolist") else list(answers)
    except TypeError:
        return None
    return listed if isinstance(listed, list) else None


def _unwrapped(answer: Any) -> Any:
    """A scalar, text or flat list of scalars from whatever holds one row's answer."""
    if hasattr(answer, "to_numpy"):
        answer = answer.to_numpy()
    if hasattr(answer, "tolist"):
        answer = answer.tolist()
    if isinstance(answer, tuple):
        answer = list(answer)
    while isinstance(answer, list) and len(answer) == 1:
        answer = answer[0]
    return answer
