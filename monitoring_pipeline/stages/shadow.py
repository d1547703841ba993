"""A challenger in shadow: what it would have said of the windows it waited for, measured window by window.

The rows are of kind ``shadow`` and of the challenger's own version. Nothing judges them, and they alarm nobody.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from urllib.parse import quote

import pandas as pd
from sqlalchemy import Connection

from monitoring_pipeline.engines.choosing import engine_of
from monitoring_pipeline.engines.merging import labelled_of
from monitoring_pipeline.lake.reference import MAX_SLICES, keep_reference_rows
from monitoring_pipeline.lake.scan import Scan
from monitoring_pipeline.measurements import Measurement, metric_keys
from monitoring_pipeline.metrics.performance import measure_performance
from monitoring_pipeline.monitors import Monitor, Window
from monitoring_pipeline.profiles.profile import LabelledProfile
from monitoring_pipeline.retraining import artifacts
from monitoring_pipeline.retraining.context import RetrainContext
from monitoring_pipeline.retraining.judged_rows import Span
from monitoring_pipeline.retraining.reference_rows import reference_table
from monitoring_pipeline.retraining.training_set import labelled_rows
from monitoring_pipeline.stages.context import StageContext
from monitoring_pipeline.stages.reference import PARTS
from monitoring_pipeline.stages.versions import reference_version
from monitoring_pipeline.warehouse import measurement_store, profile_store, reference_store
from monitoring_pipeline.warehouse.measurement_store import Arriving
from monitoring_pipeline.warehouse.model_versions import ModelVersion


def measure_shadow(ctx: RetrainContext, monitor: Monitor, version: ModelVersion, span: Span) -> int:
    """Writes the performance of the challenger in each window of ``span``; how many windows.

    Of the rows whose label had arrived by ``span.known_before``: they are its predictions, so the coverage is 1.
    ``monitor``: with the outcome of its reference. The same once more changes nothing. Raises RetrainError when the
    artifact cannot be loaded or does not score.
    """
    frame = labelled_rows(ctx, span.start, span.end, span.known_before) if span.start < span.end else pd.DataFrame()
    if frame.empty:
        return 0
    profiles = _profiles(ctx, monitor, version, frame)
    stages = StageContext(monitor, ctx.warehouse, ctx.settings, ctx.run_id)
    made = stages.provenance(version.data_version or version.model_version)

    def write(conn: Connection) -> int:
        measured = _measured(conn, monitor, profiles)
        kept = _of_others(conn, monitor, version, sorted(measured))
        arriving = [Arriving(window, [*found, *kept[window]], made) for window, found in sorted(measured.items())]
        measurement_store.replace_families(conn, monitor.name, "shadow", "shadow", arriving)
        return len(arriving)

    return ctx.warehouse.run(write)


def _profiles(
    ctx: RetrainContext, monitor: Monitor, version: ModelVersion, frame: pd.DataFrame
) -> list[LabelledProfile]:
    """Outcomes of the rows as the challenger answers them, by window and segment."""
    name = version.model_version
    table = reference_table(monitor, artifacts.load(ctx, version), frame, name)
    rows = keep_reference_rows(monitor, table, f"shadow-{quote(name, safe='')}", ctx.settings)
    rows = replace(rows, rows=replace(rows.rows, version=name))

    def read(conn: Connection) -> dict:
        used = reference_version(monitor, name, profile_store.reference_versions(conn, monitor.name))
        return {name: profile_store.references(conn, monitor.name)[used].layout}

    layouts = ctx.warehouse.run(read)
    scan = Scan(monitor, reference=rows.in_slices(monitor.window, MAX_SLICES))
    counted = engine_of(ctx.settings).profile(scan, layouts, monitor.segment_keys, PARTS)
    return labelled_of(counted, layouts, 0, monitor.window)


def _measured(
    conn: Connection, monitor: Monitor, profiles: Sequence[LabelledProfile]
) -> Mapping[Window, list[Measurement]]:
    """Each segment beside the same segment of the challenger's reference."""
    references = reference_store.load_segments(conn, monitor.name)
    versions = profile_store.reference_versions(conn, monitor.name)
    found = defaultdict(list)
    for one in profiles:
        reference = references.get((reference_version(monitor, one.model_version, versions), one.segment))
        usable = reference is not None and reference.labelled.outcome.n_labelled
        m = measure_performance(one, reference.labelled if reference is not None and usable else None)
        keys = metric_keys("shadow", m.keys.columns, m.keys.roles, m.keys.metrics)
        found[one.window].append(replace(m, family="shadow", keys=keys))
    return found


def _of_others(
    conn: Connection, monitor: Monitor, version: ModelVersion, windows: Sequence[Window]
) -> Mapping[Window, list[Measurement]]:
    """What stands of earlier challengers in these windows: writing replaces the family of a window as a whole."""
    found = defaultdict(list)
    for kept in measurement_store.current(conn, monitor.name, windows, ["shadow"]):
        if kept.measurement.model_version != version.model_version:
            found[kept.window].append(kept.measurement)
    return found
