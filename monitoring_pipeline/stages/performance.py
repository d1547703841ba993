"""Performance: what the joined labels say of the model, with intervals and coverage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection

from monitoring_pipeline.errors import WindowError
from monitoring_pipeline.measurements import Measurement
from monitoring_pipeline.metrics.performance import measure_performance
from monitoring_pipeline.monitors import Monitor, Window
from monitoring_pipeline.profiles.profile import LabelledProfile
from monitoring_pipeline.records import StageState
from monitoring_pipeline.stages.context import StageContext, WindowOutcome
from monitoring_pipeline.stages.inputs import references_read
from monitoring_pipeline.stages.measuring import Measure, Measured, measure_windows
from monitoring_pipeline.stages.versions import reference_version
from monitoring_pipeline.warehouse import ledger, profile_store, reference_store
from monitoring_pipeline.warehouse.reference_store import ReferenceSegment


def measure(stages: StageContext, windows: Sequence[Window]) -> list[WindowOutcome]:
    """Measures these windows from their labelled profiles; reads no raw row."""
    name, monitor = stages.monitor.name, stages.monitor

    def prepare(some: Sequence[Window]) -> Measure:
        def read(conn: Connection) -> tuple:
            return (
                ledger.stage_states(conn, name, some),
                profile_store.load_labelled(conn, name, some),
                reference_store.load_segments(conn, name),
                profile_store.reference_versions(conn, name),
            )

        states, labelled, references, versions = stages.warehouse.run(read)

        def measured(window: Window) -> Measured:
            joined = _joined(window, states.get((window.start, "ground_truth")))
            profiles = [p for p in labelled if p.window == window]
            inputs = {
                "data": joined.data_version,
                "labels": str(joined.label_batch or 0),
                "stage:ground_truth": joined.output_version,
                **references_read(monitor, {p.model_version for p in profiles}, versions),
            }
            found = [_measurement(monitor, p, references, versions) for p in profiles]
            return Measured(found, joined.data_version or "", joined.label_batch or 0, inputs)

        return measured

    return measure_windows(stages, "performance", "realized", windows, prepare)


def _joined(window: Window, state: StageState | None) -> StageState:
    if state is None or state.completed_at is None:
        raise WindowError(f"{window} has no ground truth joined yet; materialize its ground_truth first")
    return state


def _measurement(
    monitor: Monitor, labelled: LabelledProfile, references: Mapping[tuple[str, str], ReferenceSegment],
    versions: Mapping[str, str],
) -> Measurement:  # fmt: skip
    """Each segment beside the same segment of its version's reference."""
    version = reference_version(monitor, labelled.model_version, versions)
    reference = references.get((version, labelled.segment))
    usable = reference is not None and reference.labelled.outcome.n_labelled
    return measure_performance(labelled, reference.labelled if reference is not None and usable else None)
