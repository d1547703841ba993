"""Frames: batches as pandas or Polars hold them, taken by column. Neither is imported here.

In a frame NaN is missing, as pandas means it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monitoring_pipeline.prediction_log.rows import MISSING, MISSING_CODE
from monitoring_pipeline.serving.captured import EXTRA, Captured, FeatureColumns

_TEXT_DTYPES = frozenset({"str", "string"})  # pandas' own names of its text columns, whatever holds them


@dataclass(frozen=True)
class FramePlan:
    """Where the features stand in a frame of these columns: position or, of an absent one, None."""

    columns: tuple[Any, ...]
    numerical: tuple[int | None, ...]
    categorical: tuple[int | None, ...]
    n_extra: int


class FrameCapture:
    """Reads frames. Those of a service have the same columns each time: what follows from them is kept."""

    def __init__(self, features: FeatureColumns, known: frozenset[str]) -> None:
        """``known``: names that are no extra columns."""
        self._features, self._known = features, known
        self._plan: FramePlan | None = None
        self._known_texts: dict[Any, Any] = {}  # (categorical feature, Arrow type) -> the reference's categories so
        self._known_categories: dict[int, tuple[Any, NDArray[Any]]] = {}  # feature -> its last categories, their codes

    def capture(self, frame: Any) -> Captured:
        """Features of a frame's rows. Never raises for the rows' sake."""
        features, plan, held = self._features, self._plan_of(frame), _columns(frame)
        captured = features.empty(len(frame))
        if plan.n_extra:
            features.note(EXTRA, "extra", plan.n_extra * len(frame))
        for j, at in enumerate(plan.numerical):
            if at is None:
                features.absent(captured, features.numerical[j])
            elif (values := _numbers(held[at])) is not None:
                captured.numbers[:, j] = values
            else:
                features.read_numbers(captured, j, _listed(held[at]))
        nan = np.isnan(captured.numbers)
        if nan.any():
            captured.numbers[nan] = MISSING
        for j, at in enumerate(plan.categorical):
            if at is None:
                features.absent(captured, features.categorical[j])
            elif (codes := self._known_codes(j, held[at])) is not None:
                captured.codes[:, j] = codes
            elif (found := _categories(held[at])) is not None:
                features.read_categories(captured, j, *found)
            else:
                features.read_codes(captured, j, _listed(held[at]))
        return captured

    def _plan_of(self, frame: Any) -> FramePlan:
        columns = tuple(frame.columns.tolist() if hasattr(frame.columns, "tolist") else frame.columns)
        plan = self._plan
        if plan is None or plan.columns != columns:
            at: dict[str, int] = {}
            for position, column in enumerate(columns):
                at.setdefault(str(column), position)
            numerical, categorical = (
                tuple(map(at.get, names)) for names in (self._features.numerical, self._features.categorical)
            )
            self._plan = plan = FramePlan(columns, numerical, categorical, len(at.keys() - self._known))
        return plan

    # Codes of a column at once, where the reference knows each of its texts or categories; else None.

    def _known_codes(self, j: int, held: Any) -> NDArray[Any] | None:
        if hasattr(held, "codes") and hasattr(held, "categories"):
            return self._codes_of_categories(j, held)
        if getattr(held.dtype, "storage", None) == "pyarrow" or hasattr(held.dtype, "pyarrow_dtype"):
            return self._codes_of_arrow_texts(j, held)
        return None

    def _codes_of_categories(self, j: int, held: Any) -> NDArray[Any] | None:
        """The categories are looked up again only when another object holds them."""
        categories = held.categories
        if len(categories) > max(len(held), 16):
            return None
        known = self._known_categories.get(j)
        if known is None or known[0] is not categories:
            lookup = self._features.lookups[j]
            try:
                codes = np.array([*map(lookup.__getitem__, categories.tolist()), MISSING_CODE], np.uint16)
            except (KeyError, TypeError):
                return None
            self._known_categories[j] = known = (categories, codes)
        return known[1][held.codes]

    def _codes_of_arrow_texts(self, j: int, held: Any) -> NDArray[Any] | None:
        """By the reference's order of categories, which is that of the codes."""
        import pyarrow as pa
        from pyarrow import compute

        texts = held.__arrow_array__()
        if not (pa.types.is_large_string(texts.type) or pa.types.is_string(texts.type)):
            return None
        known = self._known_texts.get((j, texts.type))
        if known is None:
            known = self._known_texts[j, texts.type] = pa.array(self._features.categories[j], texts.type)
        found = compute.index_in(texts, value_set=known)
        if found.null_count != texts.null_count:
            return None
        return np.asarray((found.fill_null(MISSING_CODE) if found.null_count else found).to_numpy())


def _columns(frame: Any) -> list[Any]:
    """What holds each column, in order: arrays of pandas, Series of Polars.

    By pandas' own iterator where it has one: to index 25 columns one by one costs more than all the rest of a capture.
    """
    arrays = getattr(frame, "_iter_column_arrays", None)
    if arrays is not None:
        return list(arrays())
    columns = [frame[c] for c in frame.columns]
    return [getattr(column, "array", column) for column in columns]


def _numbers(held: Any) -> NDArray[Any] | None:
    """A column of numbers with NaN for what is missing; None for a column of anything else."""
    if isinstance(held, np.ndarray):
        return held if held.dtype.kind in "fiub" else None
    try:
        if getattr(held.dtype, "kind", None) in {"f", "i", "u", "b"}:  # pandas' nullable and Arrow's numbers
            return np.asarray(held.to_numpy(np.float64, na_value=np.nan))
        values = np.asarray(held)
    except Exception:  # noqa: BLE001 — each kind of column has errors of its own; its values are then read one by one
        return None
    return values if values.dtype.kind in "fiub" and values.ndim == 1 else None


def _categories(held: Any) -> tuple[NDArray[Any], list[Any]] | None:
    """(position in the categories by row, -1 for missing; the categories) of pandas' categories and texts.

    None for others — whose values may be equal and yet differ, as 1 and True do — and for more categories than rows.
    """
    if hasattr(held, "codes") and hasattr(held, "categories"):
        if len(held.categories) > max(len(held), 16):
            return None
        return np.asarray(held.codes), held.categories.tolist()
    if getattr(getattr(held, "dtype", None), "name", None) in _TEXT_DTYPES:
        positions, texts = held.factorize()
        return np.asarray(positions), texts.tolist()
    return None


def _listed(held: Any) -> list[Any]:
    """A column as Python values."""
    return list(held.to_list() if hasattr(held, "to_list") else held.tolist())
