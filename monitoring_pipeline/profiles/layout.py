"""Layouts: the bins and categories that a reference fixes once and that every later window is counted by."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Literal

Role = Literal["feature", "prediction", "score", "target", "segment"]
FORMATS = (1, 2)
Kind = Literal["numerical", "categorical"]


@dataclass(frozen=True)
class ColumnLayout:
    """How one column is counted.

    numerical: ``edges`` e_0 < … < e_k, finite; bins are right-closed as Prometheus' ``le`` is: (-inf, e_0], (e_0, e_1],
    …, (e_k, inf) — ``len(edges) + 1`` of them. e_0 is just below the reference's least value, so that the first bin is
    the underflow and the last the overflow; both are empty in the reference. NaN, ±inf and null are in no bin.
    A column of role ``segment`` only divides rows into segments: it is categorical and has no profile of its own.
    categorical (booleans too, as ``false`` and ``true``): one bin a category in the order given, then ``unseen``.
    """

    name: str
    role: Role
    kind: Kind
    edges: tuple[float, ...] = ()
    categories: tuple[str, ...] = ()

    @property
    def n_bins(self) -> int:
        """Number of counts: bins between and beyond the edges, or the categories and one for all others."""
        return (len(self.edges) if self.kind == "numerical" else len(self.categories)) + 1


@dataclass(frozen=True)
class OutcomeLayout:
    """How predictions are counted against outcomes.

    ``classes``: binary (negative, positive); multiclass in order; empty for regression. ``scored``: the classes with a
    score (binary: the positive one; empty without scores). ``score_edges``: interior edges of right-closed score bins,
    shared by all scored classes, ``len + 1`` bins. ``error_edges``: the same for prediction - outcome.
    ``centre``: the reference's mean outcome; powers of the outcome are summed about it, for accuracy.
    """

    task: Literal["binary", "multiclass", "regression"]
    classes: tuple[str, ...] = ()
    scored: tuple[str, ...] = ()
    score_edges: tuple[float, ...] = ()
    error_edges: tuple[float, ...] = ()
    centre: float = 0.0


@dataclass(frozen=True)
class Layout:
    """Everything a reference fixes. ``layout_id`` names its content: equal layouts, equal ids.

    ``scales``: (name, mean, standard deviation) of numerical features in the reference, by which they are standardized.
    """

    columns: tuple[ColumnLayout, ...]
    outcome: OutcomeLayout
    scales: tuple[tuple[str, float, float], ...] = ()

    @property
    def format(self) -> int:
        """Number of the JSON format that holds all of this layout; 1 knew no scales and is written as it was."""
        return 2 if self.scales else 1

    @cached_property
    def layout_id(self) -> str:
        """Content digest, 16 hexadecimal digits: equal layouts have equal ids."""
        return hashlib.sha256(json.dumps(self.to_json(), sort_keys=True).encode()).hexdigest()[:16]

    def column(self, name: str, role: Role | None = None) -> ColumnLayout:
        """The column of that name, and role if given. Raises KeyError."""
        for column in self.columns:
            if column.name == name and role in (None, column.role):
                return column
        raise KeyError(name)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values with the format's number, which format 1 does not have: its ``layout_id`` stays."""
        found = asdict(self)
        if self.format == 1:
            del found["scales"]
            return found
        return found | {"format": self.format}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Layout:
        """Inverse of ``to_json``, also of what a JSON store made of it: jsonb hands 1e16 back as an integer.

        Raises ValueError for a format that is newer than this version.
        """
        if value.get("format", 1) not in FORMATS:
            raise ValueError(f"layout of format {value['format']}; this version reads {FORMATS}: upgrade")
        columns = tuple(
            ColumnLayout(c["name"], c["role"], c["kind"], _floats(c["edges"]), tuple(c["categories"]))
            for c in value["columns"]
        )
        o = value["outcome"]
        outcome = OutcomeLayout(
            o["task"],
            tuple(o["classes"]),
            tuple(o["scored"]),
            _floats(o["score_edges"]),
            _floats(o["error_edges"]),
            float(o["centre"]),
        )
        scales = tuple((name, float(mean), float(sd)) for name, mean, sd in value.get("scales", ()))
        return cls(columns, outcome, scales)


def _floats(numbers: Iterable[float]) -> tuple[float, ...]:
    return tuple(map(float, numbers))
