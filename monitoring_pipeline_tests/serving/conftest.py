"""A monitoring with a log into a fresh directory, and readers of what it publishes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from monitoring_pipeline.serving import Monitoring, ParquetSink, PredictionLog
from monitoring_pipeline_tests.serving.reference import reference_document

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def samples(page: bytes) -> Samples:
    """(name, labels without monitor and model_version) -> value; a series that stands twice is an error."""
    found: Samples = {}
    for family in text_string_to_metric_families(page.decode()):
        for s in family.samples:
            labels = frozenset((k, v) for k, v in s.labels.items() if k not in ("monitor", "model_version"))
            assert (s.name, labels) not in found, s
            found[s.name, labels] = s.value
    return found


def value(monitoring: Monitoring, name: str, **labels: str) -> float | None:
    return samples(monitoring.metrics()).get((name, frozenset(labels.items())))


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    return tmp_path / "lake"


@pytest.fixture
def make(tmp_path: Path, lake: Path) -> Iterator[Callable[..., Monitoring]]:
    """Builds monitorings that are closed at the end; log options as keywords."""
    made: list[Monitoring] = []

    def build(
        document: dict[str, Any] | None = None,
        ignore: tuple[str, ...] = (),
        registry: CollectorRegistry | None = None,
        **options: Any,
    ) -> Monitoring:
        options.setdefault("sink", ParquetSink(lake))
        log = PredictionLog(tmp_path / "spool", **options)
        made.append(Monitoring(document or reference_document(), log, registry, ignore))
        return made[-1]

    yield build
    for monitoring in made:
        monitoring.close(1.0)


def logged(lake: Path) -> list[dict[str, Any]]:
    """Every row in the lake, in the order of files and rows."""
    files = sorted(lake.glob("*.parquet"))
    return pa.concat_tables([pq.read_table(f) for f in files]).to_pylist() if files else []
