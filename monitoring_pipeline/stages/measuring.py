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
    also: Sequence[Family] = (),
) -> list[WindowOutcome]:
    """Measures those of these windows that are not current; equal values change nothing.

    ``prepare`` reads in few statements what some windows need, and returns what measures one of them; that raises
    UserError for a window that cannot be measured, which then fails alone. ``also``: families of the same stage that
    its measurements may be of as well.
    """
    due = _due(stages, stage, windows)
    measure_of = read_ahead(due, prepare)

    def compute(window: Window) -> Computed[Measured]:
        measured = measure_of(window)(window)
        return Computed(measured, stages.provenance(measured.data_version, measured.label_batch), measured.inputs)

    def write(conn: Connection, some: Sequence[tuple[Window, Computed[Measured]]]) -> list[Wrote]:
        written = [_replace(conn, stages.monitor.name, stage, one, some) for one in (family, *also)]
        return [_wrote(one.value, by_family) for (_, one), *by_family in zip(some, *written, strict=True)]

    outcomes = {one.window: one for one in each_window(stages, stage, due, compute, write, label_batches)}
    stages.advance(stage, len(windows), len(windows))
    return [outcomes.get(window) or WindowOutcome(window, stage, facts={"unchanged": "yes"}) for window in windows]


def _due(stages: StageContext, stage: str, windows: Sequence[Window]) -> list[Window]:
    """Windows that the stage has not measured from what there is now, by this version of the code."""
    name, config = stages.monitor.name, BY_NAME[stage].config(stages.monitor)
    current = stages.warehouse.run(lambda conn: ledger.current_windows(conn, name, stage, config, windows))
    return [window for window in windows if window.start not in current]


def _replace(
    conn: Connection, monitor: str, stage: str, family: Family, some: Sequence[tuple[Window, Computed[Measured]]]
) -> list[Written]:
    arriving = [
        Arriving(window, [m for m in one.value.measurements if m.family == family], one.made) for window, one in some
    ]
    return measurement_store.replace_families(conn, monitor, stage, family, arriving)


def _wrote(measured: Measured, written: Sequence[Written]) -> Wrote:
    version = "+".join(str(one.computation_id) for one in written if one.computation_id is not None) or None
    n_metrics = sum(len(m.value) for m in measured.measurements)
    return Wrote(version, {"metrics": n_metrics, "changed": sum(one.changed for one in written), **measured.facts})
