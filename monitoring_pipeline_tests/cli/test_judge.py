"""``judge``: verdicts follow the declared thresholds, measurements stay; with a policy file nothing is written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from monitoring_pipeline.cli.app import app
from monitoring_pipeline.errors import DeclarationError, UserError
from monitoring_pipeline_tests import toy
from monitoring_pipeline_tests.cli.conftest import Shell
from monitoring_pipeline_tests.front_door import FrontDoor, door
from monitoring_pipeline_tests.toy import Toy, ready

__all__ = ["door"]

DAYS = 4
DRIFTED = 2  # the day whose x lies elsewhere
MEASUREMENTS = "select measurement_id, as_known_at, superseded_at, value::text from monitoring.measurement order by 1"
VERDICTS = "select v.* from monitoring.verdict v order by window_start, measurement_id"
PINNED = {"drift": {"psi": 0.2}}
STRICT = {
    "drift": {"psi": 1000.0},
    "performance": {"accuracy": {"min": 0.999}},
    "missing_share_change": 0.9,
}
"""Nothing drifts by PSI, every accuracy is degraded."""


@pytest.fixture
def measured(door: FrontDoor) -> Toy:
    """Four days, run under one pinned threshold of drift."""
    it, _ = ready(door.base, DAYS)
    it.write_log(it.rows(DRIFTED, shift=2.0), f"2024-03-{DRIFTED + 1:02d}")
    assert door.run(it.declare(thresholds=PINNED), 0, DAYS - 1) is None
    return it


def judged(*arguments: str) -> dict[str, Any]:
    result = CliRunner().invoke(app, ["judge", "toy", "--json", *arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return json.loads(result.output)


def contents(door: FrontDoor) -> dict[str, tuple[int, str]]:
    """Of every table: how many rows, and a digest of them all."""
    tables = door.query(
        "select relname from pg_class where relnamespace = 'monitoring'::regnamespace and relkind in ('r', 'p')"
        " and not relispartition order by 1"
    )["relname"]
    found = {}
    for table in tables:
        digest = door.query(
            f"select count(*), md5(string_agg(t::text, '|' order by t::text)) from monitoring.{table} t"
        )
        found[table] = tuple(digest.iloc[0])
    return found


def flags(door: FrontDoor) -> dict[str, list[tuple[Any, ...]]]:
    """Everything the views say of verdicts, without when they were reached."""
    said = {}
    for view, flag in (("drift", "drifted"), ("quality", "violated"), ("performance", "degraded, mature")):
        named = "column_name, method, baseline" if view == "drift" else "metric, segment"
        frame = door.query(
            f"select window_start, model_version, {named}, segment, threshold::text, threshold_source, {flag},"
            f" policy_version from monitoring.{view}_current"
        )
        said[view] = sorted(str(tuple(row)) for row in frame.itertuples(index=False))
    return said


def by_day(door: FrontDoor, view: str, flag: str, which: str) -> list[bool | None]:
    frame = door.query(
        f"select bool_or({flag}) as flagged from monitoring.{view}_current where segment = '*' and {which}"
        " group by window_start order by window_start"
    )
    return frame["flagged"].tolist()


FLAGS = {
    "drift": ("drift", "drifted", "column_name = :column and method = :metric and baseline = :baseline"),
    "quality": ("quality", "violated", "column_name = :column and metric = :metric"),
    "realized": ("performance", "degraded", "metric = :metric and kind = 'realized'"),
    "estimated": ("performance", "degraded", "metric = :metric and kind = 'estimated'"),
}
PSI = ("drift", "drifted", "column_name = 'x' and method = 'psi' and baseline = 'training'")
ACCURACY = ("performance", "degraded", "metric = 'accuracy' and kind = 'realized'")


def test_a_changed_threshold_rewrites_verdicts_and_nothing_that_was_measured(door: FrontDoor, measured: Toy) -> None:
    assert by_day(door, *PSI) == [False, False, True, False]
    assert by_day(door, *ACCURACY) == [None] * DAYS, "judged only where a bound is declared"
    before, measurements, old = contents(door), door.query(MEASUREMENTS), flags(door)
    measured.declare(thresholds=STRICT)
    said = judged()
    assert said["windows"] == DAYS and said["changed_verdicts"] > 0 and said["failed"] == []
    assert by_day(door, *PSI) == [False] * DAYS
    assert by_day(door, *ACCURACY) == [True] * DAYS
    assert door.query(MEASUREMENTS).equals(measurements)
    after = contents(door)
    changed = {table for table in before if before[table] != after[table]}
    assert changed == {
        *("verdict", "threshold_set", "judgement"),  # what was judged
        *("window_fold", "window_fold_state"),  # what verdicts on whole windows rest on
        *("column_verdict", "incident"),  # what a pinned threshold says of columns, and what followed from the verdicts
        *("monitor", "monitor_declaration", "window_stage"),  # and that it was, under which declaration
    }
    assert after["verdict"][0] == before["verdict"][0], "rewritten, not added"
    assert door.query("select * from monitoring.stale_window").empty

    verdicts = door.query(VERDICTS)
    assert judged()["changed_verdicts"] == 0
    assert door.query(VERDICTS).astype(str).equals(verdicts.astype(str))
    measured.declare(thresholds=PINNED)
    judged()
    assert flags(door) == old, "the old thresholds give the old verdicts"


def test_windows_one_by_one_and_as_a_range_are_judged_alike(door: FrontDoor, measured: Toy) -> None:
    old = flags(door)
    measured.declare(thresholds=STRICT)
    for day in (3, 0, 2, 1):
        key = toy.day(day).key("day")
        assert judged("--from", key, "--to", key)["windows"] == 1
    one_by_one = flags(door)
    assert one_by_one != old
    measured.declare(thresholds=PINNED)
    assert judged("--from", "2024-03-02", "--to", "2024-03-03")["windows"] == 2
    assert by_day(door, *ACCURACY) == [True, None, None, True]
    judged()
    assert flags(door) == old
    measured.declare(thresholds=STRICT)
    assert judged("--from", "2024-03-01")["windows"] == DAYS
    assert flags(door) == one_by_one
    with pytest.raises(UserError, match="no window in this range has been measured"):
        judged("--from", "2025-01-01")


def test_a_policy_is_tried_and_nothing_is_written(door: FrontDoor, measured: Toy, tmp_path: Path) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text(json.dumps({"thresholds": STRICT}))
    before = contents(door)
    said = judged("--policy", str(policy))
    assert contents(door) == before
    found = {(d["family"], d["baseline"], d["segment"], d["column"], d["metric"]): d for d in said["differences"]}
    accuracy = found["realized", None, "*", "*", "accuracy"]
    assert (accuracy["now"], accuracy["then"], accuracy["appear"], accuracy["vanish"]) == (0, DAYS, DAYS, 0)
    assert (accuracy["first"], accuracy["last"]) == ("2024-03-01", "2024-03-04")
    psi = found["drift", "training", "*", "x", "psi"]
    assert (psi["now"], psi["then"], psi["appear"], psi["vanish"]) == (1, 0, 0, 1)
    assert (psi["first"], psi["last"]) == ("2024-03-03", "2024-03-03")

    measured.declare(thresholds=STRICT)
    judged()
    for (family, baseline, segment, column, metric), one in found.items():
        view, flag, which = FLAGS[family]
        flagged = door.query(
            f"select count(*) from monitoring.{view}_current where {flag} and segment = :segment and {which}",
            metric=metric, segment=segment, column=column, baseline=baseline,
        )  # fmt: skip
        assert flagged.iat[0, 0] == one["then"], (family, segment, column, metric)
    assert judged("--policy", str(policy))["differences"] == [], "it is the policy now"


MISTAKES = (
    ("thresholds:\n  drift:\n    psi: much\n", r"policy\.yaml:3: thresholds\.drift\.psi: "),
    ("labels:\n  max_delay: soon\n", r"policy\.yaml:2: labels\.max_delay: "),
    ("thresholds:\n  performance_drop: 0.1\nschema: {}\n", r"policy\.yaml:3: schema: not part of a policy"),
    ("thresholds:\n  nonsense: 1\n", r"policy\.yaml:2: thresholds\.nonsense: "),
    ("thresholds: 3\n", r"policy\.yaml:1: thresholds: must be a mapping"),
    ("thresholds: [\n", r"policy\.yaml: is not YAML"),
    ("", r"policy\.yaml: must be a mapping"),
    (None, r"policy\.yaml: cannot be read"),
)


def test_a_mistake_in_a_policy_names_file_line_and_key(door: FrontDoor, tmp_path: Path) -> None:
    _, monitor = ready(door.base, 1)
    assert door.run(monitor, 0) is None
    policy = tmp_path / "policy.yaml"
    for content, said in MISTAKES:
        policy.unlink(missing_ok=True)
        if content is not None:
            policy.write_text(content)
        with pytest.raises(DeclarationError, match=said):
            judged("--policy", str(policy))


def test_as_a_user_types_it(shell: Shell) -> None:
    ready(shell.base, 1)
    nothing = shell("judge", "toy")
    assert nothing.returncode == 1 and "run `monitoring-pipeline run toy`" in nothing.stderr
    assert shell("run", "toy", "--to", "2024-03-01").returncode == 0
    again = shell("judge", "toy")
    assert again.returncode == 0 and "1 windows judged" in again.stdout and "0 verdicts changed" in again.stdout
    (shell.base / "policy.yaml").write_text("thresholds: {performance: {accuracy: {min: 0.999}}}\n")
    tried = shell("judge", "toy", "--policy", "policy.yaml")
    assert tried.returncode == 0 and "Nothing was written." in tried.stdout and "accuracy" in tried.stdout
    (shell.base / "policy.yaml").write_text("thresholds:\n  drift: {psi: much}\n")
    refused = shell("judge", "toy", "--policy", "policy.yaml")
    assert refused.returncode == 1 and "policy.yaml:2: thresholds.drift.psi:" in refused.stderr
    assert "Traceback" not in refused.stderr
