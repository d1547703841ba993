"""Capture: what a service sends and answers, as rows. Fast when the input is as declared, careful when it is not.

Accepted: one mapping (or object with fields), a list of them, a 1-d or 2-d array in the reference's feature order, a
frame
(anything with ``columns`` that gives a column by name). In a frame NaN is missing, as pandas means it; elsewhere it
is NaN.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monitoring_pipeline.serving.output import Answer
from monitoring_pipeline.serving.rows import MISSING, MISSING_CODE, UNSEEN_CODE, Oddities, RowSchema
from monitoring_pipeline.serving.values import ABSENT, as_code, as_mapping, as_number, category_codes, truncated

NoteError = Callable[[str, str, int], None]  # column, reason, how often
# What the fast way raises for a row that is not as declared.
_NOT_AS_DECLARED = (KeyError, TypeError, IndexError, struct.error, OverflowError, ValueError)
EXTRA, ROW = "__extra__", "__row__"  # columns of errors that are no column's: labels stay bounded by the reference


def _getter(names: Sequence[str]) -> Callable[[Mapping[str, Any]], tuple[Any, ...]]:
    """itemgetter that always gives a tuple."""
    if not names:
        return lambda row: ()
    if len(names) == 1:
        only = names[0]
        return lambda row: (row[only],)
    return itemgetter(*names)


@dataclass
class Captured:
    """Features of ``n`` rows: numbers (n, numerical features), codes (n, categorical features)."""

    numbers: NDArray[np.float64]
    codes: NDArray[np.uint16]
    oddities: Oddities = field(default_factory=dict)

    def odd(self, row: int, column: str, what: Any) -> None:
        self.oddities.setdefault(str(row), {})[column] = what


class Capture:
    """Rows of one schema. ``ignore``: keys that may stand beside the features. ``note`` hears of every input error."""

    def __init__(self, schema: RowSchema, ignore: frozenset[str], note: NoteError) -> None:
        self.schema, self._note = schema, note
        self._numerical = [c.name for c in schema.numerical if c.role == "feature"]
        categorical = [c for c in schema.categorical if c.role == "feature"]
        self._categorical = [c.name for c in categorical]
        self._codes = [category_codes(c) for c in categorical]
        self._known = frozenset(schema.features) | ignore
        self._n_features = len(schema.features)
        self._numbers_of, self._texts_of = _getter(self._numerical), _getter(self._categorical)
        self._pack = schema.single.pack
        n, c = len(self._numerical), len(self._categorical)
        self._features = struct.Struct(f"<{n}d{c}H")
        self._features_dtype = np.dtype([("numbers", "<f8", (n,)), ("codes", "<u2", (c,))])
        order = {name: i for i, name in enumerate(schema.features)}
        self._numerical_at = [order[n] for n in self._numerical]
        self._categorical_at = [order[n] for n in self._categorical]

    def one(self, row: Any, answer: Answer, prediction_id: bytes, time: int, duration: float) -> tuple[bytes, bytes]:
        """(the packed row with its head, the whole frame body) of one row. Never raises for the row's sake."""
        try:
            packed = self._pack(
                1, len(prediction_id), 0, time, duration, *self._numbers_of(row), *answer.numbers,
                *[codes[v] for codes, v in zip(self._codes, self._texts_of(row), strict=True)], *answer.codes,
            )  # fmt: skip
            if len(row) <= self._n_features and not answer.oddities:
                return packed, packed + prediction_id
        except _NOT_AS_DECLARED:
            pass
        return self._carefully(row, answer, prediction_id, time, duration)

    def _carefully(
        self, row: Any, answer: Answer, prediction_id: bytes, time: int, duration: float
    ) -> tuple[bytes, bytes]:
        mapping = self._mapping(row)
        odd: dict[str, Any] = dict(answer.oddities)
        numbers, codes = self._row(mapping, odd)
        tail = json.dumps({"0": odd}).encode() if odd else b""
        packed = self._pack(
            1, len(prediction_id), len(tail), time, duration, *numbers, *answer.numbers, *codes, *answer.codes
        )
        return packed, packed + prediction_id + tail

    def _mapping(self, row: Any) -> Mapping[str, Any]:
        """The row by feature name; an empty one, and an error noted, when there is no telling."""
        try:
            mapping = as_mapping(row)
            if mapping is None and hasattr(row, "__len__") and not isinstance(row, str | bytes):
                values = row.tolist() if hasattr(row, "tolist") else list(row)
                if len(values) == self._n_features:
                    return dict(zip(self.schema.features, values, strict=True))
        except Exception:  # noqa: BLE001 — any object may come; it is counted below and logged as a row without features
            mapping = None
        if mapping is None:
            self._note(ROW, "type", 1)
            return {}
        return mapping

    def _row(self, row: Mapping[str, Any], odd: dict[str, Any]) -> tuple[list[float], list[int]]:
        """One row value by value; what is odd about it goes into ``odd``, what is wrong is noted."""
        numbers, codes = [], []
        for name in self._numerical:
            value = row.get(name, ABSENT)
            if type(value) is float:
                numbers.append(value)
                continue
            number, reason = as_number(value)
            numbers.append(number)
            if reason:
                self._wrong(name, reason, value, odd)
        for name, index in zip(self._categorical, self._codes, strict=True):
            value = row.get(name, ABSENT)
            code, text, reason = (
                (index[value], None, None) if type(value) is str and value in index else as_code(value, index)
            )
            codes.append(code)
            if text is not None:
                odd[name] = text
            if reason:
                self._wrong(name, reason, value, odd)
        extra = len(row.keys() - self._known) if len(row) > self._n_features else 0
        if extra:
            self._note(EXTRA, "extra", extra)
        return numbers, codes

    def _wrong(self, name: str, reason: str, value: Any, odd: dict[str, Any]) -> None:
        self._note(name, reason, 1)
        odd[name] = [reason, None if value is ABSENT else truncated(value)]

    # Batches.

    def many(self, rows: Any) -> Captured:
        """Features of a batch. Never raises for the rows' sake."""
        if hasattr(rows, "columns") and hasattr(rows, "__getitem__"):
            return self._frame(rows)
        if hasattr(rows, "dtype") and getattr(rows, "ndim", 0) == 2:
            return self._array(np.asarray(rows))
        return self._mappings(list(rows))

    def _mappings(self, rows: list[Any]) -> Captured:
        packed, oddities = [], {}
        pack, numbers_of, texts_of, lookups = self._features.pack, self._numbers_of, self._texts_of, self._codes
        for i, row in enumerate(rows):
            try:
                one = pack(*numbers_of(row), *[codes[v] for codes, v in zip(lookups, texts_of(row), strict=True)])
                if len(row) <= self._n_features:
                    packed.append(one)
                    continue
            except _NOT_AS_DECLARED:
                pass
            odd: dict[str, Any] = {}
            numbers, row_codes = self._row(self._mapping(row), odd)
            packed.append(pack(*numbers, *row_codes))
            if odd:
                oddities[str(i)] = odd
        found = np.frombuffer(b"".join(packed), self._features_dtype)
        return Captured(found["numbers"], found["codes"], oddities)

    def _array(self, array: NDArray[Any]) -> Captured:
        """A matrix in the order of the reference's features."""
        if array.dtype.kind in "fiub" and array.shape[1] == self._n_features == len(self._numerical):
            return Captured(np.asarray(array, np.float64), np.empty((len(array), 0), np.uint16))
        captured = self._empty(len(array))
        if array.shape[1] != self._n_features:
            self._note(ROW, "width", len(array))
            for i in range(len(array)):
                captured.odd(i, ROW, ["width", f"{array.shape[1]} values for {self._n_features} features"])
            return captured
        if array.dtype.kind in "fiub":
            captured.numbers[:] = array[:, self._numerical_at]
        else:
            for j, (name, at) in enumerate(zip(self._numerical, self._numerical_at, strict=True)):
                self._objects_as_numbers(captured, j, name, array[:, at].tolist())
        for j, at in enumerate(self._categorical_at):
            self._objects_as_codes(captured, j, array[:, at])
        return captured

    def _frame(self, frame: Any) -> Captured:
        captured = self._empty(len(frame))
        names = {str(c) for c in frame.columns}
        if missing_names := names - self._known:
            self._note(EXTRA, "extra", len(missing_names) * len(frame))
        whole = self._plain_numbers(frame)
        if whole is not None:
            captured.numbers = whole
        else:
            for j, name in enumerate(self._numerical):
                if name in names:
                    self._objects_as_numbers(captured, j, name, _listed(frame[name]), null_nan=True)
                else:
                    self._absent(captured, name)
        for j, name in enumerate(self._categorical):
            if name not in names:
                self._absent(captured, name)
                continue
            column = frame[name]
            categories = getattr(column, "cat", None)
            if hasattr(categories, "codes"):
                self._categories_as_codes(captured, j, categories)
            else:
                self._objects_as_codes(captured, j, _listed(column))
        return captured

    def _plain_numbers(self, frame: Any) -> NDArray[np.float64] | None:
        """The numerical features in one piece; None unless all are there and NumPy's own numbers."""
        try:
            block = frame[self._numerical].to_numpy()
        except Exception:  # noqa: BLE001 — each kind of frame has errors of its own; the columns are then taken one by one
            return None
        if block.dtype.kind not in "fiub" or block.ndim != 2:
            return None
        numbers: NDArray[np.float64] = block.astype(np.float64)
        numbers[np.isnan(numbers)] = MISSING
        return numbers

    def _categories_as_codes(self, into: Captured, j: int, given: Any) -> None:
        """A column of pandas' categories: each category is looked up once, not each row."""
        known = [as_code(category, self._codes[j]) for category in given.categories.tolist()]
        codes = np.asarray(given.codes)
        into.codes[:, j] = np.array([*(code for code, _, _ in known), MISSING_CODE], np.uint16)[codes]
        for at, (_, text, reason) in enumerate(known):
            if text is None and reason is None:
                continue
            for row in np.flatnonzero(codes == at).tolist():
                into.odd(row, self._categorical[j], text if text is not None else [reason, None])
                if reason:
                    self._note(self._categorical[j], reason, 1)

    def _absent(self, captured: Captured, name: str) -> None:
        self._note(name, "absent", len(captured.numbers))
        for i in range(len(captured.numbers)):
            captured.odd(i, name, ["absent", None])

    def _objects_as_numbers(self, into: Captured, j: int, name: str, values: list[Any], null_nan: bool = False) -> None:
        for i, value in enumerate(values):
            number, reason = as_number(value)
            into.numbers[i, j] = MISSING if null_nan and number != number else number
            if reason:
                self._note(name, reason, 1)
                into.odd(i, name, [reason, truncated(value)])

    def _objects_as_codes(self, into: Captured, j: int, values: Any) -> None:
        """Each distinct value is looked up once where the values allow it."""
        listed: list[Any] = values.tolist() if hasattr(values, "tolist") else values
        name, index = self._categorical[j], self._codes[j]
        try:
            into.codes[:, j] = list(map(index.__getitem__, listed))
            return
        except (KeyError, TypeError):
            pass
        for i, value in enumerate(listed):
            code, text, reason = as_code(value, index)
            into.codes[i, j] = code
            if text is not None:
                into.odd(i, name, text)
            if reason:
                self._note(name, reason, 1)
                into.odd(i, name, [reason, truncated(value)])

    def _empty(self, n: int) -> Captured:
        return Captured(
            np.full((n, len(self._numerical)), MISSING), np.full((n, len(self._categorical)), MISSING_CODE, np.uint16)
        )


def _listed(column: Any) -> list[Any]:
    """A frame's column as Python values; pandas and Polars alike."""
    return list(column.to_list() if hasattr(column, "to_list") else column)


__all__ = ["EXTRA", "ROW", "UNSEEN_CODE", "Capture", "Captured"]
