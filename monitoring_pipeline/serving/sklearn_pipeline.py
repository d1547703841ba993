"""scikit-learn pipelines: what imputers filled in and encoders did not know, counted without subclassing either.

A shallow copy of the pipeline is served; its fitted imputers and encoders are copies too, whose ``transform`` counts
what it is about to replace and then calls the original. The fitted pipeline itself is not touched, nor is what it
answers.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monitoring_pipeline.prediction_log.values import as_mapping
from monitoring_pipeline.serving.output import FORMS, OutputForm

logger = logging.getLogger(__name__)
NoteImputed = Callable[[str, str, int], None]  # feature, transformer, how often
Names = Sequence[str] | None
UNNAMED = "__unnamed__"  # a column made by an earlier step that cannot name what it gives


Wrap = Callable[[Callable[..., Any], OutputForm, Any], Callable[..., Any]]  # as ``Monitoring.wrap``


class MonitoredPipeline:
    """Predicts as the pipeline does, by ``predict``, ``predict_proba``, ``decision_function``; everything else is the
    copy's, whose ``steps`` are the instrumented ones.

    A mapping, or a list of them, is turned into what the pipeline was fitted on: a frame if it knows feature names
    (pandas is then imported); mappings, if its first step makes vectors of them; else an array in the reference's
    order.
    """

    def __init__(self, pipeline: Any, served: Any, features: Sequence[str], output: OutputForm, wrap: Wrap) -> None:
        """``served``: the instrumented copy of ``pipeline``."""
        self._features = features
        self._pipeline = served
        self._fitted_names = _fitted_names(pipeline, features)
        self._takes_mappings = _takes_mappings(_first_step(pipeline))
        classes = _classes(pipeline)
        for name in FORMS:
            method = getattr(self._pipeline, name, None)
            if method is not None:
                form = FORMS[name] if output == "auto" and classes is not None else output
                setattr(self, name, wrap(self._accepting_mappings(method, name), form, classes))

    def __getattr__(self, name: str) -> Any:
        if name == "_pipeline":
            raise AttributeError(name)
        return getattr(self._pipeline, name)

    def _accepting_mappings(self, method: Callable[..., Any], name: str) -> Callable[..., Any]:
        def predict(X: Any, *args: Any, **kwargs: Any) -> Any:  # as scikit-learn calls it
            return method(self._as_fitted(X), *args, **kwargs)

        predict.__name__ = name
        return predict

    def _as_fitted(self, rows: Any) -> Any:
        if isinstance(rows, Mapping):
            rows = [rows]
        if not isinstance(rows, list) or not rows or as_mapping(rows[0]) is None:
            return rows
        if self._takes_mappings:
            return [dict(_mapping(r)) for r in rows]
        if self._fitted_names is None:
            values = [[r.get(f) for f in self._features] for r in map(_mapping, rows)]
            texts = any(isinstance(v, str) for row in values for v in row)  # beside which numbers would become texts
            return np.array(values, object) if texts else np.array(values)
        import pandas as pd

        return pd.DataFrame([_mapping(r) for r in rows], columns=list(self._fitted_names))


def _first_step(model: Any) -> Any:
    """The first step that does anything, of nested pipelines and of the best estimator of a search too."""
    model = getattr(model, "best_estimator_", model)
    steps = [step for _, step in getattr(model, "steps", ()) if step is not None and not isinstance(step, str)]
    return _first_step(steps[0]) if steps else model


def _takes_mappings(step: Any) -> bool:
    """Whether a step makes vectors of mappings, as DictVectorizer and FeatureHasher do."""
    return type(step).__name__ == "DictVectorizer" or getattr(step, "input_type", None) == "dict"


def _fitted_names(pipeline: Any, features: Sequence[str]) -> Names:
    """Columns of the frame it was fitted on: its own, or its first step's; the reference's where a later one has
    names, as after a function that adds columns. None of one that was fitted on arrays."""
    for step in (pipeline, _first_step(pipeline)):
        if (names := getattr(step, "feature_names_in_", None)) is not None:
            return list(names)
    model = getattr(pipeline, "best_estimator_", pipeline)
    named = any(getattr(step, "feature_names_in_", None) is not None for _, step in getattr(model, "steps", ()))
    return features if named else None


def _mapping(row: Any) -> Mapping[str, Any]:
    return as_mapping(row) or {}


def _classes(pipeline: Any) -> Any:
    """A regressor has none; before scikit-learn 1.6 asking it raises AttributeError too."""
    return getattr(pipeline, "classes_", None)


def instrumented(step: Any, note: NoteImputed, names: Names, path: str = "") -> Any:
    """A copy of a fitted step in which imputers and encoders count; ``names`` are those of the columns it is given."""
    for chosen in ("best_estimator_", "regressor_"):  # a search, a regressor of a transformed target
        if hasattr(step, chosen):
            served = copy.copy(step)
            setattr(served, chosen, instrumented(getattr(step, chosen), note, names, path))
            return served
    if hasattr(step, "steps"):
        return _pipeline(step, note, names, path)
    if hasattr(step, "transformers_"):
        return _column_transformer(step, note, names, path)
    if hasattr(step, "transformer_list"):
        union = _in_this_process(step)
        parts = [(n, instrumented(t, note, names, _join(path, n))) for n, t in step.transformer_list]
        union.transformer_list = parts
        return union
    replaced = _replaced_by(step)
    return step if replaced is None else _counting(step, replaced, note, names, path or type(step).__name__)


def _in_this_process(step: Any) -> Any:
    """A copy that leaves nothing to other processes: what was counted there would not be known here."""
    served = copy.copy(step)
    if served.n_jobs is not None:
        served.n_jobs = 1
    return served


def _pipeline(step: Any, note: NoteImputed, names: Names, path: str) -> Any:
    served = copy.copy(step)
    served.steps = []
    for name, part in step.steps:
        served.steps.append((name, instrumented(part, note, names, _join(path, name))))
        names = _names_out(part, names)
    return served


def _column_transformer(step: Any, note: NoteImputed, names: Names, path: str) -> Any:
    served = _in_this_process(step)
    known = getattr(step, "feature_names_in_", None)
    names = list(known) if known is not None else names
    served.transformers_ = []
    for name, part, columns in step.transformers_:
        if not isinstance(part, str):
            part = instrumented(part, note, _selected(columns, names), _join(path, name))
        served.transformers_.append((name, part, columns))
    return served


def _selected(columns: Any, names: Names) -> Names:
    """Names of the columns a ColumnTransformer hands on: given by name, position, slice or mask."""
    if isinstance(columns, str):
        return [columns]
    if not isinstance(columns, slice) and len(columns) and isinstance(columns[0], str):
        return [str(c) for c in columns]
    if names is None:
        return None
    picked = np.arange(len(names))[columns]
    return [names[i] for i in np.atleast_1d(picked).tolist()]


def _names_out(step: Any, names: Names) -> Names:
    """Names after a fitted step; None when it cannot tell."""
    if isinstance(step, str) or step is None:
        return names
    try:
        return [str(n) for n in step.get_feature_names_out(None if names is None else np.asarray(names, object))]
    except (AttributeError, ValueError, TypeError):
        return None


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


Replaced = Callable[[Any], NDArray[np.bool_]]  # input -> (rows, columns): what the step will replace


def _replaced_by(step: Any) -> Replaced | None:
    """How to tell what a fitted step replaces; None for a step that replaces nothing."""
    if type(step).__name__.endswith("Imputer"):
        missing = getattr(step, "missing_values", np.nan)
        return lambda given: _is(given, missing)
    if hasattr(step, "categories_") and (hasattr(step, "handle_unknown") or hasattr(step, "encodings_")):
        categories = [set(c.tolist()) for c in step.categories_]
        return lambda given: _unknown(given, categories)
    return None


def _is(given: Any, missing: Any) -> NDArray[np.bool_]:
    values = _matrix(given)
    if missing is None or missing != missing or type(missing).__name__ == "NAType":
        if values.dtype.kind in "fc":
            return np.isnan(values)
        if values.dtype.kind in "iub":
            return np.zeros(values.shape, bool)
        return np.array([[v is None or _is_nan(v) for v in row] for row in values.tolist()], bool).reshape(values.shape)
    return np.asarray(values == missing, bool)


def _is_nan(value: Any) -> bool:
    """NaN, and pandas' NA, which is neither equal nor unequal to itself."""
    return type(value).__name__ in ("NAType", "NaTType") or bool(value != value)


def _unknown(given: Any, categories: list[set[Any]]) -> NDArray[np.bool_]:
    values = _matrix(given)
    known = [[v in c or (_is_nan(v) and any(_is_nan(k) for k in c)) for v in column]
             for column, c in zip(values.T.tolist(), categories, strict=True)]  # fmt: skip
    return ~np.array(known, bool).T.reshape(values.shape)


def _matrix(given: Any) -> NDArray[Any]:
    values = given.toarray() if hasattr(given, "toarray") else np.asarray(given)
    return values.reshape(len(values), -1)


def _counting(step: Any, replaced: Replaced, note: NoteImputed, names: Names, path: str) -> Any:
    served = copy.copy(step)
    transform = step.transform
    fitted = getattr(step, "feature_names_in_", None)

    def counted(given: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            _note(replaced(given), note, _names_of(given, fitted, names), path)
        except (ValueError, TypeError, IndexError, AttributeError) as error:
            # what the step cannot take it says itself; the count must not be the first to fail
            logger.debug("%s: replaced values were not counted: %s", path, error)
        return transform(given, *args, **kwargs)

    served.transform = counted
    return served


def _note(mask: NDArray[np.bool_], note: NoteImputed, names: Names, path: str) -> None:
    for i, n in enumerate(mask.sum(axis=0).tolist()):
        if n:
            note(names[i] if names is not None and len(names) == mask.shape[1] else UNNAMED, path, n)


def _names_of(given: Any, fitted: Any, names: Names) -> Names:
    """The frame's own names; else those it was fitted on; else what the steps before lead to expect."""
    columns = getattr(given, "columns", fitted)
    return names if columns is None else [str(c) for c in columns]
