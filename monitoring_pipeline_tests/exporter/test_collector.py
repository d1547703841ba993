"""What a scrape shows of a real warehouse: newest figures, health, and nothing where nothing is known."""

from __future__ import annotations

import contextlib
import json
import math
import os
import socket
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import psycopg2
import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import Connection

from monitoring_pipeline.exporter import Collector
from monitoring_pipeline.warehouse.database import Warehouse
from monitoring_pipeline.warehouse.embedded import EmbeddedPostgres
from monitoring_pipeline.warehouse.exposition import STALE_WINDOWS, StaleWindows
from monitoring_pipeline_tests.exporter.rows import Ledger

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def parsed(text: bytes) -> Samples:
    found: Samples = {}
    for family in text_string_to_metric_families(text.decode()):
        for sample in family.samples:
            key = (sample.name, frozenset(sample.labels.items()))
            assert key not in found, f"{key} twice"
            found[key] = sample.value
    return found


def scraped(warehouse: Warehouse, **options: object) -> Samples:
    collector = Collector(warehouse, ttl=0, **options)  # type: ignore[arg-type]
    collector.stale_windows.refresh()
    snapshot = collector.snapshot()
    collector.close()
    assert snapshot.error is None
    return parsed(snapshot.render())


def get(samples: Samples, name: str, **labels: str) -> float | None:
    return samples.get((name, frozenset(labels.items())))


def named(samples: Samples, name: str) -> Samples:
    return {key: value for key, value in samples.items() if key[0] == name}


def test_newest_window_of_each_version(warehouse: Warehouse) -> None:
    ledger = Ledger(warehouse, "m")
    ledger.version("1", "champion")
    ledger.version("2", "challenger")
    ledger.window(1, "1", "2")  # the canary ran yesterday
    ledger.window(0, "1")
    for back, version, value in ((1, "1", 0.9), (1, "2", 0.7), (0, "1", 0.25)):
        ledger.drift(back, version, "x", value, value > 0.2)
    ledger.drift(0, "1", "x", 0.11, False, baseline="previous")
    ledger.drift(0, "1", "x", 0.5, True, segment="a=1")
    ledger.drift(0, "1", "y", None, None)
    ledger.drift(0, "1", "*", 0.5, None, method="drifted_columns_share")
    ledger.drift(0, "1", "x", 3.0, True, method="wasserstein")
    samples = scraped(warehouse)
    psi = {"monitor": "m", "column": "x", "method": "psi"}
    drift = named(samples, "monitoring_drift_value")
    assert get(samples, "monitoring_drift_value", model_version="1", baseline="training", **psi) == 0.25
    assert get(samples, "monitoring_drift_value", model_version="2", baseline="training", **psi) == 0.7
    assert get(samples, "monitoring_drift_value", model_version="1", baseline="previous", **psi) == 0.11
    assert get(samples, "monitoring_drift_drifted", model_version="1", baseline="training", **psi) == 1
    assert get(samples, "monitoring_drift_drifted", model_version="1", baseline="previous", **psi) == 0
    assert len(drift) == 4  # and the share of drifted columns, which has no verdict
    assert len(named(samples, "monitoring_drift_drifted")) == 3
    ends = {key[1]: value for key, value in named(samples, "monitoring_window_timestamp_seconds").items()}
    assert (
        ends[frozenset({"monitor": "m", "model_version": "1", "figures": "drift"}.items())] == ledger.end(0).timestamp()
    )
    assert (
        ends[frozenset({"monitor": "m", "model_version": "2", "figures": "drift"}.items())] == ledger.end(1).timestamp()
    )
    assert get(samples, "monitoring_model_role", monitor="m", model_version="2", role="challenger") == 1
    wider = scraped(warehouse, methods=("psi", "wasserstein"))
    assert (
        get(wider, "monitoring_drift_value", **{**psi, "method": "wasserstein"}, model_version="1", baseline="training")
        == 3.0
    )


def test_superseded_figures_are_not_shown(warehouse: Warehouse) -> None:
    ledger = Ledger(warehouse, "m")
    ledger.version("1")
    ledger.window(0, "1")
    ledger.drift(0, "1", "x", 0.9, True, superseded_at=datetime.now(UTC))
    ledger.drift(0, "1", "x", 0.1, False)
    assert list(named(scraped(warehouse), "monitoring_drift_value").values()) == [0.1]


def test_quality_and_performance(warehouse: Warehouse) -> None:
    ledger = Ledger(warehouse, "m")
    ledger.version("1")
    ledger.window(5, "1")
    ledger.window(0, "1")
    ledger.quality(0, "1", "x", "missing_share", 0.25, True)
    ledger.quality(0, "1", "*", "duplicate_share", 0.0, False)
    ledger.quality(0, "1", "x", "mean", 17.0, None)  # no threshold: a matter for SQL
    ledger.performance(5, "1", "roc_auc", 0.71, degraded=True, coverage=0.8)  # labels are late: five windows back
    ledger.performance(5, "1", "roc_auc", 0.6, segment="a=1", degraded=False)
    ledger.performance(5, "1", "f1", 0.5, segment="a=1")  # a segment without a threshold
    ledger.performance(5, "1", "reliability[bin=3]", 0.4)
    ledger.performance(0, "1", "roc_auc", None, coverage=0.0)
    ledger.performance(0, "1", "roc_auc", 0.73, kind="estimated", coverage=0.0)
    samples = scraped(warehouse)
    m = {"monitor": "m", "model_version": "1"}
    assert get(samples, "monitoring_quality_value", column="x", metric="missing_share", **m) == 0.25
    assert get(samples, "monitoring_quality_violated", column="x", metric="missing_share", **m) == 1
    assert get(samples, "monitoring_quality_violated", column="*", metric="duplicate_share", **m) == 0
    assert len(named(samples, "monitoring_quality_value")) == 2
    auc = {"metric": "roc_auc", **m}
    assert get(samples, "monitoring_performance_value", kind="realized", segment="*", **auc) == 0.71
    assert get(samples, "monitoring_performance_degraded", kind="realized", segment="*", **auc) == 1
    assert get(samples, "monitoring_performance_degraded", kind="realized", segment="a=1", **auc) == 0
    assert get(samples, "monitoring_performance_value", kind="estimated", segment="*", **auc) == 0.73
    assert len(named(samples, "monitoring_performance_value")) == 3
    assert get(samples, "monitoring_label_coverage", **m) == 0.8
    ends = named(samples, "monitoring_window_timestamp_seconds")
    assert ends[
        ("monitoring_window_timestamp_seconds", frozenset({**m, "figures": "realized_performance"}.items()))
    ] == (ledger.end(5).timestamp())


def test_performance_is_degraded_when_its_labels_are_complete_and_not_before(warehouse: Warehouse) -> None:
    """Half of the labels say nothing of the other half: no incident stands on them, and no gauge."""
    ledger = Ledger(warehouse, "m")
    ledger.version("1")
    ledger.window(1, "1")
    ledger.performance(1, "1", "roc_auc", 0.5, degraded=True, coverage=0.5, mature=False)
    samples = scraped(warehouse)
    assert len(named(samples, "monitoring_performance_value")) == 1
    assert not named(samples, "monitoring_performance_degraded")


@pytest.mark.parametrize("size", ["hour", "day"])
def test_figures_vanish_when_the_monitor_stands_still(warehouse: Warehouse, size: str) -> None:
    ledger = Ledger(warehouse, "m", size, delay=timedelta(0))
    ledger.version("1")
    ledger.window(4, "1")
    ledger.drift(4, "1", "x", 0.3, True)
    ledger.quality(4, "1", "x", "missing_share", 0.25, True)
    ledger.performance(4, "1", "roc_auc", 0.7)
    samples = scraped(warehouse)
    assert not {name for name, _ in samples} & {
        "monitoring_drift_value",
        "monitoring_quality_value",
        "monitoring_performance_value",
    }
    lag = get(samples, "monitoring_lag_seconds", monitor="m")
    assert lag == pytest.approx(datetime.now(UTC).timestamp() - ledger.end(4).timestamp(), abs=5)
    assert lag and lag > 3 * (get(samples, "monitoring_window_seconds", monitor="m") or math.inf)
    assert len(named(scraped(warehouse, stale_after=6), "monitoring_drift_value")) == 1
    assert len(named(scraped(warehouse, replay=True), "monitoring_drift_value")) == 1  # the past is being replayed


def test_stale_windows_are_counted_again_where_a_ledger_changed(warehouse: Warehouse) -> None:
    asked: list[list[str]] = []

    class Watched:
        def __init__(self, connection: Connection) -> None:
            self.execute_ = connection.execute

        def execute(self, statement: object, values: dict[str, list[str]] | None = None) -> object:
            if statement is STALE_WINDOWS and values:
                asked.append(values["monitors"])
            return self.execute_(statement, values)  # type: ignore[call-overload]

    calm, late = Ledger(warehouse, "calm"), Ledger(warehouse, "late")
    for ledger in (calm, late):
        ledger.version("1")
        ledger.window(1, "1")
        ledger.window(0, "1")
    counts = StaleWindows()

    def counted(by: StaleWindows) -> dict[str, str | None]:
        with warehouse.engine.connect() as connection:
            return {g.labels[0]: g.values[0] for g in by(Watched(connection))}  # type: ignore[arg-type]

    first = counted(counts)
    assert set(first) == {"calm", "late"} and counted(counts) == first
    late.failure(2, "ingestion", "no such column")
    assert counted(counts) == {**first, "late": str(int(first["late"] or 0) + 1)}
    assert asked == [["calm", "late"], ["late"]]
    assert counted(StaleWindows()) == counted(counts)


def test_health(warehouse: Warehouse) -> None:
    ledger = Ledger(warehouse, "m")
    ledger.version("1")
    ledger.window(1, "1")
    ledger.window(0, "1")
    ledger.failure(2, "ingestion", "no such column")
    ledger.failure(2, "ground_truth", "no such file")
    ledger.failure(3, "ingestion", "no such column")
    ledger.insert("source_file", role="predictions", path="p", size=1, modified_at=ledger.end(0), n_rows=1, revision=3)
    for back in (0, 1):  # rows came after these windows were taken in
        ledger.insert(
            "source_file_window",
            role="predictions",
            path="p",
            window_start=ledger.span(back)["window_start"],
            n_rows=1,
            revision=3,
        )
    for number, (severity, state) in enumerate((("critical", "open"), ("critical", "open"), ("warning", "resolved"))):
        ledger.insert(
            "incident", incident_id=str(number), kind="drift", severity=severity, state=state, summary="",
            opened_at=ledger.end(1), first_window=ledger.end(2), last_window=ledger.end(1),
            resolved_at=None if state == "open" else ledger.end(0),
        )  # fmt: skip
    samples = scraped(warehouse)
    assert get(samples, "monitoring_failed_windows", monitor="m") == 2
    assert get(samples, "monitoring_stale_windows", monitor="m") == 4  # two with new rows, two whose ingestion failed
    assert get(samples, "monitoring_window_seconds", monitor="m") == 86400
    assert get(samples, "monitoring_run_duration_seconds", monitor="m") == 5
    last = ledger.end(0) + timedelta(minutes=10, seconds=5)
    assert get(samples, "monitoring_last_success_timestamp_seconds", monitor="m") == last.timestamp()
    assert get(samples, "monitoring_open_incidents", monitor="m", severity="critical") == 2
    assert get(samples, "monitoring_open_incidents", monitor="m", severity="warning") == 0
    assert (get(samples, "monitoring_database_bytes") or 0) > 1e6
    assert get(samples, "monitoring_exporter_up") == 1


def test_a_monitor_that_never_ran_lags_since_its_start(warehouse: Warehouse) -> None:
    Ledger(warehouse, "m")
    samples = scraped(warehouse)
    since = datetime.now(UTC) - datetime(2020, 1, 1, tzinfo=UTC)
    assert get(samples, "monitoring_lag_seconds", monitor="m") == pytest.approx(since.total_seconds(), abs=60)
    assert get(samples, "monitoring_last_success_timestamp_seconds", monitor="m") is None


@pytest.mark.parametrize(("ends", "lag_days"), [(None, 3), (1, 2), (3, 0), (9, 0)])
def test_a_monitor_that_has_an_end_lags_up_to_it(warehouse: Warehouse, ends: int | None, lag_days: int) -> None:
    """``ends``: so many windows back."""
    ledger = Ledger(warehouse, "m")
    ledger.version("1")
    ledger.window(3, "1")
    end = ledger.end(ends).date().isoformat() if ends is not None else None
    ledger.insert("monitor_declaration", config_version="earlier", declaration=json.dumps({"end": "2021-01-01"}))
    ledger.insert("monitor_declaration", config_version="c", declaration=json.dumps({"end": end}))
    since_midnight = 0.0 if ends is not None else (datetime.now(UTC) - ledger.end(0)).total_seconds()
    lag = get(scraped(warehouse), "monitoring_lag_seconds", monitor="m")
    assert lag == pytest.approx(lag_days * 86400 + since_midnight, abs=5)


def test_an_empty_warehouse_is_up(warehouse: Warehouse) -> None:
    names = {name for name, _ in scraped(warehouse)}
    assert names == {"monitoring_exporter_up", "monitoring_exporter_query_seconds", "monitoring_database_bytes"}


def test_awkward_names_survive_and_both_ways_agree(warehouse: Warehouse) -> None:
    ledger = Ledger(warehouse, "m")
    version = '1"\\n\n'
    ledger.version(version)
    ledger.window(0, version)
    column = 'Größe "in" m²\\\n{}=,'
    ledger.drift(0, version, column, 1e-300, True)
    ledger.drift(0, version, "plain", 123456789.125, False)
    collector = Collector(warehouse, ttl=60)
    registry = CollectorRegistry()
    registry.register(collector)
    fast, standard = parsed(collector.snapshot().render()), parsed(generate_latest(registry))
    collector.close()
    assert fast == standard
    labels = {"monitor": "m", "model_version": version, "baseline": "training", "column": column, "method": "psi"}
    assert get(fast, "monitoring_drift_value", **labels) == 1e-300


def test_scrapes_share_one_reading_for_a_while(warehouse: Warehouse) -> None:
    collector = Collector(warehouse, ttl=0.3)
    first = collector.snapshot()
    assert collector.snapshot() is first
    time.sleep(0.35)
    assert collector.snapshot() is not first
    collector.close()


def test_no_last_known_figures_when_the_database_goes(embedded_server: EmbeddedPostgres, warehouse: Warehouse) -> None:
    ledger = Ledger(warehouse, "m")
    ledger.version("1")
    ledger.window(0, "1")
    ledger.drift(0, "1", "x", 0.3, True)
    collector = Collector(warehouse, ttl=0)
    assert named(parsed(collector.snapshot().render()), "monitoring_drift_value")
    name = str(warehouse.engine.url.database)
    with administrator(embedded_server) as run:
        run("update pg_database set datallowconn = false where datname = %s", name)
        run("select pg_terminate_backend(pid) from pg_stat_activity where datname = %s", name)
        away = collector.snapshot()
        assert {name for name, _ in parsed(away.render())} == {
            "monitoring_exporter_up",
            "monitoring_exporter_query_seconds",
        }
        assert get(parsed(away.render()), "monitoring_exporter_up") == 0
        assert away.error and "not currently accepting connections" in away.error
        run("update pg_database set datallowconn = true where datname = %s", name)
    assert named(parsed(collector.snapshot().render()), "monitoring_drift_value")
    collector.close()


@contextlib.contextmanager
def administrator(server: EmbeddedPostgres) -> Iterator[Callable[..., None]]:
    connection = psycopg2.connect(server.url("postgres").replace("+psycopg2", "", 1))
    connection.autocommit = True
    cursor = connection.cursor()
    try:
        yield lambda statement, *values: cursor.execute(statement, values)
    finally:
        connection.close()


def test_a_database_without_the_schema_is_an_error_not_a_crash(warehouse_url: str) -> None:
    collector = Collector(warehouse_url, ttl=0)
    snapshot = collector.snapshot()
    assert snapshot.error and "monitoring.monitor" in snapshot.error
    assert snapshot.groups == []
    collector.close()


def test_the_exporter_cannot_write(warehouse: Warehouse) -> None:
    collector = Collector(warehouse)
    with collector._engine.connect() as connection, pytest.raises(Exception, match="read-only transaction"):
        connection.exec_driver_sql("delete from monitoring.monitor")
    collector.close()


def test_a_server_that_vanished_is_given_up_within_seconds(warehouse: Warehouse) -> None:
    collector = Collector(warehouse)
    with collector._engine.connect() as connection:
        assert connection.connection.dbapi_connection
        with socket.socket(fileno=os.dup(connection.connection.dbapi_connection.fileno())) as wire:  # type: ignore[attr-defined]
            assert wire.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 8000
            assert wire.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 4
    collector.close()
