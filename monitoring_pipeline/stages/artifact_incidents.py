"""An incident while the champion's artifact is missing or damaged. The champion stays: services keep what they loaded.

It rests on bytes, not on alarms of windows, so that the fold over alarms leaves it alone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import Connection

from monitoring_pipeline.alerting.incidents.kinds import ARTIFACT
from monitoring_pipeline.errors import RetrainError
from monitoring_pipeline.retraining import artifacts, promotion
from monitoring_pipeline.retraining.context import RetrainContext
from monitoring_pipeline.warehouse import incident_store, ledger, model_versions
from monitoring_pipeline.warehouse.incident_store import Incident
from monitoring_pipeline.warehouse.model_versions import ModelVersion
from monitoring_pipeline.windows import LENGTH


@dataclass(frozen=True)
class _Seen:
    """A version whose artifact is kept here, and what is wrong with it; None: it is whole."""

    version: ModelVersion
    wrong: str | None


def look(ctx: RetrainContext) -> str | None:
    """Verifies the champion's artifact and opens, keeps or resolves the incident; what is wrong, None: nothing.

    Times are those of the newest judged window, so that the same state gives the same rows; before one is judged,
    nothing is written. Raises WarehouseError when the database is away.
    """
    champion = promotion.in_service(ctx)
    seen = None if champion is None or not champion.is_here else _Seen(champion.version, _wrong(champion.version))
    ctx.warehouse.run(lambda conn: _write(conn, ctx, seen), can_be_recomputed=True)
    return None if seen is None else seen.wrong


def _wrong(version: ModelVersion) -> str | None:
    if version.pruned_at is not None:
        return f"{version.artifact_uri}: the artifact was deleted on {version.pruned_at:%Y-%m-%d}"
    try:
        artifacts.verified(version.artifact_uri or "", version.artifact_sha256 or "")
    except RetrainError as error:
        return str(error)
    return None


def _known(conn: Connection, monitor: str) -> list[Incident]:
    return [one for one in incident_store.current(conn, monitor).values() if one.change == ARTIFACT.name]


def _write(conn: Connection, ctx: RetrainContext, seen: _Seen | None) -> None:
    name = ctx.monitor.name
    ledger.lock_verdicts(conn, name)
    known = {one.incident_id: one for one in _known(conn, name)}
    damaged = seen is not None and seen.wrong is not None
    span = incident_store.judged_span(conn, name) if damaged or known else None
    if span is None:
        return
    if seen is not None and model_versions.champion(conn, name) != seen.version.model_version:
        return  # another was promoted meanwhile: who did that looks, too
    last, length = span[1], LENGTH[ctx.monitor.window]
    current = None if seen is None or seen.wrong is None else _opened(ctx, seen.version, seen.wrong, last, known)
    champion = None if seen is None else seen.version.model_version
    resolved = [
        _resolved(one, last + length, champion)
        for one in known.values()
        if one.state == "open" and (current is None or one.incident_id != current.incident_id)
    ]
    changed = [] if current is None or known.get(current.incident_id) == current else [current]
    incident_store.revise(conn, name, ctx.run_id, [], [*changed, *resolved])


def _opened(
    ctx: RetrainContext, version: ModelVersion, wrong: str, window: datetime, known: dict[str, Incident]
) -> Incident:
    """The incident as it stands at this window; what was said first is kept while it is open."""
    key = f"artifact-{(version.artifact_sha256 or '')[:12]}"
    was = known.get(key)
    if was is not None and was.state == "open":
        if was.last_window >= window:
            return was
        return replace(was, last_window=window, n_windows=was.n_windows + 1, reason="amended: still damaged")
    first = window if was is None else min(was.first_window, window)
    return Incident(
        incident_id=key,
        kind="service",
        severity="critical",
        state="open",
        opened_at=first + LENGTH[ctx.monitor.window],
        first_window=first,
        last_window=max(first, window),
        columns=(),
        segments=(),
        summary=_sentence(version.model_version, wrong, ctx.monitor.name),
        evidence={
            "alarms": [], "model_versions": [version.model_version], "artifact": version.artifact_uri,
            "sha256": version.artifact_sha256,
        },
        resolved_at=None,
        change=ARTIFACT.name,
        actions=ARTIFACT.actions,
        n_windows=1 if was is None else was.n_windows,
        reason="opened" if was is None else "amended: open again",
        rank=1.0,
    )  # fmt: skip


def _sentence(version: str, wrong: str, monitor: str) -> str:
    """Names the file, what is wrong and what to do."""
    return (
        f"Damaged artifact of champion {version}: {wrong}. Services go on with the model they have loaded and cannot"
        f" load it anew. To do: {'; '.join(ARTIFACT.actions)} (`monitoring-pipeline model rollback {monitor}`)."
    )


def _resolved(one: Incident, at: datetime, champion: str | None) -> Incident:
    same = champion is not None and champion in one.evidence["model_versions"]
    reason = "the artifact is whole again" if same else f"the champion is now {champion or 'one that is not kept here'}"
    return replace(one, state="resolved", resolved_at=max(at, one.opened_at), reason=reason)
