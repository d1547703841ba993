"""Captured: the features of a batch as rows of numbers and codes, filled column by column."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monitoring_pipeline.prediction_log.rows import MISSING, MISSING_CODE, Oddities, RowSchema
from monitoring_pipeline.prediction_log.values import as_code, as_number, category_codes, truncated

NoteError = Callable[[str, str, int], None]  # column, reason, how often
EXTRA, ROW = "__extra__", "__row__"  # columns of errors that are no column's: labels stay bounded by the reference


@dataclass
class Captured:
    """Features of ``n`` rows: numbers (n, numerical features), codes (n, categorical features)."""

    numbers: NDArray[np.float64]
    codes: NDArray[np.uint16]
    oddities: Oddities = field(default_factory=dict)

    def odd(self, row: int, column: str, what: Any) -> None:
        """Notes what is wrong with a value, for the log."""
        self.oddities.setdefault(str(row), {})[column] = what


class FeatureColumns:
    """The features of a schema by kind, and how a column of each is read into a ``Captured``.

    ``note`` hears of every input error. Nothing here raises for a value's sake.
    """

    def __init__(self, schema: RowSchema, note: NoteError) -> None:
        self.numerical = [c.name for c in schema.numerical if c.role == "feature"]
        categorical = [c for c in schema.categorical if c.role == "feature"]
        self.categorical = [c.name for c in categorical]
        self.categories = [c.categories for c in categorical]
        self.lookups = [category_codes(c) for c in categorical]
        self.note = note

    def empty(self, n: int) -> Captured:
        """All missing; in memory column after column, for so they are filled."""
        return Captured(
            np.full((n, len(self.numerical)), MISSING, order="F"),
            np.full((n, len(self.categorical)), MISSING_CODE, np.uint16, order="F"),
        )

    def absent(self, into: Captured, name: str) -> None:
        """A feature that no row has."""
        self.note(name, "absent", len(into.numbers))
        for i in range(len(into.numbers)):
            into.odd(i, name, ["absent", None])

    def read_numbers(self, into: Captured, j: int, values: Sequence[Any]) -> None:
        """Any objects as the ``j``-th numerical feature."""
        name, wrong = self.numerical[j], Counter[str]()
        for i, value in enumerate(values):
            number, reason = as_number(value)
            into.numbers[i, j] = number
            if reason:
                wrong[reason] += 1
                into.odd(i, name, [reason, truncated(value)])
        self._note_all(name, wrong)

    def read_codes(self, into: Captured, j: int, values: Sequence[Any]) -> None:
        """Any objects as the ``j``-th categorical feature; all at once where the reference knows each."""
        name, lookup = self.categorical[j], self.lookups[j]
        try:
            into.codes[:, j] = np.fromiter(map(lookup.__getitem__, values), np.uint16, len(values))
            return
        except (KeyError, TypeError):
            pass
        wrong = Counter[str]()
        for i, value in enumerate(values):
            code, text, reason = as_code(value, lookup)
            into.codes[i, j] = code
            if text is not None:
                into.odd(i, name, text)
            if reason:
                wrong[reason] += 1
                into.odd(i, name, [reason, truncated(value)])
        self._note_all(name, wrong)

    def read_categories(self, into: Captured, j: int, positions: NDArray[Any], categories: Sequence[Any]) -> None:
        """The ``j``-th categorical feature given as positions in ``categories``, -1 for missing: each category is
        looked up once, not each row."""
        name, lookup = self.categorical[j], self.lookups[j]
        known = [as_code(category, lookup) for category in categories]
        into.codes[:, j] = np.array([*(code for code, _, _ in known), MISSING_CODE], np.uint16)[positions]
        odd = [text is not None or reason is not None for _, text, reason in known]
        wrong = Counter[str]()
        for row in np.flatnonzero(np.array([*odd, False], bool)[positions]).tolist():
            _, text, reason = known[positions[row]]
            into.odd(row, name, text if text is not None else [reason, None])
            if reason:
                wrong[reason] += 1
        self._note_all(name, wrong)

    def _note_all(self, name: str, wrong: Counter[str]) -> None:
        for reason, n in wrong.items():
            self.note(name, reason, n)
