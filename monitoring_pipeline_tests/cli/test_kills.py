"""Processes are killed, collide, and lose their database; what is in Postgres afterwards is whole."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path

import pytest
from sqlalchemy import create_engine, make_url, text

from monitoring_pipeline.stages import catalogue
from monitoring_pipeline.warehouse.embedded import EmbeddedPostgres
from monitoring_pipeline_tests.cli.conftest import Shell
from monitoring_pipeline_tests.front_door import assert_same
from monitoring_pipeline_tests.toy import ready

DAYS = 5
RANGE = ("run", "toy", "--from", "2024-03-01", "--to", f"2024-03-{DAYS:02d}")
STAGES = [stage.name for stage in catalogue.STAGES]


def done_stages(shell: Shell) -> int:
    """Stages of windows that are committed."""
    engine = create_engine(shell.url or "")
    try:
        with engine.connect() as connection:
            return int(connection.execute(text("select count(*) from monitoring.window_stage")).scalar_one())
    finally:
        engine.dispose()


@pytest.mark.slow
def test_killed_again_and_again_then_run_to_the_end(shell: Shell, other_shell: Shell) -> None:
    ready(shell.base, DAYS)
    draw = random.Random(2013)
    # A kill at an early and a late moment, counted in stages of windows that are committed.
    for share in (0.02, 0.7):
        after = done_stages(shell) + 1 + int(draw.random() * share * DAYS * len(STAGES) / 2)
        process = shell.start(*RANGE)
        while process.poll() is None and done_stages(shell) < after:
            time.sleep(0.01)
        process.kill()
        process.communicate()
        # What is committed is whole: a stage's note and its rows stand or fall together.
        halves = shell.query(
            "select s.window_start from monitoring.window_stage s left join monitoring.column_profile_current p"
            " on p.window_start = s.window_start and p.segment = '*'"
            " where s.stage = 'profile' and s.completed_at is not null and p.window_start is null"
        )
        assert halves.empty
    last = shell(*RANGE)
    assert last.returncode == 0, last.stderr

    assert other_shell(*RANGE).returncode == 0
    assert_same(shell.views(), other_shell.views())


@pytest.mark.slow
def test_ctrl_c_ends_a_run_at_once_and_the_next_goes_on(shell: Shell) -> None:
    """At the terminal it reaches every process of the run; Dagster alone may lose it."""
    ready(shell.base, DAYS)
    process = shell.start(*RANGE, start_new_session=True)
    while process.poll() is None and done_stages(shell) == 0:
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)
    began = time.monotonic()
    _, said = process.communicate(timeout=60)
    assert (process.returncode, time.monotonic() - began < 15) == (130, True), said
    assert "Traceback" not in said and "Dagster" not in said, said
    assert said.splitlines()[-1:] == ["stopped; what was committed is kept, and the next run continues from there"]
    last = shell(*RANGE)
    assert last.returncode == 0, last.stderr
    assert done_stages(shell) == DAYS * len(STAGES)


@pytest.mark.slow
def test_two_runs_of_the_same_windows_at_once(shell: Shell, other_shell: Shell) -> None:
    ready(shell.base, 3)
    both = [shell.start(*RANGE[:-1], "2024-03-03") for _ in range(2)]
    said = [process.communicate(timeout=240) for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert other_shell(*RANGE[:-1], "2024-03-03").returncode == 0
    assert_same(shell.views(), other_shell.views())
    revisions = shell.query("select count(*) as n from monitoring.measurement where superseded_at is not null")
    assert revisions["n"].tolist() == [0]


def test_a_database_that_is_away_is_said_within_half_a_minute(tmp_path: Path) -> None:
    ready(tmp_path, 1)
    shell = Shell(tmp_path, "postgresql://me:s3cret@127.0.0.1:9/figures", extra={"MONITORING_DATABASE_PATIENCE": "1"})
    began = time.monotonic()
    answer = shell("run", "toy")
    assert answer.returncode == 1 and time.monotonic() - began < 30
    assert "cannot reach the database" in answer.stderr and "127.0.0.1:9" in answer.stderr
    assert "Traceback" not in answer.stderr and "s3cret" not in answer.stderr


@pytest.mark.slow
def test_a_database_that_goes_away_in_the_middle(tmp_path: Path) -> None:
    ready(tmp_path, DAYS)
    with EmbeddedPostgres(tmp_path / "server") as server:
        url = make_url(server.url("monitor")).render_as_string(hide_password=False)
        shell = Shell(tmp_path, url, extra={"MONITORING_DATABASE_PATIENCE": "1"})
        assert shell("db", "migrate").returncode == 0
        process = shell.start(*RANGE)
        while process.poll() is None and done_stages(shell) < DAYS + 2:
            time.sleep(0.01)
        server.stop()
        out, err = process.communicate(timeout=120)
        assert process.returncode == 1, (out, err)
        assert "database" in err and "Traceback" not in err, err
    with EmbeddedPostgres(tmp_path / "server") as server:
        again = shell(*RANGE)
        assert again.returncode == 0, again.stderr
        windows = shell.query("select stale, n_rows, coverage from monitoring.window_status")
        assert windows["n_rows"].tolist() == [300] * DAYS and not windows["stale"].any()
        figures = shell.query("select count(distinct window_start) as n from monitoring.performance_current")
        assert figures["n"].tolist() == [DAYS]
