"""What the limits of the engine leave out of a monitor: said to the user, because nothing else would show it."""

from __future__ import annotations

from collections.abc import Sequence

from monitoring_pipeline.engines.layout_builder import MAX_SCALED
from monitoring_pipeline.engines.segments import MAX_COMBINATIONS, MAX_VALUES, segment_columns
from monitoring_pipeline.monitors.declaration import Monitor
from monitoring_pipeline.profiles.layout import Layout
from monitoring_pipeline.profiles.parts.bins import ALL_CLASSES_UP_TO, MAX_FEATURES

_NAMED = 5


def cut_by_declaration(monitor: Monitor) -> tuple[str, ...]:
    """What the declaration alone says will be left out, a sentence for each limit."""
    schema, said = monitor.schema_, []
    if len(schema.numerical) > MAX_SCALED:
        said.append(_pairs(schema.numerical[MAX_SCALED:], len(schema.numerical)))
    if monitor.task == "regression" and len(schema.features) > MAX_FEATURES:
        said.append(_errors(schema.features[MAX_FEATURES:], len(schema.features)))
    if len(schema.class_scores) > ALL_CLASSES_UP_TO:
        said.append(_classes(len(schema.class_scores)))
    return tuple(said)


def cut_by_layout(monitor: Monitor, layout: Layout) -> tuple[str, ...]:
    """The same once the reference has fixed the layout: features with a spread, classes and segments it has."""
    said = []
    numerical = [c.name for c in layout.columns if c.role == "feature" and c.kind == "numerical"]
    if len(layout.scales) >= MAX_SCALED:
        after = numerical[numerical.index(layout.scales[-1][0]) + 1 :]
        said += [_pairs(after, len(numerical))] if after else []
    features = [c.name for c in layout.columns if c.role == "feature"]
    if monitor.task == "regression" and len(features) > MAX_FEATURES:
        said.append(_errors(features[MAX_FEATURES:], len(features)))
    if len(layout.outcome.classes) > ALL_CLASSES_UP_TO:
        said.append(_classes(len(layout.outcome.classes)))
    for key in monitor.segment_keys:
        for column in segment_columns(layout, key):
            n = column.layout.n_bins if column.layout.kind == "numerical" else len(column.layout.categories)
            if column.limit < n:
                said.append(_segments(key, column.layout.name, column.limit, n))
    return tuple(said)


def _pairs(left_out: Sequence[str], n: int) -> str:
    what = f"{len(left_out)} of {n} numerical features are left out of what is compared pair by pair (part `comoments`)"
    return f"{what}, which holds {MAX_SCALED}: {_listed(left_out)}; declare the features that matter first"


def _errors(left_out: Sequence[str], n: int) -> str:
    what = f"{len(left_out)} of {n} features are left out of the errors by feature (part `labelled_bins`)"
    return f"{what}, which holds {MAX_FEATURES}: {_listed(left_out)}; declare the features that matter first"


def _classes(n: int) -> str:
    what = f"of {n} classes, more than {ALL_CLASSES_UP_TO}, predictions are counted by score bin"
    return f"{what} as the class itself, another or none (part `prediction_bins`)"


def _segments(key: Sequence[str], column: str, limit: int, n: int) -> str:
    most = f"{MAX_VALUES} values" if len(key) == 1 else f"{MAX_COMBINATIONS} combinations"
    what = f"segments by {', '.join(key)}: {column!r} has {n} values in the reference, more than {most} allow"
    return f"{what}; beyond the {limit} most frequent they are one segment, `__other__`"


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(map(repr, names[:_NAMED])) + more
