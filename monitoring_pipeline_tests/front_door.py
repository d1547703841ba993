"""The way a user goes in: a monitor's graph run and its sensors asked, on a database and an instance of their own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
import pytest
from dagster._core.definitions.sensor_definition import SensorExecutionData
from sqlalchemy import create_engine, make_url, text

from monitoring_pipeline.cli.run import run_range
from monitoring_pipeline.graph import pictures
from monitoring_pipeline.graph.factory import build_fleet, build_monitor_graph
from monitoring_pipeline.graph.keys import asset_key
from monitoring_pipeline.graph.resources import MonitoringResource, close_warehouses
from monitoring_pipeline.monitors import Monitor, Window
from monitoring_pipeline.settings import Settings
from monitoring_pipeline_tests import toy
from monitoring_pipeline_tests.conftest import fresh_database

WHEN = (
    "computed_at",
    "judged_at",
    "run_id",
    "as_known_at",
    "revision_id",
    "ingested_at",
    "profiled_at",
    "superseded_at",
    "label_batch",
)
"""Columns that tell when and by which run a row was made, rather than what it says."""
VIEWS = ("drift_current", "quality_current", "performance_current", "window_status")
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@dataclass
class FrontDoor:
    """``base`` is the directory of the test's files, ``settings`` its home and database."""

    base: Path
    settings: Settings
    instance: dg.DagsterInstance

    def run(self, monitor: Monitor, first: int | Window, last: int | Window | None = None) -> str | None:
        """As ``monitoring-pipeline run``: days count from 0. What failed, or None."""
        last = first if last is None else last
        begin, end = (toy.day(w) if isinstance(w, int) else w for w in (first, last))
        return run_range(monitor, begin, end, self.instance)

    def ask(self, monitor: Monitor, sensor: str) -> list[dg.RunRequest]:
        """What a tick of the sensor requests for a fleet of this one; nothing when it skips."""
        return self.ask_fleet([monitor], sensor)

    def ask_fleet(self, monitors: Sequence[Monitor], sensor: str, cursor: str | None = None) -> list[dg.RunRequest]:
        """The same for several monitors in one code location."""
        return list(self.tick(monitors, sensor, cursor).run_requests or [])

    def tick(self, monitors: Sequence[Monitor], sensor: str, cursor: str | None = None) -> SensorExecutionData:
        """What a tick of the location's sensor says, its cursor included."""
        graph = build_fleet(monitors)
        resources = {"monitoring": MonitoringResource()}
        with dg.build_sensor_context(self.instance, resources=resources, definitions=graph, cursor=cursor) as context:
            return graph.resolve_sensor_def(sensor).evaluate_tick(context)

    def do(self, monitor: Monitor, request: dg.RunRequest) -> bool:
        """What the daemon does with a request. Whether the run succeeded."""
        job = build_monitor_graph(monitor).resolve_implicit_global_asset_job_def()
        result = job.execute_in_process(
            instance=self.instance,
            asset_selection=request.asset_selection,
            tags=dict(request.tags),
            run_config=QUIET,
            raise_on_error=False,
        )
        return result.success

    def materialized(self, monitor: Monitor, asset: str) -> set[str]:
        """Partitions that Dagster shows as materialized."""
        return self.instance.get_materialized_partitions(asset_key(monitor, asset))

    def query(self, sql: str, **parameters: Any) -> pd.DataFrame:
        return query(self.settings.database_url or "", sql, **parameters)

    def views(self, without: Sequence[str] = ()) -> dict[str, list[tuple[Any, ...]]]:
        return views(self.settings.database_url or "", without)


def query(url: str, sql: str, **parameters: Any) -> pd.DataFrame:
    """A query's rows, asked by a connection of its own, as an analyst would."""
    engine = create_engine(url)
    try:
        with engine.connect() as connection:
            found = connection.execute(text(sql), parameters)
            return pd.DataFrame([tuple(row) for row in found], columns=list(found.keys()))
    finally:
        engine.dispose()


def views(url: str, without: Sequence[str] = ()) -> dict[str, list[tuple[Any, ...]]]:
    """What the public views say, in order, without when and by which run it was computed; figures to 10 digits.

    ``without``: further columns to leave out. A value that other rows did not change keeps its ``data_version``.
    """
    said = {}
    for view in VIEWS:
        frame = query(url, f"select * from monitoring.{view}")
        kept = frame.drop(columns=[c for c in (*WHEN, *without) if c in frame])
        rounded = kept.map(lambda v: float(f"{v:.10g}") if isinstance(v, float) else v)
        said[view] = sorted(tuple(map(str, row)) for row in rounded.itertuples(index=False))
    return said


def assert_same(one: dict[str, list[tuple[Any, ...]]], other: dict[str, list[tuple[Any, ...]]]) -> None:
    """Views that say the same; otherwise the first rows that only one of them has."""
    for view in one:
        only = sorted(set(one[view]) - set(other[view]))[:5], sorted(set(other[view]) - set(one[view]))[:5]
        assert only == ([], []), f"{view}: {only}"
        assert len(one[view]) == len(other[view]), view


def asked(requests: list[dg.RunRequest]) -> list[tuple[str, str, tuple[str, ...]]]:
    """(first window, last window, assets by their short names) of each request."""
    return [
        (
            request.tags["dagster/asset_partition_range_start"],
            request.tags["dagster/asset_partition_range_end"],
            tuple(key.path[-1] for key in request.asset_selection or ()),
        )
        for request in requests
    ]


@contextmanager
def fresh_door(door: FrontDoor) -> Iterator[FrontDoor]:
    """The same files before an empty database and home: to see what an undisturbed run would have made of them."""
    server = make_url(door.settings.database_url or "").set(database="postgres").render_as_string(hide_password=False)
    with contextmanager(fresh_database)(server) as url, pytest.MonkeyPatch.context() as patch:
        home = door.base / f"home {make_url(url).database}"
        patch.setenv("MONITORING_HOME", str(home))
        patch.setenv("DATABASE_URL", url)
        with dg.DagsterInstance.ephemeral() as instance:
            settings = door.settings.model_copy(update={"home": home, "database_url": url})
            yield FrontDoor(door.base, settings, instance)
        close_warehouses()


@pytest.fixture
def door(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FrontDoor]:
    """A front door whose environment is that of a user: MONITORING_HOME, MONITORS_DIR, DATABASE_URL."""
    monkeypatch.setenv("MONITORING_HOME", str(settings.home))
    monkeypatch.setenv("MONITORS_DIR", str(settings.monitors_dir))
    monkeypatch.setenv("DATABASE_URL", settings.database_url or "")
    # Drawing takes more than everything else of a small run together; the pictures have tests of their own.
    monkeypatch.setattr(pictures, "of_stage", lambda stages, name, windows: {})
    with dg.DagsterInstance.ephemeral() as instance:
        yield FrontDoor(tmp_path, settings, instance)
    close_warehouses()
