"""The skeleton of the stages that measure: read windows ahead, measure each, replace its family, record its inputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection

from monitoring_pipeline.measurements import Family, Measurement
from monitoring_pipeline.monitors import Window
from monitoring_pipeline.stages.context import Facts, StageContext, WindowOutcome
from monitoring_pipeline.stages.each_window import Computed, Wrote, each_window, read_ahead
from monitoring_pipeline.stages.inputs import Inputs
from monitoring_pipeline.warehouse import measurement_store
from monitoring_pipeline.warehouse.measurement_store import Arriving, Written


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
    measure_of = read_ahead(windows, prepare)

    def compute(window: Window) -> Computed[Measured]:
        measured = measure_of(window)(window)
        return Computed(measured, stages.provenance(measured.data_version, measured.label_batch), measured.inputs)

    def write(conn: Connection, some: Sequence[tuple[Window, Computed[Measured]]]) -> list[Wrote]:
        arriving = [Arriving(window, one.value.measurements, one.made) for window, one in some]
        written = measurement_store.replace_families(conn, stages.monitor.name, stage, family, arriving)
        return [_wrote(one.value, w) for (_, one), w in zip(some, written, strict=True)]

    return each_window(stages, stage, windows, compute, write, label_batches)


def _wrote(measured: Measured, written: Written) -> Wrote:
    version = None if written.computation_id is None else str(written.computation_id)
    n_metrics = sum(len(m.value) for m in measured.measurements)
    return Wrote(version, {"metrics": n_metrics, "changed": written.changed, **measured.facts})
