"""The skeleton of the stages that measure: read windows ahead, measure each, replace its family, record its inputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection

from monitoring_pipeline.measurements import Family, Measurement
from monitoring_pipeline.monitors import Window
from monitoring_pipeline.stages.context import Facts, StageContext, WindowOutcome, complete, each_window
from monitoring_pipeline.stages.inputs import Inputs
from monitoring_pipeline.warehouse import ledger, measurement_store
from monitoring_pipeline.warehouse.measurement_store import Written

WINDOWS_A_READ = 32


@dataclass(frozen=True)
class Measured:
    """What a stage makes of one window, and the versions of everything it read."""

    measurements: Sequence[Measurement]
    data_version: str
    label_batch: int | None
    inputs: Inputs
    facts: Facts = field(default_factory=dict)


Measure = Callable[[Window], Measured]
Prepare = Callable[[Sequence[Window]], Measure]


def measure_windows(
    stages: StageContext,
    stage: str,
    family: Family,
    windows: Sequence[Window],
    prepare: Prepare,
    label_batches: Mapping[datetime, int] | None = None,
) -> list[WindowOutcome]:
    """Measures these windows; equal values change nothing.

    ``prepare`` reads in few statements what some windows need, and returns what measures one of them; that raises
    UserError for a window that cannot be measured, which then fails alone.
    """
    ahead: dict[Window, Measure] = {}

    def work(window: Window) -> Facts:
        if window not in ahead:
            at = windows.index(window)
            some = windows[at : at + WINDOWS_A_READ]
            ahead.clear()
            ahead.update(dict.fromkeys(some, prepare(some)))
        measured = ahead[window](window)
        written = stages.warehouse.run(
            lambda conn: _write(conn, stages, stage, family, window, measured), can_be_recomputed=True
        )
        return {
            "metrics": sum(len(m.value) for m in measured.measurements),
            "changed": written.changed,
            **measured.facts,
        }

    return each_window(stages, stage, windows, work, label_batches)


def _write(
    conn: Connection, stages: StageContext, stage: str, family: Family, window: Window, measured: Measured
) -> Written:
    name, made = stages.monitor.name, stages.provenance(measured.data_version, measured.label_batch)
    ledger.lock_window(conn, name, window)
    written = measurement_store.replace_family(conn, name, window, stage, family, measured.measurements, made)
    version = None if written.computation_id is None else str(written.computation_id)
    complete(stages, conn, stage, window, made, measured.inputs, version)
    return written
