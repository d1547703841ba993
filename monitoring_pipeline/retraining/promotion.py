"""Which model is in service: every change is one transaction, and a pointer file says it to the services.

The rows decide; ``champion.json`` is written from them afterwards, whole or not at all, and again by whoever comes next.
"""

from __future__ import annotations

import json
import re
from typing import Literal

import fsspec
from sqlalchemy import Connection

from monitoring_pipeline.errors import UserError
from monitoring_pipeline.lake import store
from monitoring_pipeline.retraining import attempts
from monitoring_pipeline.retraining.context import Attempt, RetrainContext
from monitoring_pipeline.settings import Settings
from monitoring_pipeline.warehouse import attempt_store, model_versions, profile_store
from monitoring_pipeline.warehouse.ledger import lock_monitor

POINTER = "champion.json"
Kind = Literal["first", "rollback", "manual"]


def models_directory(settings: Settings, monitor: str) -> str:
    """Where the artifacts of a monitor lie, and the pointer to its champion."""
    return store.join(str(settings.home.resolve()), "models", monitor)


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

    Raises UserError for a version that is not registered, is the champion already, or whose artifact was pruned. Whether
    the artifact is whole is for the caller to check (``artifacts.verify``).
    """
    name = ctx.monitor.name
    with ctx.warehouse.transaction() as conn:
        lock_monitor(conn, name)
        known = model_versions.model_versions(conn, name)
        if model_version not in known:
            raise UserError(
                f"{name} has no registered version {model_version!r}; `monitoring-pipeline model list {name}` lists them"
            )
        champion = model_versions.champion(conn, name)
        if champion == model_version:
            raise UserError(f"{model_version!r} is the champion of {name} already")
        return _crown(conn, ctx, model_version, champion, kind=kind, by_whom=by_whom, reason=reason)


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


def publish(ctx: RetrainContext) -> str | None:
    """Writes the pointer that services poll, from the rows; its path. None before the first promotion."""
    name = ctx.monitor.name

    def read(conn: Connection) -> dict[str, object] | None:
        made = attempt_store.promotions(conn, name)
        champion = next((v for v in model_versions.model_versions(conn, name).values() if v.role == "champion"), None)
        if champion is None or not made:
            return None
        own = champion.model_version in profile_store.references(conn, name)
        return {
            "seq": made[-1].seq,
            "monitor": name,
            "model_version": champion.model_version,
            "uri": champion.artifact_uri,
            "sha256": champion.artifact_sha256,
            "format": getattr(champion, "artifact_format", None),
            "reference": champion.model_version if own else ctx.monitor.reference.model_version,
        }

    pointer = ctx.warehouse.run(read)
    if pointer is None:
        return None
    path = store.join(models_directory(ctx.settings, name), POINTER)
    store.write_text(path, json.dumps(pointer, indent=1) + "\n")
    return path


def remove_orphans(ctx: RetrainContext) -> list[str]:
    """Deletes artifacts that no version refers to: those of a process that was killed before it registered one.

    Only for the owner of the monitor's retraining, and only files that are named as artifacts are.
    """
    directory = models_directory(ctx.settings, ctx.monitor.name)
    filesystem, inner = fsspec.core.url_to_fs(directory)
    if not filesystem.exists(inner):
        return []
    known = ctx.warehouse.run(lambda conn: attempt_store.artifacts(conn, ctx.monitor.name))
    kept = {uri.rpartition("/")[2] for uri in known}
    gone = []
    for path in filesystem.ls(inner, detail=False):
        name = path.rpartition("/")[2]
        if name not in kept and re.match(r"(\.tmp-|[0-9a-f]{64})", name):
            filesystem.rm(path)
            gone.append(name)
    return gone
