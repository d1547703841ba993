"""Which of two classes is the positive one: a guess from their names, for the first draft of a monitor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from monitoring_pipeline.monitors.kinds import classes_of
from monitoring_pipeline.monitors.summary import ColumnSummary

POSITIVE = (
    "1", "true", "yes", "y", "t", "positive", "pos", "late", "fraud", "fraudulent", "churn", "churned", "default",
    "defaulted", "bad", "spam", "converted", "clicked", "anomaly", "sick", "malignant",
)  # fmt: skip
_NEGATIVE = {
    "no": "yes", "n": "y", "false": "true", "f": "t", "0": "1", "negative": "positive", "neg": "pos", "-1": "1",
    "good": "bad",
}  # fmt: skip


@dataclass(frozen=True)
class PositiveClass:
    """``label`` as outcomes are compared; ``remark`` says what a person should look at, if anything."""

    label: str
    remark: str = ""


def guess_positive_class(*columns: ColumnSummary | None) -> PositiveClass:
    """From the first of the columns that holds any class; `1` where none does."""
    for column in columns:
        classes = classes_of(column) if column is not None else ()
        if column is not None and classes:
            label, remark = _of(classes)
            return PositiveClass(label, " ".join(filter(None, (remark, _spellings(column.name, classes)))))
    return PositiveClass("1")


def _of(classes: Sequence[str]) -> tuple[str, str]:
    named = next((c for value in POSITIVE for c in classes if c.casefold() == value), None)
    if named is not None:
        return named, ""
    if len(classes) == 1:
        (only,) = classes
        opposite = _NEGATIVE.get(only.casefold())
        if opposite is not None:
            return _spelled_like(only, opposite), f"only {only!r} was met, so the other class is a guess"
        return only, "the only class that was met: write the other one if this is the negative class"
    numbers = [_number(c) for c in classes]
    if len(classes) == 2 and None not in numbers:
        return max(classes, key=lambda c: _number(c) or 0.0), ""
    negative = {c for c in classes if c.casefold() in _NEGATIVE or c.casefold().startswith(("no_", "non", "not "))}
    others = [c for c in classes if c not in negative]
    if len({c.casefold() for c in classes}) == 2 and others and negative:
        return others[0], ""
    return classes[-1], "the rarest class; a guess"


def _spelled_like(model: str, word: str) -> str:
    if model.isupper():
        return word.upper()
    return word.capitalize() if model[:1].isupper() else word


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _spellings(name: str, classes: Sequence[str]) -> str:
    """Classes that differ in case only are different classes; nobody means that."""
    groups: dict[str, list[str]] = {}
    for label in classes:
        groups.setdefault(label.casefold(), []).append(label)
    twice = next((group for group in groups.values() if len(group) > 1), None)
    return f"{name!r} also spells it {', '.join(map(repr, twice[1:]))}: write them alike" if twice else ""
