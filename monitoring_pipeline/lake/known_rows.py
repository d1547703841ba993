"""Labelled rows as they stood at a moment of the past: predictions before it, with the labels that had arrived by then.

A label is known from its label time on. One without a time (``ground_truth.label_time`` is not declared, or empty) is
taken as known once its window has passed the maximum label delay: nothing says that it was known earlier.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import duckdb
import pyarrow as pa

from monitoring_pipeline.lake.duck import connected, protocol_of
from monitoring_pipeline.lake.sources.scan import find_unreadable
from monitoring_pipeline.lake.times import aware, timestamp
from monitoring_pipeline.lake.views import LATER, ids_sql, labels_sql, predictions_relation, reference_relation
from monitoring_pipeline.monitors.declaration import Monitor
from monitoring_pipeline.records import IngestedWindow
from monitoring_pipeline.settings import Settings


@dataclass(frozen=True)
class KnownAt:
    """What was known of a monitor's windows before a moment (aware, UTC). ``label_files``: by window start."""

    monitor: Monitor
    windows: tuple[IngestedWindow, ...]
    label_files: Mapping[datetime, Sequence[str]]
    before: datetime

    def is_old(self, one: IngestedWindow) -> bool:
        """Whether the window had passed the maximum label delay by then."""
        return one.window.end + self.monitor.labels.max_delay <= self.before

    def of(self, windows: Sequence[IngestedWindow]) -> KnownAt:
        """The same of some of the windows."""
        return KnownAt(self.monitor, tuple(windows), self.label_files, self.before)

    def labels_sql(self) -> str | None:
        """__id, __outcome, __label_time, __batch: of each id the latest label that was known; None without files."""
        earlier = f"__label_time < TIMESTAMP '{timestamp(self.before)}'"
        groups = (
            ([one for one in self.windows if self.is_old(one)], f"({earlier} OR __label_time IS NULL)"),
            ([one for one in self.windows if not self.is_old(one)], earlier),
        )
        parts = []
        for windows, known in groups:
            files = sorted({path for one in windows for path in self.label_files.get(one.window.start, ())})
            if files:
                parts.append(f"SELECT * FROM ({labels_sql(self.monitor, files)}) WHERE {known}")  # noqa: S608
        if not parts:
            return None
        last = f"arg_max(struct_pack(__outcome, __label_time, __batch), ({LATER}, __batch))"
        return f"SELECT __id, unnest({last}) FROM ({' UNION ALL BY NAME '.join(parts)}) GROUP BY __id"  # noqa: S608

    @property
    def files(self) -> list[str]:
        """Every file of predictions and labels that it rests on, once."""
        labels = (path for one in self.windows for path in self.label_files.get(one.window.start, ()))
        return sorted({*(path for one in self.windows for path in one.files), *labels})

    @property
    def protocols(self) -> set[str]:
        """fsspec protocols of its files."""
        return set(map(protocol_of, self.files))


def labelled_counts(known: KnownAt, settings: Settings) -> dict[datetime, int]:
    """By window start: how many of its predictions had a label then; windows without any are left out."""
    labels = known.labels_sql()
    if labels is None:
        return {}
    ids = ids_sql(known.monitor, known.windows)
    counted = f"SELECT __p.__window, count(*) FROM ({ids}) __p JOIN ({labels}) __l ON __p.__id = __l.__id GROUP BY 1"  # noqa: S608
    found = _fetched(counted, known.files, known.protocols, settings)
    return dict(zip(map(aware, found[0].to_pylist()), found[1].to_pylist(), strict=True))


def known_rows(known: KnownAt, start: datetime, end: datetime, settings: Settings) -> pa.Table | None:
    """Labelled rows with start <= event time < end, ordered by time and id, under canonical columns, with __outcome,
    __label_time and __batch; None when no label was known.
    """
    labels = known.labels_sql()
    if labels is None:
        return None
    rows = predictions_relation(known.monitor, known.windows)
    sql = (
        "SELECT __p.*, __l.__outcome, __l.__label_time, __l.__batch"  # noqa: S608
        f" FROM ({rows.sql}) __p JOIN ({labels}) __l ON __p.__id = __l.__id"
        f" WHERE __time >= TIMESTAMP '{timestamp(start)}' AND __time < TIMESTAMP '{timestamp(end)}'"
        " ORDER BY __time, __p.__id"
    )
    return _fetched(sql, known.files, {*rows.protocols, *known.protocols}, settings)


def known_reference_rows(
    monitor: Monitor, start: datetime | None, end: datetime, before: datetime, settings: Settings
) -> pa.Table | None:
    """Labelled rows of the declared reference with start <= event time < end, under canonical columns; without
    ``start`` those without an event time too, first. None when the reference declares no outcome.

    Rows of a reference carry no label time: they are known once they have passed the maximum label delay. Rows after
    ``end`` belong to the log, or to the future. Raises SourceError when the reference cannot be read.
    """
    if monitor.reference.outcome is None:
        return None
    rows = reference_relation(monitor, settings)
    latest = min(end, before - monitor.labels.max_delay)
    inside = f"__time < TIMESTAMP '{timestamp(latest)}'"
    inside += f" AND __time >= TIMESTAMP '{timestamp(start)}'" if start else ""
    sql = (
        "SELECT __time, * EXCLUDE (__time), CAST(NULL AS TIMESTAMP) AS __label_time, CAST(0 AS BIGINT) AS __batch"  # noqa: S608
        f" FROM ({rows.sql}) WHERE __outcome IS NOT NULL AND ({inside}{'' if start else ' OR __time IS NULL'})"
        " ORDER BY ALL NULLS FIRST"
    )
    return _fetched(sql, monitor.reference.paths, rows.protocols, settings)


def _fetched(sql: str, files: Sequence[str], protocols: Iterable[str], settings: Settings) -> pa.Table:
    """Raises SourceError that names the file when one is gone from the lake, or cannot be read."""
    with connected(settings, protocols) as connection:
        try:
            return connection.sql(sql).to_arrow_table()
        except duckdb.OutOfMemoryException:
            raise
        except duckdb.Error as error:
            raise find_unreadable(connection, files, error) from error
