"""Does a stage of the catalogue for some windows."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module

from monitoring_pipeline.stages.catalogue import Stage
from monitoring_pipeline.stages.context import StageContext, WindowOutcome
from monitoring_pipeline.windows import Window


def work(stage: Stage, stages: StageContext, windows: Sequence[Window]) -> list[WindowOutcome]:
    """Does ``stage`` for these windows, in order; each window fails alone. Raises UserError when it cannot begin."""
    module, _, function = stage.works.partition(":")
    return getattr(import_module(f"monitoring_pipeline.stages.{module}"), function)(stages, windows)
