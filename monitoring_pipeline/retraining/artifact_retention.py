"""Which artifacts are too old or too many, and their deletion: rows say it first, then the files go.

Never the champion's, nor that of the champion before, which a rollback brings back, nor a challenger's.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace
from datetime import UTC, datetime

import fsspec
from sqlalchemy import Connection

from monitoring_pipeline.lake.pruning import Files
from monitoring_pipeline.lake.store import join
from monitoring_pipeline.monitors.declaration import Retention
from monitoring_pipeline.retraining import artifacts
from monitoring_pipeline.retraining.context import RetrainContext
from monitoring_pipeline.warehouse import attempt_store, model_versions
from monitoring_pipeline.warehouse.ledger import lock_monitor
from monitoring_pipeline.warehouse.model_versions import ModelVersion

LONG_AGO = datetime.min.replace(tzinfo=UTC)


def prune(ctx: RetrainContext, now: datetime, dry_run: bool = False) -> Files:
    """Deletes the artifacts that the monitor's ``retention`` gives up, or with ``dry_run`` only counts them.

    Their versions stay registered, marked as pruned in one transaction; the files go after it, and those that a crash
    left go the next time. Artifacts that lie elsewhere than in the monitor's own directory are never touched.
    """
    kept = ctx.monitor.retention
    if kept.artifacts is None and kept.artifact_versions is None:
        return Files()

    def mark(conn: Connection) -> set[str]:
        """The files that no version holds any more."""
        name = ctx.monitor.name
        lock_monitor(conn, name)
        chosen = {one.model_version: replace(one, pruned_at=now) for one in _chosen(conn, ctx, now)}
        versions = model_versions.model_versions(conn, name) | chosen
        for version in [] if dry_run else chosen.values():
            model_versions.register_version(conn, name, version, run_id=ctx.run_id)
        gone = _uris(one for one in versions.values() if one.pruned_at is not None)
        return gone - _uris(one for one in versions.values() if one.pruned_at is None)

    return _files(ctx, ctx.warehouse.run(mark), dry_run)


def too_many(
    versions: Iterable[ModelVersion], protected: Collection[str], kept: Retention, now: datetime
) -> list[ModelVersion]:
    """Versions whose artifact is older than ``kept.artifacts``, or not among the newest ``kept.artifact_versions``.

    ``protected`` are never chosen, but count among the newest, where a version without a time of training comes last.
    """
    there = [one for one in versions if one.artifact_uri is not None and one.pruned_at is None]
    newest_first = sorted(there, key=lambda one: (one.trained_at or LONG_AGO, one.model_version), reverse=True)
    most = len(there) if kept.artifact_versions is None else kept.artifact_versions
    return [
        one for rank, one in enumerate(newest_first)
        if one.model_version not in protected and (rank >= most or _too_old(one, kept, now))
    ]  # fmt: skip


def _too_old(version: ModelVersion, kept: Retention, now: datetime) -> bool:
    """One that was registered without a time of training has no age."""
    return kept.artifacts is not None and version.trained_at is not None and version.trained_at <= now - kept.artifacts


def _chosen(conn: Connection, ctx: RetrainContext, now: datetime) -> list[ModelVersion]:
    name, own = ctx.monitor.name, join(artifacts.model_directory(ctx.settings, ctx.monitor.name), "")
    versions = model_versions.model_versions(conn, name).values()
    protected = {one.model_version for one in versions if one.role in ("champion", "challenger")}
    made = attempt_store.promotions(conn, name)
    if made and made[-1].previous_version:
        protected.add(made[-1].previous_version)
    open_one = attempt_store.open_attempt(conn, name)
    if open_one is not None:
        protected |= {open_one.challenger_version, open_one.champion_version or ""}
    mine = [one for one in versions if (one.artifact_uri or "").startswith(own)]
    return too_many(mine, protected, ctx.monitor.retention, now)


def _uris(versions: Iterable[ModelVersion]) -> set[str]:
    return {one.artifact_uri for one in versions if one.artifact_uri is not None}


def _files(ctx: RetrainContext, uris: Collection[str], dry_run: bool) -> Files:
    """Deletes those that are still there."""
    directory = artifacts.model_directory(ctx.settings, ctx.monitor.name)
    filesystem, inner = fsspec.core.url_to_fs(directory)
    if not uris or not filesystem.exists(inner):
        return Files()
    wanted = {uri.rpartition("/")[2] for uri in uris if uri.startswith(join(directory, ""))}
    count = size = 0
    for entry in filesystem.ls(inner, detail=True):
        if entry["name"].rpartition("/")[2] in wanted:
            count, size = count + 1, size + int(entry["size"])
            if not dry_run:
                filesystem.rm_file(entry["name"])
    return Files(count, size)
