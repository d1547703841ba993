"""A short selection of `make torture`: one bad input of each kind, always the same, and a kill while initdb runs."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from dagster_postgres.utils import DagsterPostgresException

from benchmarks.torture import cases, commands, inputs, kills
from monitoring_pipeline.settings import Settings

SEED = 2013
PATIENCE = 120.0  # of the clock, on a busy machine; what counts is CPU
OF_DATA = ("csv shape", "csv cells", "column names", "parquet bytes", "json lines")
OF_DECLARATIONS = ("yaml value", "yaml more", "yaml bytes", "yaml bomb", "yaml wide", "paths")


def faults(
    base: Path, settings: Settings, kind: str | None, *wanted: str, name: str = "m1", seed: int = SEED
) -> list[str]:
    """What was wrong with these commands on the kind's input."""
    commands.prepare()
    _, case = cases.make(base, name, seed, kind)
    environment = {
        "MONITORING_HOME": str(base / "home"),
        "MONITORS_DIR": str(case.base / "monitors"),
        "DATABASE_URL": settings.database_url,
        "MONITORING_DATABASE_PATIENCE": "1",
        **case.environment,
    }
    found = []
    for command in wanted:
        ended = commands.call(inputs.called(case, command), environment, base, PATIENCE)
        # With the tests' own modules in it, memory is not the command's.
        found += [f"{command}: {one}\n{ended.said}" for one in ended.faults() if not one.startswith("memory")]
        if ended.code != case.expected.get(command, ended.code):
            found.append(f"{command}: exit code {ended.code}\n{ended.said}")
    return found


@pytest.mark.parametrize("kind", OF_DATA)
def test_bad_rows_end_in_a_sentence(kind: str, tmp_path: Path, settings: Settings) -> None:
    assert faults(tmp_path, settings, kind, "init", "validate") == []


@pytest.mark.parametrize("kind", OF_DECLARATIONS)
def test_a_bad_declaration_ends_in_a_sentence(kind: str, tmp_path: Path, settings: Settings) -> None:
    assert faults(tmp_path, settings, kind, "validate") == []


def test_what_is_right_succeeds(tmp_path: Path, settings: Settings) -> None:
    assert faults(tmp_path, settings, "intact", "init", "validate", "run", "reference") == []
    made = {path.name: oct(path.stat().st_mode & 0o777) for path in (tmp_path / "home").iterdir()}
    assert made == {"dagster": "0o700", "lake": "0o700", "tmp": "0o700"}, "nobody else reads the rows of users"


@pytest.mark.parametrize("name", ["m79", "m119"])
def test_pages_damaged_below_a_whole_footer_are_named(name: str, tmp_path: Path, settings: Settings) -> None:
    assert faults(tmp_path, settings, None, "validate", "reference", name=name, seed=90210) == []


def test_options_of_sessions_that_postgres_does_not_know_do_not_stop_a_run(tmp_path: Path, settings: Settings) -> None:
    assert faults(tmp_path, settings, None, "run", name="m147", seed=90210) == []


def test_a_server_that_is_gone_while_dagster_starts_is_one_sentence(
    tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dagster_postgres import storage

    def gone(*_: object, **__: object) -> None:
        raise DagsterPostgresException("too many retries for DB connection") from OSError("connection refused")

    monkeypatch.setattr(storage, "PostgresRunStorage", gone)
    assert faults(tmp_path, settings, "intact", "run") == [
        "run: exit code 1\n\nDagster's database does not answer"
        " (connection refused); start the server again, then repeat the command\n"
    ]


def test_a_reference_without_a_declared_feature_is_exported_and_the_feature_named(
    tmp_path: Path, settings: Settings
) -> None:
    commands.prepare()
    _, case = cases.make(tmp_path, "m1", SEED, "intact")
    case.declared["schema"]["numerical"] = ["x", "elsewhere"]
    cases.save(case)
    environment = {"MONITORING_HOME": str(tmp_path / "home"), "MONITORS_DIR": str(tmp_path / "monitors")}
    ended = commands.call(
        inputs.called(case, "reference"), {**environment, "DATABASE_URL": settings.database_url}, tmp_path, PATIENCE
    )
    assert (ended.code, ended.faults()) == (0, []), ended.said[-600:]
    assert "warning: the reference has no value of 'elsewhere'; there are no bins" in ended.said


def test_the_same_seed_makes_the_same_input(tmp_path: Path) -> None:
    made = []
    for place in ("a", "b"):
        (tmp_path / place).mkdir()
        kind, case = cases.make(tmp_path / place, "m7", SEED)
        made.append((kind, [path.read_bytes() for path in sorted(case.base.rglob("*")) if path.is_file()]))
    assert made[0] == made[1]


@pytest.mark.slow
def test_a_kill_while_the_server_is_made_leaves_one_that_starts(tmp_path: Path) -> None:
    ground = kills.Ground(tmp_path, "", "", random.Random(SEED))
    assert len(list(kills.servers(ground, 1))) == 1
