"""The embedded engine: one private DuckDB a scan."""

from __future__ import annotations

from collections.abc import Mapping

import duckdb

from monitoring_pipeline.engines.counter import Counted
from monitoring_pipeline.engines.duckdb.profiler import Profiler
from monitoring_pipeline.engines.engine import Parts, SegmentKeys
from monitoring_pipeline.errors import WindowError
from monitoring_pipeline.lake.duck import connected
from monitoring_pipeline.lake.scan import Scan
from monitoring_pipeline.lake.sources.scan import unreadable_named
from monitoring_pipeline.lake.views import relation_of
from monitoring_pipeline.profiles.layout import Layout
from monitoring_pipeline.settings import Settings


class DuckDBEngine:
    """Implements ``engines.engine.Engine`` within this process; spills to ``settings.home`` beyond DuckDB's limit."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def layout(self, scan: Scan) -> Layout:
        """As ``Engine.layout``."""
        relation = relation_of(scan)
        with (
            connected(self._settings, relation.protocols) as connection,
            unreadable_named(connection, scan.files),
        ):
            return Profiler(connection).layout(relation, scan.monitor)

    def profile(
        self, scan: Scan, layouts: Mapping[str, Layout], segment_keys: SegmentKeys, parts: Parts
    ) -> list[Counted]:
        """As ``Engine.profile``."""
        try:
            relation = relation_of(scan)
            with connected(self._settings, relation.protocols) as connection:
                return Profiler(connection).profile(relation, layouts, segment_keys, parts)
        except duckdb.Error as error:
            names = ", ".join(scan.files)
            remedy = "ingest the window again" if scan.reference is None else "correct reference.path"
            raise WindowError(f"{names} cannot be profiled: {error}; {remedy}") from error
