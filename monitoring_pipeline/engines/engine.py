"""The protocol of an engine: profile these rows, by these bins, grouped by these keys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from monitoring_pipeline.engines.counter import Counted
from monitoring_pipeline.lake.scan import Scan
from monitoring_pipeline.profiles.layout import Layout

SegmentKeys = Sequence[tuple[str, ...]]
Parts = frozenset[str]


class Engine(Protocol):
    """Reads rows and returns plain values. Counts are exact; moments are accurate to 1e-12, relative, unless a
    column's mean exceeds its spread a million times.

    What goes wrong while reading is a ``WindowError`` that names the files and the remedy; so are rows of a model
    version that has no layout.
    """

    def layout(self, scan: Scan) -> Layout:
        """Bins and categories fixed by the rows of a reference, all of one model version."""
        ...

    def profile(
        self, scan: Scan, layouts: Mapping[str, Layout], segment_keys: SegmentKeys, parts: Parts
    ) -> list[Counted]:
        """What was counted of each (window, model version, segment), in one pass over the rows.

        ``layouts`` is by model version; ``parts`` are names of profile parts. In order of window, model version and
        segment, ``*`` first; a combination without rows has none.
        """
        ...
