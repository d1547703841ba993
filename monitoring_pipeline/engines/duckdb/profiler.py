"""Counting a relation: DuckDB reads, joins and encodes rows; NumPy counts them, batch by batch, in one pass.

DuckDB alone could count (``histogram(x, edges)`` is a binary search a value) but takes several times the CPU to do so,
and returns maps that have to be taken apart for every group; see ``benchmarks/README.md``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing

import numpy as np
from duckdb import DuckDBPyConnection
from numpy.typing import NDArray

from monitoring_pipeline.engines.counter import Counted, LayoutCounter
from monitoring_pipeline.engines.engine import Parts, SegmentKeys
from monitoring_pipeline.engines.layout_builder import ReferenceReader
from monitoring_pipeline.engines.merging import in_order
from monitoring_pipeline.engines.statement import NULL_INTEGER, Batch, Coding, Statement
from monitoring_pipeline.errors import WindowError
from monitoring_pipeline.lake.relation import Relation
from monitoring_pipeline.monitors.declaration import Monitor
from monitoring_pipeline.profiles.layout import Layout


class Profiler:
    """Profiles relations over one DuckDB connection. Memory: DuckDB's limit, a few batches, and the profiles themselves
    (about 8 bytes a bin, so 8 kB a segment and window with 28 columns of 20 bins)."""

    def __init__(self, connection: DuckDBPyConnection) -> None:
        self._connection = connection

    def layout(self, relation: Relation, monitor: Monitor) -> Layout:
        """The layout fixed by all rows of ``relation``; see ``engines.layout_builder`` for how bins are chosen."""
        return ReferenceReader(self._connection, relation, monitor).layout()

    def profile(
        self, relation: Relation, layouts: Mapping[str, Layout], segment_keys: SegmentKeys, parts: Parts
    ) -> list[Counted]:
        """As ``Engine.profile``. Raises ``duckdb.Error`` as it comes."""
        statement = Statement(relation)
        window, version = statement.window(), statement.code("__version", tuple(layouts))
        sharing: dict[str, list[str]] = {}
        for name, layout in layouts.items():
            sharing.setdefault(layout.layout_id, []).append(name)
        keys = tuple(dict.fromkeys(tuple(k) for k in segment_keys))
        counters = [
            (LayoutCounter(statement, layouts[names[0]], tuple(names), keys, parts), _positions(names, tuple(layouts)))
            for names in sharing.values()
        ]
        with closing(statement.batches(self._connection)) as batches:
            unknown = not all(_count_batch(batch, window, version, counters) for batch in batches)
        if unknown:
            raise WindowError(self._unknown_versions(relation, layouts))
        return in_order(c for counter, _ in counters for c in counter.counted())

    def _unknown_versions(self, relation: Relation, layouts: Mapping[str, Layout]) -> str:
        # Asked again only to name them: the counting pass knows codes alone.
        sql = f"SELECT DISTINCT __version FROM ({relation.sql}) AS __relation"  # noqa: S608 - our own SQL
        met = {row[0] for row in self._connection.execute(sql).fetchall()}
        names = sorted("(none)" if v is None else str(v) for v in met - set(layouts))
        return (
            f"model version {', '.join(names)}: no reference profile; known: {', '.join(sorted(layouts)) or 'none'}. "
            "Add the reference of that version, or correct the version in the prediction log"
        )


def _positions(names: Sequence[str], all_names: tuple[str, ...]) -> NDArray[np.int64]:
    """For each version code (0 unknown, 1 … as in ``all_names``): its position in ``names``, or -1."""
    return np.array([-1, *(names.index(n) if n in names else -1 for n in all_names), -1], np.int64)


def _count_batch(
    batch: Batch, window: int, version: Coding, counters: list[tuple[LayoutCounter, NDArray[np.int64]]]
) -> bool:
    """Each row to the counter of its version's layout. False: some row's version has none."""
    windows, versions = batch.integers(window), batch.codes(version)
    if int(versions.min()) == 0 or int(versions.max()) == version.other:
        return False
    if int(windows.min()) == NULL_INTEGER:
        raise WindowError("rows without a window: the relation must have a __window for every row")
    for counter, positions in counters:
        mine = positions[versions] if version.n_texts > 1 else np.zeros(1, np.int64)
        if mine.min() >= 0:
            counter.add(batch, windows, mine)
        elif mine.max() >= 0:
            rows = np.flatnonzero(mine >= 0)
            counter.add(batch.take(rows), windows[rows], mine[rows])
    return True
