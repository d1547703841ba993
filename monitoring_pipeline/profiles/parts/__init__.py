"""The parts of a profile: what each is called, how its values add up, and how they are stored as two arrays.

Belongs here: one module a part, and the registry below. A stored row names its part and the part's format number; a
part reads every format it ever wrote, so that adding a part, or an array to one, leaves stored profiles readable.
Does not belong here: how rows are counted (``engines``), where the arrays are kept (``warehouse``).
"""

from __future__ import annotations

from typing import Any

from monitoring_pipeline.profiles.parts.bins import LABELLED_BINS, PREDICTION_BINS
from monitoring_pipeline.profiles.parts.columns import COLUMNS, TARGET
from monitoring_pipeline.profiles.parts.comoments import COMOMENTS
from monitoring_pipeline.profiles.parts.outcomes import OUTCOMES
from monitoring_pipeline.profiles.parts.part import Part

_ALL: tuple[Part[Any], ...] = (COLUMNS, TARGET, OUTCOMES, PREDICTION_BINS, LABELLED_BINS, COMOMENTS)
PARTS: dict[str, Part[Any]] = {part.name: part for part in _ALL}

__all__ = ["PARTS", "Part"]
