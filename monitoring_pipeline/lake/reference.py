"""The reference's rows by model version, and what tells one state of its source from another."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace

from monitoring_pipeline.errors import SourceError
from monitoring_pipeline.lake.duck import connected, literal
from monitoring_pipeline.lake.relation import Relation
from monitoring_pipeline.lake.sources.files import list_files
from monitoring_pipeline.lake.views import reference_relation
from monitoring_pipeline.monitors.declaration import Monitor
from monitoring_pipeline.settings import Settings
from monitoring_pipeline.windows import WindowSize

MAX_SLICES = 1000  # of the newest rows; counting them takes memory for each, and more teach nothing new
# What of a declaration decides which bins and categories a reference fixes.
_FIXES_BINS = ("task", "schema", "reference", "segments", "bins", "max_categories")


@dataclass(frozen=True)
class ReferenceRows:
    """``by_version``: a relation of each model version. ``source_version``: equal where files and declaration are
    equal.
    """

    by_version: Mapping[str, Relation]
    source_version: str


def in_slices(relation: Relation, size: WindowSize) -> Relation:
    """The rows of a reference with ``__window`` the time slice of this length each lies in; rows without a time, and
    those older than the newest ``MAX_SLICES``, keep the constant window of the reference."""
    newest = f"(SELECT max(__time) FROM ({relation.sql}))"  # noqa: S608
    sliced = (
        f"CASE WHEN __time > {newest} - INTERVAL {MAX_SLICES} {size}"
        f" THEN date_trunc('{size}', __time) ELSE __window END AS __window"
    )
    return replace(relation, sql=f"SELECT * REPLACE ({sliced}) FROM ({relation.sql})")  # noqa: S608


def source_version(monitor: Monitor) -> str:
    """16 hex digits over the source's files (path, size, time) and what of the declaration decides how they are
    read.
    """
    files = [
        [path, v.size, v.modified_at.isoformat()]
        for path, v in sorted(list_files(monitor.reference, monitor.base_dir).items())
    ]
    declared = monitor.canonical()
    text = json.dumps([files, {key: declared[key] for key in _FIXES_BINS}], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def reference_rows(monitor: Monitor, settings: Settings) -> ReferenceRows:
    """The declared reference. Raises SourceError when it cannot be read or holds no row."""
    relation = reference_relation(monitor, settings)
    with connected(settings, relation.protocols) as connection:
        found = connection.execute(f"SELECT DISTINCT __version FROM ({relation.sql}) ORDER BY 1").fetchall()  # noqa: S608
    if not found:
        raise SourceError(f"{monitor.name}: the reference holds no usable row; see `monitoring-pipeline validate`")
    by_version = {
        version: replace(relation, sql=f"SELECT * FROM ({relation.sql}) WHERE __version = {literal(version)}")  # noqa: S608
        for (version,) in found
    }
    return ReferenceRows(by_version, source_version(monitor))
