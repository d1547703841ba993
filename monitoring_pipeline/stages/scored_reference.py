"""A reference of features alone is scored by the registered model, once; its copy in the lake stands for it then."""

from __future__ import annotations

import pyarrow as pa

from monitoring_pipeline.lake.cleaning import canonical_columns
from monitoring_pipeline.lake.unscored import keep_scored, unscored_rows
from monitoring_pipeline.monitors import Monitor
from monitoring_pipeline.retraining import artifacts
from monitoring_pipeline.retraining.context import RetrainContext
from monitoring_pipeline.retraining.reference_rows import reference_table
from monitoring_pipeline.retraining.rows import frame_of
from monitoring_pipeline.stages.context import StageContext
from monitoring_pipeline.warehouse import model_versions
from monitoring_pipeline.warehouse.model_versions import ModelVersion


def score_reference(stages: StageContext) -> bool:
    """Scores the rows of each version by its own artifact, else by the champion's. False: neither is registered.

    Raises RetrainError when an artifact is altered, pruned or cannot score, SourceError as the source does.
    """
    monitor = stages.monitor
    known = stages.warehouse.run(lambda conn: model_versions.model_versions(conn, monitor.name))
    champion = next((one for one in known.values() if one.role == "champion" and _has_artifact(one)), None)
    if champion is None and not any(map(_has_artifact, known.values())):
        return False
    bare, rows = unscored_rows(monitor, stages.settings)
    frame = frame_of(bare, rows)
    ctx = RetrainContext(monitor, stages.warehouse, stages.settings, stages.run_id)
    tables, said = [], []
    for version, positions in sorted(frame.groupby("model_version").indices.items()):
        own = known.get(str(version))
        scorer = own if own is not None and _has_artifact(own) else champion
        if scorer is None:
            return False
        model = artifacts.load(ctx, scorer)
        scored = reference_table(monitor, model, frame.iloc[positions].reset_index(drop=True), str(version))
        tables.append(_with_outputs(monitor, rows.take(positions), scored))
        said.append(f"rows of {version} by {scorer.model_version} (SHA-256 {scorer.artifact_sha256})")
    if not tables:
        return False
    keep_scored(monitor, pa.concat_tables(tables), "; ".join(said), stages.settings)
    return True


def _with_outputs(monitor: Monitor, rows: pa.Table, scored: pa.Table) -> pa.Table:
    """The rows as the source holds them, beside what the model says of them; a frame does not tell null from NaN."""
    names = canonical_columns(monitor, monitor.reference.outcome)
    outputs = tuple(name for name in names if name.startswith(("__prediction", "__score")))
    return pa.table({name: (scored if name in outputs else rows)[name] for name in names})


def _has_artifact(version: ModelVersion) -> bool:
    return version.artifact_uri is not None and version.pruned_at is None
