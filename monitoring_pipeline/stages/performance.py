"""Performance: what the joined labels say of the model, with intervals, coverage and a verdict."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from sqlalchemy import Connection

from monitoring_pipeline.errors import WindowError
from monitoring_pipeline.metric_rows import PerformanceRow
from monitoring_pipeline.metrics.performance import measure_performance
from monitoring_pipeline.monitors import Window
from monitoring_pipeline.profiles.profile import LabelledProfile
from monitoring_pipeline.records import IngestedWindow
from monitoring_pipeline.stages.context import Facts, StageContext, WindowOutcome, complete, each_window
from monitoring_pipeline.stages.ground_truth import is_mature
from monitoring_pipeline.stages.versions import reference_version
from monitoring_pipeline.warehouse import ledger, metric_store, profile_store, reference_store
from monitoring_pipeline.warehouse.reference_store import ReferenceSegment

WINDOWS_A_READ = 32


def measure(stages: StageContext, windows: Sequence[Window]) -> list[WindowOutcome]:
    """Measures these windows from their labelled profiles; reads no raw row. Equal figures change nothing."""
    name = stages.monitor.name

    def read(conn: Connection) -> tuple:
        return (
            ledger.ingested(conn, name, windows),
            reference_store.load_segments(conn, name),
            ledger.stage_states(conn, name, windows),
        )

    taken, references, states = stages.warehouse.run(read)
    labelled: dict[Window, list[LabelledProfile]] = {}

    def work(window: Window) -> Facts:
        one, joined = taken.get(window.start), states.get((window.start, "ground_truth"))
        if one is None or joined is None or joined.completed_at is None:
            raise WindowError(f"{window} has no ground truth joined yet; materialize its ground_truth first")
        if window not in labelled:
            labelled.clear()
            labelled.update(_read_ahead(stages, windows, window))
        rows = _rows(stages, one, labelled[window], references)
        batch = joined.label_batch or 0

        def write(conn: Connection) -> int:
            ledger.lock_window(conn, name, window)
            made = stages.provenance(joined.data_version, batch)
            changed = sum(
                metric_store.write_performance(conn, name, version, window, found, made)
                for version, found in rows.items()
            )
            complete(stages, conn, "performance", window, joined.data_version, batch)
            return changed

        changed = stages.warehouse.run(write, can_be_recomputed=True)
        degraded = sorted({row.metric for found in rows.values() for row in found if row.degraded})
        return {
            "figures": sum(map(len, rows.values())),
            "changed": changed,
            "degraded": ", ".join(degraded[:10]) or None,
        }

    return each_window(stages, "performance", windows, work)


def _read_ahead(stages: StageContext, windows: Sequence[Window], window: Window) -> dict[Window, list[LabelledProfile]]:
    """Labelled profiles of this window and the next ones, in one read."""
    at = windows.index(window)
    some = windows[at : at + WINDOWS_A_READ]
    profiles = stages.warehouse.run(lambda conn: profile_store.load_labelled(conn, stages.monitor.name, some))
    found: dict[Window, list[LabelledProfile]] = {one: [] for one in some}
    for profile in profiles:
        found[profile.window].append(profile)
    return found


def _rows(
    stages: StageContext,
    one: IngestedWindow,
    labelled: Sequence[LabelledProfile],
    references: dict[tuple[str, str], ReferenceSegment],
) -> dict[str, list[PerformanceRow]]:
    """Rows by model version. Each segment is held against the same segment of its version's reference."""
    monitor = stages.monitor
    known = {version for version, _ in references}
    rows: dict[str, list[PerformanceRow]] = defaultdict(list)
    for profile in labelled:
        n, n_labelled = profile.outcome.n_predictions, profile.outcome.n_labelled
        coverage = n_labelled / n if n else None
        reference = references.get((reference_version(monitor, profile.model_version, known), profile.segment))
        rows[profile.model_version] += measure_performance(
            profile,
            reference.labelled if reference is not None and reference.labelled.outcome.n_labelled else None,
            thresholds=monitor.thresholds,
            coverage=coverage,
            mature=is_mature(monitor.labels, one.window, coverage),
        )
    return rows
