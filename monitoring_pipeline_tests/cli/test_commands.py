"""The command line as a user types it: what it answers, and with which exit code."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from monitoring_pipeline.serving import Monitoring
from monitoring_pipeline_tests.cli.conftest import Shell
from monitoring_pipeline_tests.toy import Toy


def unprepared(directory: Path) -> Path:
    """A log as somebody has it: names of their own, an outcome in another file."""
    rng = np.random.default_rng(5)
    n = 2400
    at = pd.Timestamp("2026-03-01", tz="UTC") + pd.to_timedelta(np.sort(rng.uniform(0, 20 * 86400, n)), "s")
    score = rng.beta(2, 4, n)
    log = pd.DataFrame(
        {
            "requestId": [f"r-{i}" for i in range(n)],
            "createdAt": at,
            "amount due": rng.gamma(2, 50, n),
            "plan": rng.choice(["basic", "gold"], n),
            "churn_probability": score,
            "predicted": (score > 0.5).astype(int),
        }
    )
    log.to_parquet(directory / "log.parquet", index=False)
    outcomes = pd.DataFrame({"requestId": log["requestId"], "churned": (rng.random(n) < score).astype(int)})
    outcomes.to_csv(directory / "outcomes.csv", index=False)
    return directory


@pytest.mark.slow
def test_from_somebodys_parquet_to_rows(shell: Shell, tmp_path: Path) -> None:
    place = unprepared(tmp_path)
    sources = ("--predictions", str(place / "log.parquet"), "--ground-truth", str(place / "outcomes.csv"))
    drafted = shell("init", "churn", *sources)
    assert drafted.returncode == 0, drafted.stderr
    again = shell("init", "churn", *sources)
    assert again.returncode == 1 and "already exists" in again.stderr
    sound = shell("validate")
    assert sound.returncode == 0, sound.stderr
    ran = shell("run", "churn")
    assert ran.returncode == 0, ran.stderr
    status = json.loads(shell("status", "--json").stdout)
    assert [one["monitor"] for one in status] == ["churn"]
    assert status[0]["coverage"] == 1.0 and not status[0]["failed_windows"]
    exported = json.loads(shell("reference", "export", "churn").stdout)
    assert {c["name"] for c in exported["columns"]} >= {"amount due", "plan", "churn_probability"}
    declaration = shell.monitors / "churn.yaml"
    declaration.write_text(declaration.read_text().replace("reference:\n", "reference:\n  model_version: new\n", 1))
    renamed = shell("reference", "export", "churn")
    assert json.loads(renamed.stdout) == exported | {"model_version": "new"}, "made, since it is the declared one now"
    wanted = shell("reference", "export", "churn", "--version", "newer")
    assert wanted.returncode == 1 and "no reference of model version 'newer'" in wanted.stderr


def test_the_reference_is_there_before_the_first_prediction(shell: Shell, tmp_path: Path) -> None:
    toy = Toy(shell.base)
    toy.declare()
    toy.write_reference()
    out = tmp_path / "live" / "reference.json"
    done = shell("reference", "export", "toy", "--out", str(out))
    assert done.returncode == 0, done.stderr
    made = json.loads(out.read_text())
    assert (made["monitor"], made["n_rows"] > 100) == ("toy", True)
    again = shell("reference", "export", "toy")
    assert json.loads(again.stdout) == made
    service = Monitoring(out)
    service.observe({}, score=0.5)
    service.close()
    toy.yaml.write_text(toy.yaml.read_text().replace('"model_version": "v1"', '"model_version": "v2"'))
    (shell.base / "reference.parquet").unlink()
    missing = shell("reference", "export", "toy", "--version", "v2")
    assert missing.returncode == 1 and "Traceback" not in missing.stderr and "reference.parquet" in missing.stderr


def test_wrong_usage_is_two_and_refused_work_is_one(shell: Shell) -> None:
    shell.monitors.mkdir()
    assert shell("run").returncode == 2
    assert shell("--nonsense").returncode == 2
    unknown = shell("run", "nobody")
    assert unknown.returncode == 1
    assert "there is no monitor named 'nobody'" in unknown.stderr and "Traceback" not in unknown.stderr
    (shell.monitors / "slip.yaml").write_text("name: slip\nwindo: day\n")
    slip = shell("status", "slip").stderr + shell("run", "slip").stderr
    assert "slip.yaml:2: windo" in slip and "there is no monitor named" not in slip, "its own mistake, not its absence"


def test_validate_names_file_line_and_field(shell: Shell) -> None:
    shell.monitors.mkdir()
    (shell.monitors / "slip.yaml").write_text("name: slip\ntask: binary\nschem: {}\nstart: 2026-01-01\n")
    found = shell("validate")
    assert found.returncode == 1
    assert "slip.yaml:3: schem:" in found.stderr and "Traceback" not in found.stderr
    as_data = json.loads(shell("validate", "--json").stdout)
    assert {"file", "line", "field", "message"} <= set(as_data[0])


def test_the_schema_is_brought_up_to_date_and_its_address_printed(shell: Shell) -> None:
    assert shell("db", "migrate").returncode == 0
    address = shell("db", "url")
    assert address.returncode == 0 and address.stdout.startswith("postgresql://")
    refused = shell("db", "stop")
    assert refused.returncode == 1 and "not stopped by this command" in refused.stderr
