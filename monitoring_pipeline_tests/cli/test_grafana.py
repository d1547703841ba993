"""Grafana: files for one of yours, the one that ``up`` starts, and its way into the database."""

from __future__ import annotations

import stat
from pathlib import Path

import psycopg2
import pytest
from sqlalchemy import make_url

from monitoring_pipeline_tests.cli.conftest import Shell

PASSWORD = "read only, please"
# Says with what it was started, then waits or fails.
FAKE = """#!/bin/sh
env > "$FAKE_OUT/environment"
echo "$@" > "$FAKE_OUT/arguments"
exit 3
"""


def variables(text: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


@pytest.fixture
def grafana(shell: Shell, tmp_path: Path) -> Path:
    """A program `grafana` on the PATH, installed as the archive of Grafana lays it out."""
    (tmp_path / "grafana" / "bin").mkdir(parents=True)
    (tmp_path / "grafana" / "conf").mkdir()
    (tmp_path / "grafana" / "conf" / "defaults.ini").touch()
    program = tmp_path / "grafana" / "bin" / "grafana"
    program.write_text(FAKE)
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    shell.extra["PATH"] = f"{program.parent}:{shell.environment['PATH']}"
    shell.extra["FAKE_OUT"] = str(tmp_path)
    return tmp_path


def test_files_for_a_grafana_that_is_there(shell: Shell, tmp_path: Path) -> None:
    done = shell("grafana", "provision", "--dir", "out", "--dagster-url", "https://dagster.example.org")
    assert done.returncode == 0, done.stderr
    said = variables(done.stdout)
    url = make_url(shell.url or "")
    assert (said["MONITORING_DB_PORT"], said["MONITORING_DB_NAME"]) == (str(url.port), url.database)
    assert said["DAGSTER_URL"] == "https://dagster.example.org"
    assert said["GF_PATHS_PROVISIONING"] == str(tmp_path / "out" / "provisioning")
    assert (tmp_path / "out/provisioning/alerting/rules.yaml").exists()
    assert (tmp_path / "out/provisioning/datasources/monitoring.yaml").exists()
    written = b"".join(path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file())
    assert str(url.password).encode() not in written + done.stdout.encode()

    receivers = tmp_path / "out/provisioning/alerting/contact-points.yaml"
    receivers.write_text("mine")
    (tmp_path / "out/provisioning/alerting/rules.yaml").write_text("old")
    (tmp_path / "out/dashboards").mkdir(exist_ok=True)
    (tmp_path / "out/dashboards/of-an-older-version.json").write_text("{}")
    again = shell("grafana", "provision", "--dir", "out")
    assert again.returncode == 0 and "kept your" in again.stderr
    assert receivers.read_text() == "mine"
    assert "incident-critical" in (tmp_path / "out/provisioning/alerting/rules.yaml").read_text()
    assert not (tmp_path / "out/dashboards/of-an-older-version.json").exists()


def test_a_directory_that_cannot_be_written_is_named(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = shell("grafana", "provision", "--dir", "file")
    assert done.returncode == 1 and "cannot write to" in done.stderr and "Traceback" not in done.stderr


def test_the_reader_logs_in_with_the_password_of_the_environment(shell: Shell) -> None:
    refused = shell("db", "grafana-role")
    assert refused.returncode == 1 and "set GRAFANA_READER_PASSWORD" in refused.stderr
    shell.extra["GRAFANA_READER_PASSWORD"] = PASSWORD
    done = shell("db", "grafana-role")
    assert done.returncode == 0 and PASSWORD not in done.stdout + done.stderr
    url = make_url(shell.url or "")
    address = {"host": url.host, "port": url.port, "dbname": url.database, "user": "grafana_reader"}
    with psycopg2.connect(**address, password=PASSWORD) as connection, connection.cursor() as cursor:
        cursor.execute("select count(*) from monitoring.monitor_progress_current")
        assert cursor.fetchone() == (0,)
    connection.close()
    with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
        psycopg2.connect(**address, password="another")


def test_up_starts_the_grafana_on_the_path_on_loopback(shell: Shell, grafana: Path) -> None:
    shell.extra["GRAFANA_READER_PASSWORD"] = PASSWORD
    done = shell("up", "--grafana", "--port", "3977", "--exporter-port", "9977", "--grafana-port", "3978", timeout=60)
    assert done.returncode == 1 and "Grafana ended with exit code 3" in done.stderr
    assert (grafana / "arguments").read_text().split() == ["server", "--homepath", str(grafana / "grafana")]
    given = variables((grafana / "environment").read_text())
    assert (given["GF_SERVER_HTTP_ADDR"], given["GF_SERVER_HTTP_PORT"]) == ("127.0.0.1", "3978")
    assert given["GRAFANA_READER_PASSWORD"] == PASSWORD and given["DAGSTER_URL"] == "http://127.0.0.1:3977"
    assert Path(given["GF_PATHS_PROVISIONING"], "alerting", "rules.yaml").exists()
    assert given["GF_AUTH_ANONYMOUS_ORG_ROLE"] == "Viewer" and given["GF_AUTH_DISABLE_LOGIN_FORM"] == "true"


def test_up_says_what_grafana_lacks(shell: Shell, grafana: Path) -> None:
    missing = shell("up", "--grafana", "--port", "3977", "--exporter-port", "9977")
    assert missing.returncode == 1 and "set GRAFANA_READER_PASSWORD" in missing.stderr
    (grafana / "grafana" / "bin" / "grafana").unlink()
    missing = shell("up", "--grafana", "--port", "3977", "--exporter-port", "9977")
    assert missing.returncode == 1 and "no program `grafana`" in missing.stderr
