"""A database with what dashboards must stand: awkward names, two versions, no labels, one window, nothing at all."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from monitoring_pipeline.settings import Settings
from monitoring_pipeline.stages.context import StageContext
from monitoring_pipeline.stages.declaring import declare
from monitoring_pipeline.stages.reference import profile_reference
from monitoring_pipeline.warehouse.database import Warehouse
from monitoring_pipeline.warehouse.embedded import EmbeddedPostgres
from monitoring_pipeline_tests.conftest import fresh_database
from monitoring_pipeline_tests.grafana.world import (
    ODD_COLUMNS,
    add_parity_and_reports,
    add_retraining,
    awkward,
    wide,
    wide_schema,
)
from monitoring_pipeline_tests.stages.story import run
from monitoring_pipeline_tests.toy import START, Toy

DAYS = 12


@pytest.fixture(scope="module")
def world(embedded_server: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of a database with the monitors ``toy``, ``unlabelled``, ``bare`` and ``retired``; see ``world``."""
    base = tmp_path_factory.mktemp("dashboards")
    for url in fresh_database(embedded_server.url("postgres")):
        settings = Settings(home=base / "home", monitors_dir=base / "monitors", database_url=url)
        with Warehouse.open(settings, patience=5) as warehouse:
            _fill(base, warehouse, settings)
        yield url


@pytest.fixture(scope="module")
def nothing(embedded_server: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of a migrated database without rows."""
    for url in fresh_database(embedded_server.url("postgres")):
        with Warehouse.open(Settings(home=tmp_path_factory.mktemp("home"), database_url=url), patience=5):
            pass
        yield url


def _fill(base: Path, warehouse: Warehouse, settings: Settings) -> None:
    declared = dict(ODD_COLUMNS)  # what one toy declares holds for those after it, and not for another world
    full = awkward(Toy(base / "full", declared=declared), DAYS)
    stages = StageContext(
        full.declare(rollups=["week", "month"], protected=["region"]), warehouse, settings, "run of toy"
    )
    profile_reference(stages)
    run(stages, range(DAYS))

    few = awkward(Toy(base / "few", name="unlabelled", declared=declared), 1, labelled=False)
    stages = StageContext(
        few.declare(ground_truth=None, segments=[], rollups=[]), warehouse, settings, "run of unlabelled"
    )
    profile_reference(stages)
    run(stages, range(1))

    bare = Toy(base / "bare", name="bare", declared=declared)
    with warehouse.transaction() as conn:
        declare(conn, bare.declare())

    gone = awkward(Toy(base / "gone", name="retired", declared=declared), 2)
    labels = gone.declaration()["ground_truth"]
    ended = gone.declare(ground_truth=labels, segments=["region"], end=START + timedelta(days=2))
    stages = StageContext(ended, warehouse, settings, "run of retired")
    profile_reference(stages)
    run(stages, range(2))
    add_retraining(warehouse, "toy", ("v1", "v'2 $x(1)"))
    add_parity_and_reports(warehouse, "toy")


@pytest.fixture(scope="module")
def wide_world(embedded_server: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of a database with the monitor ``wide`` of ``N_COLUMNS`` columns."""
    base = tmp_path_factory.mktemp("wide")
    for url in fresh_database(embedded_server.url("postgres")):
        settings = Settings(home=base / "home", monitors_dir=base / "monitors", database_url=url)
        with Warehouse.open(settings, patience=5) as warehouse:
            toy = wide(Toy(base, name="wide"), 3)
            stages = StageContext(toy.declare(schema=wide_schema(), segments=[]), warehouse, settings, "run of wide")
            profile_reference(stages)
            run(stages, range(3))
        yield url
