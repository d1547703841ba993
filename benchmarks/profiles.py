"""The counting of relations, as profiles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import duckdb

from monitoring_pipeline.engines.duckdb.profiler import Profiler
from monitoring_pipeline.engines.merging import labelled_of, profiles_of
from monitoring_pipeline.lake.relation import Relation
from monitoring_pipeline.monitors.declaration import Monitor
from monitoring_pipeline.profiles.layout import Layout
from monitoring_pipeline.profiles.profile import LabelledProfile, Profile
from monitoring_pipeline.windows import WindowSize

Layouts = Mapping[str, Layout]
Keys = Sequence[tuple[str, ...]]
Batches = int | Mapping[datetime, int]
OUTCOMES = frozenset({"outcomes", "target"})
COLUMNS = frozenset({"columns"})


class Profiles:
    """Profiles of relations over one connection."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._profiler = Profiler(connection)

    def build_layout(self, relation: Relation, monitor: Monitor) -> Layout:
        return self._profiler.layout(relation, monitor)

    def profile(self, relation: Relation, layouts: Layouts, keys: Keys, size: WindowSize) -> list[Profile]:
        return profiles_of(self._profiler.profile(relation, layouts, keys, COLUMNS), layouts, size)

    def profile_outcomes(
        self, relation: Relation, layouts: Layouts, keys: Keys, batches: Batches, size: WindowSize
    ) -> list[LabelledProfile]:
        return labelled_of(self._profiler.profile(relation, layouts, keys, OUTCOMES), layouts, batches, size)

    def profile_both(
        self,
        relation: Relation,
        layouts: Layouts,
        keys: Keys,
        batches: Batches,
        size: WindowSize,
        parts: frozenset[str] = COLUMNS | OUTCOMES,
    ) -> tuple[list[Profile], list[LabelledProfile]]:
        counted = self._profiler.profile(relation, layouts, keys, parts)
        return profiles_of(counted, layouts, size), labelled_of(counted, layouts, batches, size)
