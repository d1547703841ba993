"""What every stage is given, and what it says of each window."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field

from monitoring_pipeline import __version__
from monitoring_pipeline.monitors import Monitor, Window
from monitoring_pipeline.settings import Settings
from monitoring_pipeline.warehouse.database import Warehouse
from monitoring_pipeline.warehouse.metric_store import Provenance
from monitoring_pipeline.warehouse.records import Stage

log = logging.getLogger(__name__)

Progress = Callable[[str, str, int, int], None]


def _silent(monitor: str, stage: str, done: int, total: int) -> None:
    """No one watches."""


# Set by the command line to draw a progress bar; a context variable because Dagster stands between the two.
progress: ContextVar[Progress] = ContextVar("progress", default=_silent)


@dataclass(frozen=True)
class StageContext:
    """One run of one monitor's stages."""

    monitor: Monitor
    warehouse: Warehouse
    settings: Settings
    run_id: str

    def provenance(self, data_version: str | None, label_batch: int | None = None) -> Provenance:
        return Provenance(
            data_version=data_version,
            label_batch=label_batch,
            config_version=self.monitor.config_version,
            code_version=__version__,
            run_id=self.run_id,
        )

    def advance(self, stage: str, done: int, total: int) -> None:
        progress.get()(self.monitor.name, stage, done, total)


@dataclass(frozen=True)
class WindowOutcome:
    """How one stage went for one window. ``error`` names what is wrong and the remedy; ``facts`` are shown in Dagster."""

    window: Window
    stage: Stage
    error: str | None = None
    facts: Mapping[str, int | float | str | None] = field(default_factory=dict)

    @property
    def failed(self) -> bool:
        return self.error is not None


def good_windows(outcomes: Sequence[WindowOutcome]) -> list[Window]:
    """The windows that may go on to the next stage."""
    return [outcome.window for outcome in outcomes if not outcome.failed]
