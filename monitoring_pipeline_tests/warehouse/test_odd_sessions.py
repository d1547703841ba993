"""Databases and roles whose settings are odd: our sessions do not depend on them, or one sentence says what to do."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import NullPool, create_engine, make_url, text

from monitoring_pipeline.errors import WarehouseError
from monitoring_pipeline.settings import Settings
from monitoring_pipeline.warehouse.database import Warehouse
from monitoring_pipeline.warehouse.embedded import EmbeddedPostgres
from monitoring_pipeline_tests.conftest import administer

ODD = {
    "client_encoding": "LATIN1",
    "timezone": "'Asia/Kathmandu'",
    "search_path": "nowhere",
    "standard_conforming_strings": "off",
    "datestyle": "'German, DMY'",
    "intervalstyle": "sql_standard",
    "extra_float_digits": "-10",
    "bytea_output": "escape",
    "array_nulls": "off",
    "transform_null_equals": "on",
    "quote_all_identifiers": "on",
    "default_transaction_isolation": "serializable",
}


@pytest.fixture
def place(any_server: str) -> Iterator[str]:
    """URL of a database's place as a role of its own that may create databases; nothing is there yet."""
    url = make_url(any_server)
    role = "odd_role"
    admin = any_server
    administer(admin, f"create role {role} login createdb password 'secret'")
    yield url.set(username=role, password="secret", database="odd").render_as_string(hide_password=False)
    for name in ("odd", "odd_dagster"):
        administer(admin, f"drop database if exists {name} with (force)")
    administer(admin, f"drop role {role}")


def make(server: str, options: str = "encoding 'UTF8' template template0") -> None:
    administer(server, f"create database odd owner odd_role {options}")


def test_settings_of_the_database_and_the_role_change_nothing(place: str, any_server: str) -> None:
    make(any_server)
    for name, value in ODD.items():
        administer(any_server, f"alter database odd set {name} = {value}")
        administer(any_server, f"alter role odd_role set {name} = {value}")
    with Warehouse.open(Settings(database_url=place), patience=5) as opened:
        with opened.transaction() as conn:
            shown = {name: conn.execute(text(f"show {name}")).scalar() for name in ODD}
            assert conn.execute(text("select array[1, null]::text, 0.1::float8 + 0.2::float8, 'é€\\d', :given"),
                                {"given": "č \\ '"}).one() == ("{1,NULL}", 0.1 + 0.2, "é€\\d", "č \\ '")  # fmt: skip
            conn.execute(text("create table kept (at timestamptz default now())"))
            assert conn.execute(text("select to_regclass('public.kept')")).scalar() is not None
        assert shown["timezone"] == "UTC" and shown["client_encoding"] == "UTF8"
        assert not {name for name, value in ODD.items() if shown[name] == value.strip("'")}
        dagster = create_engine(opened.dagster_url, poolclass=NullPool)
        with dagster.connect() as conn:
            assert conn.execute(text("show timezone")).scalar() == "UTC"
            assert conn.execute(text("show client_encoding")).scalar() == "UTF8"
            assert conn.execute(text("select current_schema()")).scalar() == "public"


@pytest.mark.parametrize("encoding", ["SQL_ASCII", "LATIN1"])
def test_a_database_in_another_encoding_is_refused_in_one_sentence(place: str, any_server: str, encoding: str) -> None:
    make(any_server, f"encoding '{encoding}' lc_collate 'C' lc_ctype 'C' locale_provider libc template template0")
    with pytest.raises(
        WarehouseError, match=f"'odd' is encoded in {encoding}.*create database .* encoding 'UTF8'"
    ) as e:
        Warehouse.open(Settings(database_url=place), patience=5)
    assert "secret" not in str(e.value) and "\n" not in str(e.value)


def test_the_embedded_server_has_none_of_it(embedded_server: EmbeddedPostgres) -> None:
    engine = create_engine(embedded_server.url(), poolclass=NullPool)
    with engine.connect() as conn:
        assert conn.execute(text("show server_encoding")).scalar() == "UTF8"
