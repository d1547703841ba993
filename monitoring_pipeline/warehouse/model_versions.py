"""Model versions: which are known, which role each has. A changed entry is a new revision."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal
from weakref import WeakKeyDictionary

from sqlalchemy import Connection, Engine, text

from monitoring_pipeline.warehouse.ledger import lock_monitor

VersionRole = Literal["champion", "challenger", "retired", "rejected"]
ArtifactFormat = Literal["skops", "pickle", "trainer"]

KNOW_VERSION = text("""
insert into monitoring.known_version (monitor, model_version) values (:monitor, :model_version) on conflict do nothing
""")
CURRENT = text("""
select model_version, role, trained_at, train_start, train_end, algorithm, hyperparameters, training_metrics,
       artifact_uri, artifact_sha256, attempt_id, parent_version, n_rows, labels_known_at, data_version,
       artifact_format, artifact_bytes, environment, duration_seconds, cpu_seconds, peak_rss_bytes, pruned_at
from monitoring.model_version_current where monitor = :monitor order by as_known_at, model_version
""")
SUPERSEDE = text("""
update monitoring.model_version set superseded_at = greatest(as_known_at, clock_timestamp())
where monitor = :monitor and model_version = :model_version and superseded_at is null
""")
INSERT = text("""
insert into monitoring.model_version (monitor, model_version, role, trained_at, train_start, train_end, algorithm,
  hyperparameters, training_metrics, artifact_uri, artifact_sha256, attempt_id, parent_version, n_rows, labels_known_at,
  data_version, artifact_format, artifact_bytes, environment, duration_seconds, cpu_seconds, peak_rss_bytes, pruned_at,
  run_id, code_version, as_known_at)
values (:monitor, :model_version, :role, :trained_at, :train_start, :train_end, :algorithm,
  cast(:hyperparameters as jsonb), cast(:training_metrics as jsonb), :artifact_uri, :artifact_sha256,
  :attempt_id, :parent_version, :n_rows, :labels_known_at, :data_version, :artifact_format, :artifact_bytes,
  cast(:environment as jsonb), :duration_seconds, :cpu_seconds, :peak_rss_bytes, :pruned_at,
  :run_id, :code_version, clock_timestamp())
""")


@dataclass(frozen=True)
class ModelVersion:
    """One version of a model. ``artifact_sha256`` is verified before the artifact is loaded.

    ``train_start``, ``train_end`` (UTC): the half-open range of event times it was trained on. ``labels_known_at``:
    only labels that had arrived before it were used. ``environment``: versions of Python and packages. ``pruned_at``:
    when its artifact was deleted. See the comments of the table for the others.
    """

    model_version: str
    role: VersionRole
    trained_at: datetime | None = None
    train_start: datetime | None = None
    train_end: datetime | None = None
    algorithm: str | None = None
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)
    training_metrics: Mapping[str, float] = field(default_factory=dict)
    artifact_uri: str | None = None
    artifact_sha256: str | None = None
    attempt_id: int | None = None
    parent_version: str | None = None
    n_rows: int | None = None
    labels_known_at: datetime | None = None
    data_version: str | None = None
    artifact_format: ArtifactFormat | None = None
    artifact_bytes: int | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    duration_seconds: float | None = None
    cpu_seconds: float | None = None
    peak_rss_bytes: int | None = None
    pruned_at: datetime | None = None


_known: WeakKeyDictionary[Engine, set[tuple[str, str]]] = WeakKeyDictionary()  # versions are never forgotten


def know_version(conn: Connection, monitor: str, model_version: str) -> None:
    """Figures may belong to this version from now on."""
    known = _known.setdefault(conn.engine, set())
    if (monitor, model_version) not in known:
        added = conn.execute(KNOW_VERSION, {"monitor": monitor, "model_version": model_version}).rowcount
        if not added:  # what this transaction adds may still be rolled back
            known.add((monitor, model_version))


def model_versions(conn: Connection, monitor: str) -> dict[str, ModelVersion]:
    """Registered versions as they stand now."""
    rows = conn.execute(CURRENT, {"monitor": monitor}).mappings()
    return {row["model_version"]: ModelVersion(**row) for row in rows}


def register_version(
    conn: Connection, monitor: str, version: ModelVersion, *, run_id: str | None, code_version: str | None = None
) -> bool:
    """Keep what is known of a version. True if that is new. A new champion retires the one before."""
    lock_monitor(conn, monitor)
    registered = model_versions(conn, monitor)
    if registered.get(version.model_version) == version:
        return False
    know_version(conn, monitor, version.model_version)
    if version.role == "champion":
        for other in registered.values():
            if other.role == "champion" and other.model_version != version.model_version:
                _replace(conn, monitor, ModelVersion(**{**vars(other), "role": "retired"}), run_id, code_version)
    _replace(conn, monitor, version, run_id, code_version)
    return True


def champion(conn: Connection, monitor: str) -> str | None:
    """The version in service, if one is registered."""
    return next((v.model_version for v in model_versions(conn, monitor).values() if v.role == "champion"), None)


def _replace(
    conn: Connection, monitor: str, version: ModelVersion, run_id: str | None, code_version: str | None
) -> None:
    conn.execute(SUPERSEDE, {"monitor": monitor, "model_version": version.model_version})
    as_json = {
        "hyperparameters": json.dumps(dict(version.hyperparameters)),
        "training_metrics": json.dumps(dict(version.training_metrics)),
        "environment": json.dumps(dict(version.environment)),
    }
    conn.execute(INSERT, vars(version) | as_json | {"monitor": monitor, "run_id": run_id, "code_version": code_version})
