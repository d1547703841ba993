"""What a model version's reference teaches about one series, or several stacked: the family and its null.

Made once per (model version, segment, class); small enough to be stored, and computed again in milliseconds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from monitoring_pipeline.alerting.budget import Floats
from monitoring_pipeline.alerting.performance.contrasts import Family, each, stack, taken
from monitoring_pipeline.alerting.performance.errors import Errors
from monitoring_pipeline.alerting.performance.null import Null, learn
from monitoring_pipeline.alerting.performance.predicted import Predicted
from monitoring_pipeline.alerting.performance.scores import MacroAuc, Scores
from monitoring_pipeline.alerting.performance.settings import PerformanceSettings
from monitoring_pipeline.alerting.status import Flags

FAMILIES: dict[str, Any] = {kind.__name__: kind for kind in (Scores, MacroAuc, Errors, Predicted)}
ENOUGH_BLOCKS = 0.8  # share of the blocks that must hold enough for all contrasts; else neighbours are merged


@dataclass(frozen=True)
class Calibration:
    """Of S series: ``family``; ``null`` of windows; ``daily``, that of days, used where ``by_day`` (S,) holds."""

    family: Family
    null: Null
    daily: Null
    by_day: Flags

    def __len__(self) -> int:
        return len(self.by_day)

    def of(self, at: Sequence[int]) -> Calibration:
        """Of the series at these positions."""
        return Calibration(taken(self.family, at), taken(self.null, at), taken(self.daily, at), self.by_day[list(at)])

    def to_json(self) -> dict[str, Any]:
        """Lists of numbers that read back exactly."""
        parts = {name: _lists(getattr(self, name)) for name in ("family", "null", "daily")}
        return parts | {"kind": type(self.family).__name__, "by_day": self.by_day.tolist()}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Calibration:
        """Inverse of ``to_json``."""
        family: Family = FAMILIES[stored["kind"]](**_arrays(stored["family"]))
        null, daily = (Null(**_arrays(stored[name])) for name in ("null", "daily"))
        return cls(family, null, daily, np.array(stored["by_day"], bool))


def calibrate(family: Family, blocks: Floats, settings: PerformanceSettings) -> Calibration:
    """Of one series (S = 1). ``blocks`` (B, D): evidence of the reference's time blocks of a window's length, in order
    of time; (0, D) where the reference has no times.

    Blocks that are too small for some contrast are merged with their neighbours, 1, 2, 4 or 7 at a time, until most
    hold enough; fewer than five such blocks leave the null ``provisional``.
    """
    null = learn(*_usable(family, blocks[:0], settings), _priors(family, settings), settings.null)
    for span in _spans(settings.null.longest_span):
        merged = _merged(blocks, span)
        contrasts, variances = _usable(family, merged, settings)
        if len(contrasts) >= max(settings.null.least_blocks, ENOUGH_BLOCKS * len(merged)):
            null = learn(contrasts, variances, _priors(family, settings), settings.null, span)
            break
    a_day = settings.windows_a_day
    days = _usable(family, _merged(blocks, a_day), settings) if a_day > 1 else _usable(family, blocks[:0], settings)
    by_day = len(days[0]) >= settings.null.least_blocks
    daily = learn(*days, _priors(family, settings), settings.null, a_day) if by_day else null
    return Calibration(family, null, daily, np.array([by_day]))


def stacked(calibrations: Sequence[Calibration]) -> Calibration:
    """One calibration of all these series, of one kind of family. ValueError for none or different kinds."""
    if not calibrations:
        raise ValueError("no calibrations to stack")
    return Calibration(
        stack([c.family for c in calibrations]), stack([c.null for c in calibrations]),
        stack([c.daily for c in calibrations]), np.concatenate([c.by_day for c in calibrations]),
    )  # fmt: skip


def _lists(part: Any) -> dict[str, Any]:
    return {f.name: _listed(getattr(part, f.name)) for f in fields(part)}


def _listed(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value.tolist()


def _arrays(stored: Mapping[str, list[Any]]) -> dict[str, Any]:
    """``source``, the one list of texts, as a tuple, all others as arrays."""
    return {name: tuple(value) if name == "source" else np.array(value) for name, value in stored.items()}


def _priors(family: Family, settings: PerformanceSettings) -> Floats:
    return np.array([one.prior_sd for one in each(family, settings)])


def _spans(longest: int) -> list[int]:
    return [span for span in (1, 2, 4, 7) if span <= longest]


def _merged(blocks: Floats, span: int) -> Floats:
    """(B // span, D): each ``span`` neighbours added; what is left over at the end is left out."""
    n = len(blocks) // span
    return blocks[: n * span].reshape(n, span, blocks.shape[1]).sum(1)


def _usable(family: Family, blocks: Floats, settings: PerformanceSettings) -> tuple[Floats, Floats]:
    """Contrasts and variances (B', J) of the blocks that hold enough for all contrasts the reference is able to."""
    found = family.contrasts(blocks[None], settings)
    able = family.able[0]
    held = (found.usable[0] | ~able).all(-1) & bool(able.any())
    return found.value[0][held], found.variance[0][held]
