"""Rotation: a new model version gets a reference of its own, made of rows it was not fitted on.

The old reference stays, and so do the verdicts made with it: windows of each version are compared with its own.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from urllib.parse import quote

import pandas as pd
from sqlalchemy import Connection

from monitoring_pipeline.errors import UserError
from monitoring_pipeline.lake.reference import keep_reference_rows
from monitoring_pipeline.monitors import Monitor
from monitoring_pipeline.profiles.document import to_document
from monitoring_pipeline.retraining import artifacts
from monitoring_pipeline.retraining.context import Attempt, RetrainContext
from monitoring_pipeline.retraining.reference_rows import reference_table, unseen_rows
from monitoring_pipeline.settings import Settings
from monitoring_pipeline.stages import artifact_incidents, incidents
from monitoring_pipeline.stages.context import StageContext
from monitoring_pipeline.stages.reference import profile_version
from monitoring_pipeline.stages.versions import reference_version
from monitoring_pipeline.warehouse import profile_store
from monitoring_pipeline.warehouse.model_versions import ModelVersion


@dataclass(frozen=True)
class Rotated:
    """The reference of a version: how many rows of which days (UTC, both included), and which they are in words.

    No rows: all that were known were fitted on; the declared reference stands for it until there are others.
    ``document``: path of the reference document for a service. ``changed``: False when it was there already.
    """

    model_version: str
    n_rows: int
    first: date | None
    last: date | None
    rows: str
    document: Path
    changed: bool


def make_reference(ctx: RetrainContext, attempt: Attempt, version: ModelVersion) -> Rotated:
    """Makes the reference of the attempt's version: layout, profiles, segments, blocks and outcomes.

    Of labelled rows that it was not fitted on, scored by it, as they were known at the attempt's cut. The same once
    more changes nothing. Other versions keep theirs, and windows without rows of this version are not stale for it.
    Where all rows were fitted on, as after a change a few days ago, none is made: once the windows of the shadow are
    labelled, it can be made of those. Raises RetrainError when the artifact cannot be loaded.
    """
    monitor, name = with_outcome(ctx.monitor), version.model_version
    frame, which = unseen_rows(ctx, attempt, version)
    if frame.empty:
        return Rotated(name, 0, None, None, which, export_reference(ctx, name), changed=False)
    made_from = _made_from(frame, version)
    days = frame["event_time"].dt.date
    stages = StageContext(monitor, ctx.warehouse, ctx.settings, ctx.run_id)
    known = ctx.warehouse.run(lambda conn: profile_store.reference_sources(conn, monitor.name).get(name))
    if known != made_from:
        model = artifacts.load(ctx, version)
        rows = keep_reference_rows(monitor, reference_table(monitor, model, frame, name), name, ctx.settings)
        profile_version(stages, name, rows, made_from)
    document = export_reference(ctx, name)
    return Rotated(name, len(frame), days.min(), days.max(), which, document, changed=known != made_from)


def close_incidents(ctx: RetrainContext) -> None:
    """After a change of champion: what was open about the old version alone is closed, without waiting for a window.

    So is an incident of its artifact; one of the new champion's would open.
    """
    incidents.fold(StageContext(ctx.monitor, ctx.warehouse, ctx.settings, ctx.run_id))
    artifact_incidents.look(ctx)


def has_reference(ctx: RetrainContext, version: str) -> bool:
    """Whether the version has a reference of its own."""
    return version in ctx.warehouse.run(lambda conn: profile_store.reference_sources(conn, ctx.monitor.name))


def export_reference(ctx: RetrainContext, version: str) -> Path:
    """Writes the reference document of a version, for the service that answers with it; returns its path.

    A version without a reference of its own gets the declared one under its name. Raises WindowError when the monitor
    has none, UserError when the place cannot be written.
    """
    monitor = ctx.monitor

    def read(conn: Connection) -> dict:
        versions = profile_store.reference_versions(conn, monitor.name)
        used = reference_version(monitor, version, versions)
        return to_document(replace(profile_store.references(conn, monitor.name)[used], model_version=version))

    content = json.dumps(ctx.warehouse.run(read), indent=1, sort_keys=True) + "\n"
    path = document_path(ctx.settings, monitor.name, version)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(".tmp")
        temporary.write_text(content)
        temporary.replace(path)
    except OSError as error:
        raise UserError(f"{path}: the reference cannot be written ({error.strerror}); free space there") from error
    return path


def document_path(settings: Settings, monitor: str, version: str) -> Path:
    """Where the reference document of a version lies: beside the artifacts."""
    directory = artifacts.model_directory(settings, monitor)
    return Path(directory) / f"reference-{quote(version, safe='')}.json"


def with_outcome(monitor: Monitor) -> Monitor:
    """As ``monitor`` reads rows of a new version: with outcomes, whether or not the declared reference has them."""
    if monitor.reference.outcome is not None or monitor.ground_truth is None:
        return monitor
    reference = monitor.reference.model_copy(update={"outcome": monitor.ground_truth.outcome})
    return monitor.model_copy(update={"reference": reference})


def _made_from(frame: pd.DataFrame, version: ModelVersion) -> str:
    """Names the rows and the model: equal ones make an equal reference."""
    digest = hashlib.sha256((version.artifact_sha256 or "").encode())
    digest.update(pd.util.hash_pandas_object(frame, index=False).to_numpy().tobytes())
    return f"{profile_store.ROTATED}{digest.hexdigest()[:16]}"
