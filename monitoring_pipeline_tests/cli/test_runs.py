"""``run`` and what one looks at afterwards: exit codes, messages, ``status``, the server that is left behind."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import create_engine, make_url, text

from monitoring_pipeline.warehouse.embedded import EmbeddedPostgres
from monitoring_pipeline_tests import toy
from monitoring_pipeline_tests.cli.conftest import ROOT, Shell
from monitoring_pipeline_tests.conftest import fresh_database
from monitoring_pipeline_tests.front_door import query
from monitoring_pipeline_tests.toy import Toy, ready

HEAVY = ("dagster", "pandas", "duckdb", "sqlalchemy", "pyarrow", "evidently", "matplotlib", "scipy")


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys; from monitoring_pipeline.cli import main; print(*sorted(m for m in sys.modules if '.' not in m))"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT).stdout
    assert set(HEAVY).isdisjoint(loaded.split())


@pytest.mark.slow
def test_a_bad_day_ends_with_one_and_status_says_the_same(shell: Shell) -> None:
    it, _monitor = ready(shell.base, 3)
    toy.truncate(it.log_path(1))
    (shell.monitors / "slip.yaml").write_text("name: slip\ntask: binary\n")  # the neighbour's mistake
    answer = shell("run", "toy", "--from", "2024-03-01", "--to", "2024-03-03")
    assert answer.returncode == 1
    assert "1 window(s) of toy failed; the others succeeded." in answer.stderr
    assert (
        f"2024-03-02 (ingestion): some sources cannot be read and may contain rows of this window: {it.log_path(1)}"
        in answer.stderr
    )
    assert "Traceback" not in answer.stderr and "dagster" not in answer.stderr.lower()

    status = shell("status", "toy", "--json")
    assert status.returncode == 0, status.stderr
    (one,) = json.loads(status.stdout)
    assert one["n_windows"] == 2 and one["coverage"] == 1.0
    (failed,) = one["failed_windows"]
    assert failed["attempts"] == 1 and not failed["gave_up"] and str(it.log_path(1)) in failed["error"]
    shown = shell("status").stdout
    assert "Failed windows" in shown and "2024-03-02" in shown and "Unreadable files" in shown, shown
    assert "…" not in shown, "paths are shown whole"
    it.log_path(1).unlink()
    assert "Unreadable files" not in shell("status").stdout


@pytest.mark.slow
def test_without_an_end_of_its_own_a_range_ends_with_the_monitor(shell: Shell) -> None:
    """Rows that were logged later are nobody's mistake."""
    ready(shell.base, 2, end="2024-03-02")
    answer = shell("run", "toy")
    assert (answer.returncode, answer.stdout) == (0, "toy: 2024-03-01 to 2024-03-01 done\n"), answer.stderr
    asked = shell("run", "toy", "--to", "2024-03-02")
    assert asked.returncode == 1 and "toy ends before 2024-03-02; change `end` or --to" in asked.stderr


@pytest.mark.slow
def test_a_last_day_that_cannot_be_read_is_not_passed_over(shell: Shell) -> None:
    """Without --to the range ends with the last row that could be read: silence would look like success."""
    it, _monitor = ready(shell.base, 2)
    toy.truncate(it.log_path(1))
    answer = shell("run", "toy")
    assert answer.returncode == 1 and f"{it.log_path(1)}: cannot be read" in answer.stderr
    assert shell.query("select n_rows from monitoring.window_status where n_rows is not null")["n_rows"].tolist() == [
        300
    ]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--from", "2024-02-01"), "monitored from 2024-03-01 on"),
        (("--to", "2024-05-01"), "ends before 2024-04-01"),
        (("--from", "2024-03-03", "--to", "2024-03-02"), "there are no windows from"),
        ((), "no file matches ../log/*.parquet"),
    ],
)
def test_ranges_that_make_no_sense_are_refused(shell: Shell, arguments: tuple[str, ...], said: str) -> None:
    Toy(shell.base).declare()
    answer = shell("run", "toy", *arguments)
    assert answer.returncode == 1 and said in answer.stderr and "Traceback" not in answer.stderr


def test_an_unreadable_date_is_wrong_usage(shell: Shell) -> None:
    Toy(shell.base).declare()
    answer = shell("run", "toy", "--from", "yesterday")
    assert answer.returncode == 2 and "yesterday" in answer.stderr


def test_two_files_of_one_name_are_both_named(shell: Shell) -> None:
    it = Toy(shell.base)
    it.declare()
    shutil.copy(it.yaml, shell.monitors / "copy.yaml")
    answer = shell("run", "toy")
    assert answer.returncode == 1 and "copy.yaml" in answer.stderr and "toy.yaml" in answer.stderr


@pytest.mark.slow
def test_the_embedded_server_goes_with_the_run_and_psql_reaches_it(tmp_path: Path) -> None:
    ready(tmp_path, 1)
    shell = Shell(tmp_path, None)
    ran = shell("run", "toy")
    assert ran.returncode == 0, ran.stderr
    assert "toy: 2024-03-01 to 2024-03-01 done" in ran.stdout
    server = EmbeddedPostgres(tmp_path / "home")
    assert not server.status.running
    if shutil.which("psql"):
        rows = shell("db", "psql", "-At", "-c", "select n_rows from window_status")
        assert rows.returncode == 0 and rows.stdout.split() == ["300"], rows.stderr
        assert shell("db", "psql", "-c", "select nonsense").returncode == 1

    address = shell("db", "url")
    assert address.returncode == 0 and server.status.running
    url = make_url(address.stdout.strip()).set(drivername="postgresql+psycopg2").render_as_string(hide_password=False)
    drifts = "select count(*) as n from monitoring.drift_current"
    assert query(url, drifts).iat[0, 0] > 0
    assert shell("run", "toy").returncode == 0
    assert query(url, drifts).iat[0, 0] > 0, "whoever has the URL is not cut off by a run"
    assert shell("db", "stop").stdout.strip() == "stopped"
    assert not server.status.running
    assert shell("db", "stop").stdout.strip() == "was not running"


@pytest.mark.slow
@pytest.mark.server
def test_a_run_on_debians_postgres(tmp_path: Path, debian_server: str) -> None:
    _it, _monitor = ready(tmp_path, 2)
    for url in fresh_database(debian_server):
        shell = Shell(tmp_path, url)
        ran = shell("run", "toy")
        assert ran.returncode == 0, ran.stderr
        windows = shell.query("select n_rows, coverage, stale from monitoring.window_status")
        assert windows["n_rows"].tolist() == [300, 300] and not windows["stale"].any()
        beside = make_url(url).set(database=f"{make_url(url).database}_dagster").render_as_string(hide_password=False)
        runs = query(beside, "select status, run_body from runs")
        assert runs["status"].tolist() == ["SUCCESS"]
        shown = query(beside, "select count(*) as n from asset_keys")
        assert shown["n"].tolist() == [11]


@pytest.mark.slow
def test_prune_says_what_it_deletes_and_a_broken_neighbour_is_left_as_it_is(shell: Shell) -> None:
    ready(shell.base, 2, labels={"max_delay": "1d"}, retention={"measurements": "30d", "lake_files": "20d"})
    assert shell("run", "toy").returncode == 0
    engine = create_engine(shell.url or "")
    with engine.begin() as conn:
        conn.execute(text("update monitoring.prediction_window set ingested_at = window_end"))
    engine.dispose()
    files = [path for path in (shell.base / shell.home / "lake").rglob("window=*/*") if path.is_file()]
    for path in files:
        os.utime(path, (0, 0))
    announced = shell("db", "prune", "--dry-run", "--json")
    assert announced.returncode == 0, announced.stderr
    (toy_,) = json.loads(announced.stdout)["monitors"]
    assert toy_["measurements"] == len(shell.query("select 1 from monitoring.measurement")) > 0
    assert toy_["lake_files"] == len(files) == 4 and toy_["profiles"] == toy_["revisions"] == 0
    assert all(path.exists() for path in files)

    (shell.monitors / "slip.yaml").write_text("name: slip\n")
    pruned = shell("db", "prune", "--json")
    assert pruned.returncode == 1 and "skipped" in pruned.stderr and "slip.yaml" in pruned.stderr
    said = json.loads(pruned.stdout)
    assert said["monitors"] == [toy_] and not said["dry_run"]
    assert "measurement_y2024m03" in said["dropped_partitions"]
    assert shell.query("select 1 from monitoring.measurement").empty and not any(path.exists() for path in files)
    (shell.monitors / "slip.yaml").unlink()
    nothing = shell("db", "prune")
    assert nothing.returncode == 0 and "toy" in nothing.stdout and "lake_files" in nothing.stdout
