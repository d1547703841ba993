"""Live series of the records accepted: the same as a Python service publishes, for services in any language.

The bins are the reference's, so a version has live series once its reference document lies in the directory of
references. A batch that is sent twice counts twice here; in what lands its rows are removed as duplicates.
"""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from monitoring_pipeline.errors import UserError
from monitoring_pipeline.monitors import Monitor
from monitoring_pipeline.serving.exposition import LiveCollector, ReferenceCollector
from monitoring_pipeline.serving.output import Output
from monitoring_pipeline.serving.recorder import Recorder
from monitoring_pipeline.serving.reference_series import load_reference

logger = logging.getLogger(__name__)
REFERENCES = Path("collector") / "references"
REFRESH_SECONDS = 2.0
# What the collector knows of a model. Durations, requests and saturation are the service's own.
KNOWN = ("model_predictions", "model_input_errors", "model_column_")
Version = tuple[str, str]  # monitor, model version


class LiveSeries(Collector):
    """Counts accepted records by the references of a directory, which is looked at every two seconds."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._versions: dict[Version, _Version] = {}
        self._stamps: dict[Path, tuple[int, int]] = {}
        self._next = 0.0

    def count(self, monitor: Monitor, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """Accepted rows in the order of ``columns``. Never raises: they are on disk, and the client is to know it."""
        try:
            self._refresh()
            for name, some in self._by_version(monitor, columns, rows).items():
                if found := self._versions.get((monitor.name, name)):
                    found.count(monitor, columns, some)
        except Exception:
            logger.exception("%s: %d accepted records were not counted live", monitor.name, len(rows))

    def _by_version(
        self, monitor: Monitor, columns: Sequence[str], rows: Sequence[Sequence[Any]]
    ) -> dict[str, Sequence[Sequence[Any]]]:
        """Rows by model version: the column's, else the declared one of the reference."""
        column = monitor.schema_.model_version
        declared = monitor.reference.model_version
        if column is None:
            return {declared: rows}
        place = columns.index(column)
        found: dict[str, list[Sequence[Any]]] = defaultdict(list)
        for row in rows:
            found[declared if row[place] is None else str(row[place])].append(row)
        return dict(found)

    def _refresh(self) -> None:
        """Reads new and changed documents. One that cannot be read is reported once; what was read before stays."""
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + REFRESH_SECONDS
        for path in sorted(self._directory.glob("*.json")):
            try:
                stat = path.stat()
                stamp = (stat.st_mtime_ns, stat.st_size)
                if self._stamps.get(path) == stamp:
                    continue
                self._stamps[path] = stamp
                version = _Version(path)
            except (OSError, UserError) as error:
                logger.error("%s; its version has no live series", error)
                continue
            self._versions[version.key] = version

    def describe(self) -> Iterable[Metric]:
        """Nothing: the registry then need not collect when this is registered."""
        return []

    def collect(self) -> Iterator[Metric]:
        """The families of all versions, each family once."""
        self._refresh()
        families: dict[str, Metric] = {}
        for version in list(self._versions.values()):
            for family in version.families():
                if known := families.get(family.name):
                    known.samples.extend(family.samples)
                else:
                    families[family.name] = family
        yield from families.values()


class _Version:
    """One model version: its reference and what was counted by it."""

    def __init__(self, path: Path) -> None:
        """Raises UserError for what is no reference document."""
        reference = load_reference(path)
        self.key: Version = (reference.monitor, reference.model_version)
        self._recorder = Recorder(reference, None, ())
        self._output = Output(reference.layout, self._recorder.schema)
        self._features = self._recorder.schema.features
        self._live = LiveCollector(self._recorder, self._recorder.counters.totals)
        self._reference = ReferenceCollector(reference)

    def count(self, monitor: Monitor, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        place = {name: i for i, name in enumerate(columns)}
        known = [(name, place[name]) for name in self._features if name in place]
        features = [{name: row[i] for name, i in known} for row in rows]
        answers = {
            "prediction": _column(rows, place, monitor.schema_.prediction),
            "score": _scores(monitor, rows, place),
        }
        self._recorder.record(self._recorder.before(features), answers, self._output, None, None, float("nan"))

    def families(self) -> Iterator[Metric]:
        yield from (family for family in self._live.collect() if family.name.startswith(KNOWN))
        yield from self._reference.collect()


def _column(rows: Sequence[Sequence[Any]], place: dict[str, int], name: str | None) -> list[Any] | None:
    return None if name is None else [row[place[name]] for row in rows]


def _scores(monitor: Monitor, rows: Sequence[Sequence[Any]], place: dict[str, int]) -> list[Any] | None:
    """The score of each row; of several classes by class."""
    by_class = [(label, place[column]) for label, column in monitor.schema_.class_scores.items()]
    if by_class:
        return [{label: row[i] for label, i in by_class} for row in rows]
    return _column(rows, place, monitor.schema_.score)
