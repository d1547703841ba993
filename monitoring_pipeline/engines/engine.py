"""The protocol of an engine: profile this relation, by these bins, grouped by these keys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

from monitoring_pipeline.lake.relation import Relation
from monitoring_pipeline.monitors.declaration import Monitor
from monitoring_pipeline.profiles.layout import Layout
from monitoring_pipeline.profiles.profile import LabelledProfile, Profile
from monitoring_pipeline.windows import WindowSize

SegmentKeys = Sequence[tuple[str, ...]]
Batches = int | Mapping[datetime, int]


class Engine(Protocol):
    """Reads rows and returns plain values. Counts are exact; moments are accurate to 1e-12, relative, unless a column's
    mean exceeds its spread a million times.

    Every method takes a relation under canonical names (``lake.relation``). Profiles come in order of window, model
    version and segment, ``*`` first; a combination without rows has no profile. Rows of a model version that has no
    layout raise ``WindowError``.
    """

    def build_layout(self, relation: Relation, monitor: Monitor) -> Layout:
        """Bins and categories fixed by the rows of ``relation``, all of one model version."""
        ...

    def profile(
        self, relation: Relation, layouts: Mapping[str, Layout], segment_keys: SegmentKeys, window_size: WindowSize
    ) -> list[Profile]:
        """One profile per (window, model version, segment), in one pass. ``layouts`` is by model version."""
        ...

    def profile_outcomes(
        self,
        relation: Relation,
        layouts: Mapping[str, Layout],
        segment_keys: SegmentKeys,
        batches: Batches,
        window_size: WindowSize,
    ) -> list[LabelledProfile]:
        """One per (window, model version, segment). ``batches``: the label batch, or that of each window's start."""
        ...

    def profile_both(
        self,
        relation: Relation,
        layouts: Mapping[str, Layout],
        segment_keys: SegmentKeys,
        batches: Batches,
        window_size: WindowSize,
    ) -> tuple[list[Profile], list[LabelledProfile]]:
        """``profile`` and ``profile_outcomes`` in one pass: for a reference, or rows that already have their labels."""
        ...
