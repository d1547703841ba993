"""What a quality measurement is gathered in: one entry a metric, then arrays."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import repeat
from math import nan

import numpy as np

from monitoring_pipeline.measurements import Measurement, metric_keys


@dataclass(frozen=True)
class Rows:
    """Entries in the order they were added; ``None`` stands for undefined until they become arrays."""

    columns: list[str] = field(default_factory=list)
    metrics: list[str] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    n: list[int] = field(default_factory=list)
    references: list[float] = field(default_factory=list)
    details: list[str | None] = field(default_factory=list)

    def add(
        self, column: str, metric: str, value: float | None, n: int,
        reference: float | None = None, detail: str | None = None,
    ) -> None:  # fmt: skip
        """One metric of one column: its value of ``n`` rows or values, and the reference's where a verdict uses it."""
        self.columns.append(column)
        self.metrics.append(metric)
        self.values.append(nan if value is None else value)
        self.n.append(n)
        self.references.append(nan if reference is None else reference)
        self.details.append(detail)

    def measurement(self, model_version: str, segment: str) -> Measurement:
        """All entries as one measurement of the family ``quality``."""
        roles = tuple(repeat("", len(self.columns)))
        keys = metric_keys("quality", tuple(self.columns), roles, tuple(self.metrics))
        return Measurement(
            "quality", model_version, "", segment, keys, np.array(self.values, float), np.array(self.n, np.int64),
            reference_value=np.array(self.references, float), detail=tuple(self.details),
        )  # fmt: skip


def share(count: float, n: int) -> float | None:
    """``count`` of ``n`` rows, in [0, 1]; None of no rows."""
    return count / n if n else None
