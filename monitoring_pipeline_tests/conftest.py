"""Fixtures that several rooms share: a real embedded Postgres for the session, a fresh database for each test."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg2
import pytest
from sqlalchemy import make_url

from monitoring_pipeline.settings import Settings
from monitoring_pipeline.warehouse.database import Warehouse
from monitoring_pipeline.warehouse.embedded import EmbeddedPostgres


@pytest.fixture(scope="session")
def embedded_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    """The embedded server of the whole test session, in a home of its own."""
    with EmbeddedPostgres(tmp_path_factory.mktemp("embedded home")) as server:
        yield server


@pytest.fixture
def warehouse_url(embedded_server: EmbeddedPostgres) -> Iterator[str]:
    """URL of an empty database, dropped after the test; give it to ``Settings(database_url=…)``."""
    yield from fresh_database(embedded_server.url("postgres"))


@pytest.fixture
def settings(tmp_path: Path, warehouse_url: str) -> Settings:
    """Settings of a home of the test's own, with an empty database."""
    return Settings(home=tmp_path / "home", monitors_dir=tmp_path / "monitors", database_url=warehouse_url)


@pytest.fixture
def warehouse(settings: Settings) -> Iterator[Warehouse]:
    """An open, migrated, empty warehouse."""
    with Warehouse.open(settings, patience=5) as opened:
        yield opened


def fresh_database(server_url: str) -> Iterator[str]:
    """Create an empty database on this server, yield its URL, drop it and Dagster's beside it."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    _administer(server_url, f'create database "{name}"')
    try:
        yield make_url(server_url).set(database=name).render_as_string(hide_password=False)
    finally:
        for database in (name, f"{name}_dagster"):
            _administer(server_url, f'drop database if exists "{database}" with (force)')


def _administer(server_url: str, statement: str) -> None:
    connection = psycopg2.connect(server_url.replace("+psycopg2", "", 1))
    try:
        connection.autocommit = True
        connection.cursor().execute(statement)
    finally:
        connection.close()
