"""The skeleton of the stages that measure: read windows ahead, measure each, replace its family, record its inputs.

What was measured from all that it would be measured from now is left as it stands.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection

from monitoring_pipeline.measurements import Family, Measurement
from monitoring_pipeline.monitors import Window
from monitoring_pipeline.stages.catalogue import BY_NAME
from monitoring_pipeline.stages.context import Facts, StageContext, WindowOutcome
from monitoring_pipeline.stages.each_window import Computed, Wrote, each_window, read_ahead
from monitoring_pipeline.stages.inputs import Inputs
from monitoring_pipeline.warehouse import ledger, measurement_store
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
    """Measures those of these windows that are not current; equal values change nothing.

    ``prepare`` reads in few statements what some windows need, and returns what measures one of them; that raises
    UserError for a window that cannot be measured, which then fails alone.
    """
    due = _due(stages, stage, windows)
    measure_of = read_ahead(due, prepare)

    def compute(window: Window) -> Computed[Measured]:
        measured = measure_of(window)(window)
        return Computed(measured, stages.provenance(measured.data_version, measured.label_batch), measured.inputs)

    def write(conn: Connection, some: Sequence[tuple[Window, Computed[Measured]]]) -> list[Wrote]:
        arriving = [Arriving(window, one.value.measurements, one.made) for window, one in some]
        written = measurement_store.replace_families(conn, stages.monitor.name, stage, family, arriving)
        return [_wrote(one.value, w) for (_, one), w in zip(some, written, strict=True)]

    outcomes = {one.window: one for one in each_window(stages, stage, due, compute, write, label_batches)}
    stages.advance(stage, len(windows), len(windows))
    return [outcomes.get(window) or WindowOutcome(window, stage, facts={"unchanged": "yes"}) for window in windows]


def _due(stages: StageContext, stage: str, windows: Sequence[Window]) -> list[Window]:
    """Windows that the stage has not measured from what there is now, by this version of the code."""
    name, config = stages.monitor.name, BY_NAME[stage].config(stages.monitor)
    current = stages.warehouse.run(lambda conn: ledger.current_windows(conn, name, stage, config, windows))
    return [window for window in windows if window.start not in current]


def _wrote(measured: Measured, written: Written) -> Wrote:
    version = None if written.computation_id is None else str(written.computation_id)
    n_metrics = sum(len(m.value) for m in measured.measurements)
    return Wrote(version, {"metrics": n_metrics, "changed": written.changed, **measured.facts})
