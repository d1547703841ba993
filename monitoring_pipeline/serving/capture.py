"""Capture: what a service sends and answers, as rows. Fast when the input is as declared, careful when it is not.

Accepted: one mapping (or object with fields), a list of them, a structured array, a 1-d or 2-d array in the reference's
feature order, a frame (anything with ``columns`` that gives a column by name), an Arrow table. In a frame NaN is
missing, as pandas means it; elsewhere it is NaN.
"""

from __future__ import annotations

import json
import logging
import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import starmap
from operator import itemgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monitoring_pipeline.prediction_log.rows import RowSchema
from monitoring_pipeline.prediction_log.values import ABSENT, as_code, as_mapping, as_number, truncated
from monitoring_pipeline.serving.captured import EXTRA, ROW, Captured, FeatureColumns, NoteError
from monitoring_pipeline.serving.frame_capture import FrameCapture
from monitoring_pipeline.serving.output import Answer

logger = logging.getLogger(__name__)

_NOT_A_NUMBER = (struct.error, OverflowError, TypeError, ValueError)
# What the fast way raises for a row that is not as declared.
_NOT_AS_DECLARED = (KeyError, IndexError, *_NOT_A_NUMBER)


def _getter(names: Sequence[str]) -> Callable[[Mapping[str, Any]], tuple[Any, ...]]:
    """itemgetter that always gives a tuple."""
    if not names:
        return lambda row: ()
    if len(names) == 1:
        only = names[0]
        return lambda row: (row[only],)
    return itemgetter(*names)


class Capture:
    """Rows of one schema. ``ignore``: keys that may stand beside the features. ``note`` hears of every input error."""

    def __init__(self, schema: RowSchema, ignore: frozenset[str], note: NoteError) -> None:
        self.schema, self._note = schema, note
        self._columns = FeatureColumns(schema, note)
        self._numerical, self._categorical = self._columns.numerical, self._columns.categorical
        self._codes = self._columns.lookups
        self._known = frozenset(schema.features) | ignore
        self._frames = FrameCapture(self._columns, self._known)
        self._n_features = len(schema.features)
        self._numbers_of, self._texts_of = _getter(self._numerical), _getter(self._categorical)
        self._each_text_of = [itemgetter(name) for name in self._categorical]
        self._pack = schema.single.pack
        self._pack_numbers = struct.Struct(f"<{len(self._numerical)}d").pack
        order = {name: i for i, name in enumerate(schema.features)}
        self._numerical_at = [order[n] for n in self._numerical]
        self._categorical_at = [order[n] for n in self._categorical]

    def one(
        self, row: dict[str, Any], answer: Answer, prediction_id: bytes, time: int, duration: float
    ) -> tuple[bytes, bytes]:
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
        self, row: dict[str, Any], answer: Answer, prediction_id: bytes, time: int, duration: float
    ) -> tuple[bytes, bytes]:
        odd: dict[str, Any] = dict(answer.oddities)
        numbers, codes = self._row(row, odd)
        tail = json.dumps({"0": odd}).encode() if odd else b""
        packed = self._pack(
            1, len(prediction_id), len(tail), time, duration, *numbers, *answer.numbers, *codes, *answer.codes
        )
        return packed, packed + prediction_id + tail

    def row(self, row: Any) -> dict[str, Any]:
        """A copy of one row by feature name; an empty one, and an error noted, when there is no telling."""
        if type(row) is dict:
            return row.copy()
        try:
            mapping = as_mapping(row)
            if mapping is not None:
                return dict(mapping)
            in_order = hasattr(row, "__len__") and not isinstance(row, str | bytes) and not hasattr(row, "columns")
            if in_order and len(row) == self._n_features:
                values = row.tolist() if hasattr(row, "tolist") else list(row)
                return dict(zip(self.schema.features, values, strict=True))
        except Exception as error:  # noqa: BLE001 — any object may come; it is counted and logged as an empty row
            logger.debug("a row could not be read: %s: %s", type(error).__name__, error)
        self._note(ROW, "type", 1)
        return {}

    def _row(self, row: Mapping[str, Any], odd: dict[str, Any]) -> tuple[list[float], list[int]]:
        """One row value by value; what is odd about it goes into ``odd``, what is wrong is noted."""
        numbers = self._read_numbers((row.get(name, ABSENT) for name in self._numerical), odd)
        codes = []
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
        self._note_extra(row)
        return numbers, codes

    def _read_numbers(self, values: Iterable[Any], odd: dict[str, Any]) -> list[float]:
        """The numerical features of one row, of whatever type they came in."""
        numbers = []
        for name, value in zip(self._numerical, values, strict=True):
            if type(value) is float:
                numbers.append(value)
                continue
            number, reason = as_number(value)
            numbers.append(number)
            if reason:
                self._wrong(name, reason, value, odd)
        return numbers

    def _note_extra(self, row: Mapping[str, Any]) -> None:
        """A row that lacks a feature may have another name for it: the number of keys alone does not tell."""
        if extra := len(row.keys() - self._known):
            self._note(EXTRA, "extra", extra)

    def _wrong(self, name: str, reason: str, value: Any, odd: dict[str, Any]) -> None:
        self._note(name, reason, 1)
        odd[name] = [reason, None if value is ABSENT else truncated(value)]

    # Batches.

    def many(self, rows: Any) -> Captured:
        """Features of a batch, copied. Never raises for the rows' sake: what cannot be read is noted, a row each."""
        try:
            return self._many(rows)
        except Exception as error:  # noqa: BLE001 — any object may look like a batch; it is counted and logged as read
            logger.debug("a batch could not be read: %s: %s", type(error).__name__, error)
        n = _length(rows)
        self._note(ROW, "type", n)
        captured = self._columns.empty(n)
        for i in range(n):
            captured.odd(i, ROW, ["type", truncated(type(rows).__name__)])
        return captured

    def _many(self, rows: Any) -> Captured:
        if hasattr(rows, "column_names") and hasattr(rows, "to_pandas"):  # a table of Arrow's
            rows = rows.to_pandas()
        if hasattr(rows, "columns") and hasattr(rows, "__getitem__"):
            return self._frames.capture(rows)
        if getattr(getattr(rows, "dtype", None), "names", None):
            return self._mappings([self.row(row) for row in rows])
        if hasattr(rows, "dtype") and getattr(rows, "ndim", 0) == 2:
            sparse = hasattr(rows, "toarray")
            if sparse and rows.shape[1] != self._n_features:  # too wide to be spread out, maybe
                return self._array(np.broadcast_to(np.float64(0), rows.shape))
            return self._array(rows.toarray() if sparse else np.asarray(rows))
        return self._mappings([row if type(row) is dict else self.row(row) for row in rows])

    def _mappings(self, rows: list[dict[str, Any]]) -> Captured:
        """All rows at once where each has every feature, else row by row."""
        captured = self._columns.empty(len(rows))
        try:
            texts = [list(map(text_of, rows)) for text_of in self._each_text_of]
            longest = max(map(len, rows), default=0)
            captured.numbers = self._packed(rows, captured)
        except KeyError:
            return self._one_by_one(rows)
        for j, values in enumerate(texts):
            self._columns.read_codes(captured, j, values)
        if longest > self._n_features:
            for row in rows:
                self._note_extra(row)
        return captured

    def _packed(self, rows: list[dict[str, Any]], into: Captured) -> NDArray[np.float64]:
        """(rows, numerical features). To pack a row and view the bytes is the fastest way from Python's numbers.

        Raises KeyError for a feature that is absent, before anything is noted.
        """
        try:
            packed = b"".join(starmap(self._pack_numbers, map(self._numbers_of, rows)))
        except _NOT_A_NUMBER:
            numbers = list(map(self._numbers_of, rows))
            packed = b"".join(self._pack_carefully(i, row, into) for i, row in enumerate(numbers))
        return np.frombuffer(packed).reshape(len(rows), len(self._numerical))

    def _pack_carefully(self, i: int, row: tuple[Any, ...], into: Captured) -> bytes:
        try:
            return self._pack_numbers(*row)
        except _NOT_A_NUMBER:
            odd: dict[str, Any] = {}
            numbers = self._read_numbers(row, odd)
            if odd:
                into.oddities[str(i)] = odd
            return self._pack_numbers(*numbers)

    def _one_by_one(self, rows: list[dict[str, Any]]) -> Captured:
        captured = self._columns.empty(len(rows))
        for i, row in enumerate(rows):
            odd: dict[str, Any] = {}
            captured.numbers[i], captured.codes[i] = self._row(row, odd)
            if odd:
                captured.oddities[str(i)] = odd
        return captured

    def _array(self, array: NDArray[Any]) -> Captured:
        """A matrix in the order of the reference's features."""
        if array.dtype.kind in "fiub" and array.shape[1] == self._n_features == len(self._numerical):
            return Captured(np.array(array, np.float64), np.empty((len(array), 0), np.uint16))
        captured = self._columns.empty(len(array))
        if array.shape[1] != self._n_features:
            self._note(ROW, "width", len(array))
            for i in range(len(array)):
                captured.odd(i, ROW, ["width", f"{array.shape[1]} values for {self._n_features} features"])
            return captured
        if array.dtype.kind in "fiub":
            captured.numbers[:] = array[:, self._numerical_at]
        else:
            for j, at in enumerate(self._numerical_at):
                self._columns.read_numbers(captured, j, array[:, at].tolist())
        for j, at in enumerate(self._categorical_at):
            self._columns.read_codes(captured, j, array[:, at].tolist())
        return captured


def _length(rows: Any) -> int:
    """How many rows something is that cannot be read; 1 when it does not say."""
    shape = getattr(rows, "shape", None)
    try:
        return int(shape[0]) if shape else len(rows)
    except Exception:  # noqa: BLE001 — an object's own __len__ may raise anything; it is counted as one row
        return 1


__all__ = ["Capture", "Captured"]
