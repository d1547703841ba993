"""The reference's rows by model version, and what tells one state of its source from another."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from urllib.parse import quote

import pyarrow as pa
import pyarrow.compute as pc

from monitoring_pipeline.errors import SourceError
from monitoring_pipeline.lake import store
from monitoring_pipeline.lake.duck import connected
from monitoring_pipeline.lake.scan import ReferenceRows, Scan
from monitoring_pipeline.lake.sources.files import list_files
from monitoring_pipeline.lake.sources.scan import unreadable_named
from monitoring_pipeline.lake.views import prepared_reference, relation_of
from monitoring_pipeline.monitors.declaration import Monitor
from monitoring_pipeline.profiles.layout import Layout
from monitoring_pipeline.settings import Settings
from monitoring_pipeline.windows import LENGTH, WindowSize

MAX_SLICES = 1000  # of the newest rows; more teach nothing new
LEAST_SLICES = 50
SLICE_BYTES = 64 * 2**20  # counting holds the profiles of all slices in memory
# What of a declaration decides which bins and categories a reference fixes.
_FIXES_BINS = ("task", "schema", "reference", "segments", "bins", "max_categories")


@dataclass(frozen=True)
class ReferenceVersion:
    """The rows of one model version; ``newest``: the latest event time among them (naive UTC), None without times."""

    rows: ReferenceRows
    newest: datetime | None

    def in_slices(self, size: WindowSize, most: int) -> ReferenceRows:
        """The same rows in time slices of this length; those older than the newest ``most`` slices, and those without a
        time, stay in the constant window of the reference."""
        if self.newest is None:
            return self.rows
        return replace(self.rows, sliced_after=self.newest - most * LENGTH[size])


@dataclass(frozen=True)
class PreparedReference:
    """``by_version``: rows of each model version. ``source_version``: equal where files and declaration are equal."""

    by_version: Mapping[str, ReferenceVersion]
    source_version: str


def most_slices(layout: Layout) -> int:
    """Number of time slices whose profiles (bins and comoments over all rows) fit ``SLICE_BYTES``."""
    numbers = sum(c.n_bins + 8 for c in layout.columns) + len(layout.scales) ** 2
    return max(LEAST_SLICES, min(MAX_SLICES, SLICE_BYTES // (8 * numbers)))


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


def keep_reference_rows(monitor: Monitor, rows: pa.Table, version: str, settings: Settings) -> ReferenceVersion:
    """Rows of one model version under canonical columns, kept in the lake as a reference. Raises WindowError."""
    path = store.join(settings.lake, monitor.name, "reference", f"{quote(version, safe='')}.parquet")
    with connected(settings) as connection:
        connection.register("given", rows)
        store.write_parquet(connection, "SELECT * FROM given", path)
    return ReferenceVersion(ReferenceRows((path,), copied=True, version=version), pc.max(rows["__time"]).as_py())


def reference_rows(monitor: Monitor, settings: Settings) -> PreparedReference:
    """The declared reference. Raises SourceError when it cannot be read or holds no row."""
    everything = prepared_reference(monitor, settings)
    relation = relation_of(Scan(monitor, reference=everything))
    with connected(settings, relation.protocols) as connection, unreadable_named(connection, everything.files):
        found = connection.execute(
            f"SELECT __version, max(__time) FROM ({relation.sql}) GROUP BY __version ORDER BY __version"  # noqa: S608
        ).fetchall()
    if not found:
        raise SourceError(f"{monitor.name}: the reference holds no usable row; see `monitoring-pipeline validate`")
    by_version = {version: ReferenceVersion(replace(everything, version=version), newest) for version, newest in found}
    return PreparedReference(by_version, source_version(monitor))
