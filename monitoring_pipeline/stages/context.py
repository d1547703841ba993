"""What every stage is given, and what it says of each window."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection

from monitoring_pipeline import __version__
from monitoring_pipeline.monitors import Monitor, Window
from monitoring_pipeline.records import Stage
from monitoring_pipeline.settings import Settings
from monitoring_pipeline.warehouse import ledger
from monitoring_pipeline.warehouse.database import Warehouse
from monitoring_pipeline.warehouse.measurement_store import Provenance

Facts = Mapping[str, int | float | str | None]
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

    def provenance(self, data_version: str, label_batch: int | None = None) -> Provenance:
        """What rows computed in this run are marked with. ``label_batch`` None: they depend on no labels."""
        return Provenance(
            data_version=data_version,
            label_batch=label_batch,
            config_version=self.monitor.config_version,
            code_version=__version__,
            run_id=self.run_id,
        )

    def advance(self, stage: str, done: int, total: int) -> None:
        """Tells whoever shows progress that ``done`` of ``total`` windows of a stage are done."""
        progress.get()(self.monitor.name, stage, done, total)


@dataclass(frozen=True)
class WindowOutcome:
    """How one stage went for one window. ``error`` names what is wrong and the remedy; ``facts`` show in Dagster."""

    window: Window
    stage: Stage
    error: str | None = None
    facts: Facts = field(default_factory=dict)

    @property
    def failed(self) -> bool:
        """Whether the stage failed for the window."""
        return self.error is not None


def good_windows(outcomes: Sequence[WindowOutcome]) -> list[Window]:
    """The windows that may go on to the next stage."""
    return [outcome.window for outcome in outcomes if not outcome.failed]


def failed(
    stages: StageContext, stage: Stage, window: Window, error: str, label_batches: Mapping[datetime, int] | None = None
) -> WindowOutcome:
    """Counts a failed attempt in the ledger, in a transaction of its own."""
    batch = (label_batches or {}).get(window.start)

    def record(conn: Connection) -> None:
        ledger.fail_stage(conn, stages.monitor.name, window, stage, error, label_batch=batch, run_id=stages.run_id)

    stages.warehouse.run(record)
    return WindowOutcome(window, stage, error=error)


def all_failed(stages: StageContext, stage: Stage, windows: Sequence[Window], error: str) -> list[WindowOutcome]:
    """The stage could not begin: one attempt of each window has failed, for the same reason."""
    return [failed(stages, stage, window, error) for window in windows]
