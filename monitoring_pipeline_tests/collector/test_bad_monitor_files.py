"""Monitor files that cannot be read do not keep the collector from taking the records of the others."""

from __future__ import annotations

from pathlib import Path

from monitoring_pipeline.collector.catalog import Catalog
from monitoring_pipeline_tests.collector.conftest import Running, record
from monitoring_pipeline_tests.monitors.bad_files import GOOD, write_bad_files


def test_a_running_collector_takes_records_beside_every_bad_monitor_file(collector: Running) -> None:
    assert collector.predictions([record(0)]).status_code == 202
    write_bad_files(collector.base / "monitors")
    for number in (1, 2):
        answer = collector.predictions([record(number)])
        assert answer.status_code == 202, answer.text


def test_the_catalog_names_each_bad_file_and_keeps_the_good_one(tmp_path: Path) -> None:
    (tmp_path / "sound.yaml").write_text(GOOD)
    bad = write_bad_files(tmp_path)
    catalog = Catalog(tmp_path, refresh_seconds=0)
    assert catalog.names() == ["sound"]
    assert set(catalog.broken) == set(bad)
