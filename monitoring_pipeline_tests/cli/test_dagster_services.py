"""Dagster's parts as services of their own: what a wrong set-up is told. That they run: ``test_compose``."""

from __future__ import annotations

from pathlib import Path

import pytest
from ruamel.yaml import YAML

from monitoring_pipeline.cli import dagster_services
from monitoring_pipeline.errors import UserError


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A home, no database, and no way to become another program."""
    monkeypatch.setenv("MONITORING_HOME", str(tmp_path))
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.setattr(dagster_services.os, "execv", lambda *_: pytest.fail("started"))


def test_services_that_run_apart_need_a_server_of_yours() -> None:
    for start in (dagster_services.code, dagster_services.web, dagster_services.daemon):
        with pytest.raises(UserError, match="set DATABASE_URL"):
            start()


@pytest.mark.parametrize("address", ["code", "code:", ":4000", "code:http", 'a"b:1'])
def test_an_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(UserError, match="write HOST:PORT"):
        dagster_services.web(code=address)


def test_the_workspace_names_the_code_server_and_keeps_the_locations_name(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="set DATABASE_URL"):
        dagster_services.web(code="code.internal:4001")
    found = YAML(typ="safe").load(tmp_path / "dagster" / "workspace.yaml")
    server = {"host": "code.internal", "port": 4001, "location_name": "monitoring_pipeline"}
    assert found == {"load_from": [{"grpc_server": server}]}
    assert [path.name for path in (tmp_path / "dagster").iterdir()] == ["workspace.yaml"], "nothing half written stays"
