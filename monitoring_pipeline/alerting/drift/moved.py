"""Names of what moved."""

from __future__ import annotations

from monitoring_pipeline.alerting.drift.units import Unit

NUMERICAL = ("location", "spread", "outside", "missing", "shape")


def contrast_names(unit: Unit) -> tuple[str, ...]:
    """The name of each contrast of a unit, shape last.

    >>> contrast_names(Unit(("1", "*"), "origin", "feature", "categorical", ("EWR", "JFK")))
    ('category EWR', 'category JFK', 'unseen', 'missing', 'shape')
    """
    if unit.kind == "numerical":
        return NUMERICAL
    return (*(f"category {name}" for name in unit.categories), "unseen", "missing", "shape")
