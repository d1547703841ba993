"""Which model is in service: every change is one transaction, and a pointer file says it to the services.

The rows decide; ``champion.json`` is written from them afterwards, whole or not at all, and again by whoever is next.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

import fsspec
from sqlalchemy import Connection

from monitoring_pipeline.errors import RetrainError, UserError
from monitoring_pipeline.lake import store
from monitoring_pipeline.retraining import artifacts, attempts
from monitoring_pipeline.retraining.context import Attempt, RetrainContext
from monitoring_pipeline.warehouse import attempt_store, model_versions, profile_store
from monitoring_pipeline.warehouse.ledger import lock_monitor

POINTER = "champion.json"
ORPHAN_AGE = timedelta(hours=1)
"""A younger file may be one that somebody is about to register."""
Kind = Literal["first", "rollback", "manual"]


def register_first(ctx: RetrainContext) -> str | None:
    """The champion; where none is registered, the version that the log is written by, else that of the reference.

    None before the monitor has rows.
    """
    name = ctx.monitor.name

    def register(conn: Connection) -> str | None:
        lock_monitor(conn, name)
        if (known := model_versions.champion(conn, name)) is not None:
            return known
        first = attempt_store.version_in_log(conn, name) or next(iter(profile_store.references(conn, name)), None)
        if first is not None:
            said = "the version that served when retraining began"
            _crown(conn, ctx, first, None, kind="first", by_whom="policy", reason=said)
        return first

    return ctx.warehouse.run(register)


def promote(ctx: RetrainContext, attempt: Attempt, reason: str) -> Attempt:
    """The challenger becomes champion, unless the champion is no longer the one it was compared with: inconclusive.

    One transaction holds roles, promotion, attempt and outcome of the decision. Raises WarehouseError when the database
    is away: nothing is written then, and the next run goes on from the comparison.
    """
    name = ctx.monitor.name
    with ctx.warehouse.transaction() as conn:
        lock_monitor(conn, name)
        champion = model_versions.champion(conn, name)
        if champion != attempt.champion_version:
            said = f"the champion is now {champion}, and the challenger was compared with {attempt.champion_version}"
            return settle_within(conn, ctx, attempt, "inconclusive", said)
        done = attempts.moved(conn, attempt, "promoted", reason)
        values = {"attempt_id": attempt.attempt_id, "as_of": attempt.shadow_until or attempt.as_of}
        _crown(
            conn, ctx, attempt.challenger_version, champion, kind="promotion", by_whom="policy", reason=reason, **values
        )
        attempt_store.set_outcome(conn, attempt.decision_id, "promoted", attempt.challenger_version)
        return done


def settle_within(
    conn: Connection, ctx: RetrainContext, attempt: Attempt, state: Literal["kept", "inconclusive"], reason: str
) -> Attempt:
    """The champion stays; the challenger is rejected. Within the caller's transaction."""
    done = attempts.moved(conn, attempt, state, reason)
    attempt_store.reject(conn, ctx.monitor.name, attempt.challenger_version)
    attempt_store.set_outcome(conn, attempt.decision_id, state, attempt.challenger_version)
    return done


def crown(ctx: RetrainContext, model_version: str, kind: Kind, by_whom: str, reason: str) -> int:
    """A person makes a registered version the champion. Its number in the order that services see.

    Raises UserError for a version that is not registered or is the champion already, RetrainError for one whose
    artifact was pruned, is missing or was altered. A version that was registered without one is taken at its word.
    """
    name = ctx.monitor.name
    with ctx.warehouse.transaction() as conn:
        lock_monitor(conn, name)
        known = model_versions.model_versions(conn, name)
        if model_version not in known:
            raise UserError(
                f"{name} has no registered version {model_version!r}; `monitoring-pipeline model list {name}` shows all"
            )
        champion = model_versions.champion(conn, name)
        if champion == model_version:
            raise UserError(f"{model_version!r} is the champion of {name} already")
        _check_artifact(known[model_version])
        return _crown(conn, ctx, model_version, champion, kind=kind, by_whom=by_whom, reason=reason)


def artifact_state(version: model_versions.ModelVersion) -> str:
    """In words, whether the version can be loaded: its bytes are read and verified."""
    if version.artifact_uri is None:
        return "none is kept here"
    try:
        _check_artifact(version)
    except RetrainError as error:
        return str(error)
    return "whole"


def _check_artifact(version: model_versions.ModelVersion) -> None:
    if version.pruned_at is not None:
        raise RetrainError(
            f"the artifact of model version {version.model_version!r} was deleted on {version.pruned_at:%Y-%m-%d};"
            " choose another version"
        )
    if version.artifact_uri is not None and version.artifact_sha256 is not None:
        artifacts.verified(version.artifact_uri, version.artifact_sha256)


def _crown(conn: Connection, ctx: RetrainContext, version: str, previous: str | None, **values: object) -> int:
    """Roles and promotion. A version that is not registered yet (the first) is."""
    name = ctx.monitor.name
    if previous is not None:
        attempt_store.change_role(conn, name, previous, "retired")
    if version in model_versions.model_versions(conn, name):
        attempt_store.change_role(conn, name, version, "champion")
    else:
        first = model_versions.ModelVersion(version, "champion")
        model_versions.register_version(conn, name, first, run_id=ctx.run_id)
    return attempt_store.record_promotion(conn, name, model_version=version, previous_version=previous, **values)


@dataclass(frozen=True)
class InService:
    """The champion and the number of the promotion that made it one."""

    seq: int
    version: model_versions.ModelVersion

    @property
    def is_here(self) -> bool:
        """Whether its artifact is kept here; a model that the service brought itself has none."""
        v = self.version
        return None not in (v.artifact_uri, v.artifact_sha256, v.artifact_format)


def in_service(ctx: RetrainContext) -> InService | None:
    """What the rows say is in service; None before the first promotion."""
    name = ctx.monitor.name

    def read(conn: Connection) -> InService | None:
        made = attempt_store.promotions(conn, name)
        versions = model_versions.model_versions(conn, name).values()
        champion = next((version for version in versions if version.role == "champion"), None)
        return InService(made[-1].seq, champion) if made and champion else None

    return ctx.warehouse.run(read)


def points_to(ctx: RetrainContext) -> int | None:
    """The ``seq`` that the pointer file says; None when there is no file, or not a whole one."""
    try:
        with fsspec.open(pointer_path(ctx), "r") as file:
            said = json.load(file)
        return int(said["seq"]) if said["uri"] and said["reference"] else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def point_to(ctx: RetrainContext, champion: InService, reference: str) -> str:
    """Writes the pointer that services follow (``serving.champion``), whole or not at all; its path.

    ``reference``: path of the champion's reference document.
    """
    version = champion.version
    said = {
        "seq": champion.seq,
        "monitor": ctx.monitor.name,
        "model_version": version.model_version,
        "uri": version.artifact_uri,
        "sha256": version.artifact_sha256,
        "format": version.artifact_format,
        "reference": reference,
    }
    store.write_text(pointer_path(ctx), json.dumps(said, indent=1) + "\n")
    return pointer_path(ctx)


def point_to_none(ctx: RetrainContext) -> None:
    """Removes the pointer: the champion's artifact is not here, so a service keeps, or brings, its own."""
    store.remove(pointer_path(ctx))


def pointer_path(ctx: RetrainContext) -> str:
    """Where the pointer to the champion lies."""
    return store.join(artifacts.model_directory(ctx.settings, ctx.monitor.name), POINTER)


def remove_orphans(ctx: RetrainContext) -> list[str]:
    """Deletes old artifacts that no version refers to, of a process that was killed before it registered them.

    Only for the owner of the monitor's retraining, and only files that are named as artifacts are.
    """
    directory = artifacts.model_directory(ctx.settings, ctx.monitor.name)
    filesystem, inner = fsspec.core.url_to_fs(directory)
    if not filesystem.exists(inner):
        return []
    known = ctx.warehouse.run(lambda conn: attempt_store.artifacts(conn, ctx.monitor.name))
    kept = {uri.rpartition("/")[2] for uri in known}
    gone = []
    for path in filesystem.ls(inner, detail=False):
        name = path.rpartition("/")[2]
        if name in kept or not re.match(r"(\.tmp-|[0-9a-f]{64})", name):
            continue
        if filesystem.modified(path) <= datetime.now(UTC) - ORPHAN_AGE:
            filesystem.rm(path)
            gone.append(name)
    return gone
