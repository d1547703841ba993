"""Addresses, settings and homes that nobody can use: one sentence at once, and no password in it."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from monitoring_pipeline.cli import app as cli
from monitoring_pipeline.errors import WarehouseError
from monitoring_pipeline.lake.sources.far_times import has_far_times
from monitoring_pipeline.settings import Settings
from monitoring_pipeline.warehouse.database import Warehouse, normalized
from monitoring_pipeline.warehouse.embedded import EmbeddedPostgres


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("postgresql://u:s3cr3t@127.0.0.1:notaport/d", "is not a URL"),
        ("postgresql://u:s3cr3t@[::1/d", "is not a URL"),
        ("postgresql://u:s3cr3t@127.0.0.1:99999999/d", "names port 99999999"),
        ("postgresql://u:s3cr3t@h/d?nonsense=1", "holds an option that is none: .*nonsense"),
        (" ", "is not a URL"),
    ],
)
def test_an_address_that_is_none(url: str, said: str) -> None:
    with pytest.raises(WarehouseError, match=said) as raised:
        normalized(url)
    assert "s3cr3t" not in str(raised.value)


def test_what_is_hopeless_is_not_waited_for() -> None:
    began = time.monotonic()
    with pytest.raises(WarehouseError, match="invalid integer value"):
        Warehouse.open(Settings(database_url="postgresql://u:s3cr3t@127.0.0.1:9/d?keepalives=often"), patience=60)
    assert time.monotonic() - began < 30


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"port": "x", "password": "p"}', '{"port": 5}', "null", "\0\0\0\0"]
)
def test_a_damaged_password_file_is_said_with_a_remedy(content: str, tmp_path: Path) -> None:
    (tmp_path / "postgres").mkdir()
    (tmp_path / "postgres" / "endpoint.json").write_text(content)
    with pytest.raises(WarehouseError, match=r"endpoint\.json: is damaged.*restore the file from a backup, or delete"):
        _ = EmbeddedPostgres(tmp_path).status


def ended(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What a command says that ends with exit code 1."""
    monkeypatch.setattr("sys.argv", ["monitoring-pipeline", *arguments])
    with pytest.raises(SystemExit) as raised:
        cli.main()
    assert raised.value.code == 1
    return capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "value"),
    [("MONITORING_DUCKDB_MEMORY", "lots"), ("MONITORING_DUCKDB_MEMORY", "-1MB"), ("MONITORING_DUCKDB_THREADS", "zero"),
     ("MONITORING_DATABASE_PATIENCE", "soon"), ("MONITORING_ENGINE", "abacus")],
)  # fmt: skip
def test_a_variable_that_makes_no_sense_is_named(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv(name, value)
    monkeypatch.setenv("MONITORS_DIR", str(tmp_path))
    said = ended(monkeypatch, capsys, "--home", str(tmp_path), "status")
    assert name in said and repr(value) in said and "correct this environment variable" in said


@pytest.mark.parametrize("home", ["/proc/home", "/dev/null", "file/below"])
def test_a_home_that_cannot_be_written_is_named(
    home: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "a.csv").write_text("id,at\n1,2024-03-01\n")
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.setenv("MONITORS_DIR", str(tmp_path))
    for command in (
        ("status",),
        ("init", "x", "--predictions", str(tmp_path / "a.csv"), "--out", str(tmp_path / "x.yaml")),
    ):
        said = ended(monkeypatch, capsys, "--home", str(tmp_path / home), *command)
        assert "name another home by --home" in said and "Traceback" not in said


def test_a_damaged_footer_has_no_far_times(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    path.write_bytes(b"PAR1" + b"\x07" * 400 + b"PAR1")
    assert has_far_times(str(path)) is False
