"""The files in prometheus/: valid, generated, tested one by one, documented, and routed."""

from __future__ import annotations

import argparse
import importlib.util
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from ruamel.yaml import YAML

from monitoring_pipeline.resources import data_dir

ROOT = Path(__file__).resolve().parents[2]
HERE = ROOT / "prometheus"
RULE_FILES = sorted((HERE / "rules").glob("*.yml"))
ALERTMANAGER_EXAMPLES = sorted((HERE / "alertmanager-examples").glob("*.yml"))
TEST_FILES = sorted((HERE / "tests").glob("*.test.yml"))

pytestmark = pytest.mark.server


def load(path: Path) -> Any:
    return YAML(typ="safe").load(path)


def run(*command: str | Path) -> str:
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, timeout=120, cwd=HERE)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def rules() -> list[dict[str, Any]]:
    return [rule for path in RULE_FILES for group in load(path)["groups"] for rule in group["rules"]]


def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate_rules", HERE / "generate.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_files_are_valid_to_prometheus_and_alertmanager() -> None:
    run("promtool", "check", "rules", "--lint-fatal", *RULE_FILES)
    for name in ("prometheus.yml", "compose.yml"):
        run("promtool", "check", "config", HERE / name)
    for path in (HERE / "alertmanager.yml", *ALERTMANAGER_EXAMPLES):
        run("amtool", "check-config", path)


def test_the_examples_route_as_the_first_does_and_hold_no_secret() -> None:
    first = load(HERE / "alertmanager.yml")
    assert [path.stem for path in ALERTMANAGER_EXAMPLES] == ["email", "pager", "slack"]
    for path in ALERTMANAGER_EXAMPLES:
        found = load(path)
        assert (found["route"], found["inhibit_rules"]) == (first["route"], first["inhibit_rules"]), path.name
        assert {one["name"] for one in found["receivers"]} == {one["name"] for one in first["receivers"]}
        assert not re.search(r"(password|key|api_url|token): ", path.read_text()), "secrets stand in files of their own"


def test_rules_travel_in_the_wheel_to_where_they_are_looked_for() -> None:
    with (ROOT / "pyproject.toml").open("rb") as file:
        included = tomllib.load(file)["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    packed = {Path(source): Path(target) for source, target in included.items()}
    assert all((ROOT / source).exists() for source in packed)
    place = packed[Path("prometheus/rules")].relative_to("monitoring_pipeline/_data")
    assert data_dir("prometheus") == HERE and place == Path("prometheus/rules")


def test_column_rules_are_what_the_generator_writes() -> None:
    made = generator()
    assert (HERE / "rules" / "columns.yml").read_text() == made.render(made.groups(15), 15)


def test_other_windows_may_be_chosen_and_lost_alerts_are_said(tmp_path: Path) -> None:
    out = tmp_path / "columns.yml"
    command = [sys.executable, HERE / "generate.py", "--out", out, "--windows"]
    done = subprocess.run([*command, "30m,1h,2d"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and "rest on 12h: they can no longer fire" in done.stderr
    run("promtool", "check", "rules", "--lint-fatal", out)
    assert "sum_over_time(model:column_missing:5m[47h59m59s999ms:5m])" in out.read_text()
    records = {rule["record"] for group in load(out)["groups"] for rule in group["rules"]}
    assert {"model:column_psi:5m", "model:column_psi:1h", "model:column_ks:2d"} <= records
    assert "model:column_psi:12h" not in records


@pytest.mark.parametrize("names", ["5m", "7m", "12", "30m,0h", "60m,1h", "30m,"])
def test_a_window_that_is_not_whole_pieces_is_refused(names: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match=r"no window|twice"):
        generator().windows(names)


def test_every_heartbeat_is_due_at_its_tick() -> None:
    """Alertmanager repeats at the first tick of group_interval at which repeat_interval is over since it last sent."""
    routes = load(HERE / "alertmanager.yml")["route"]["routes"]
    (heartbeat,) = (route for route in routes if route["receiver"] == "heartbeat")
    assert (heartbeat["group_interval"], heartbeat["repeat_interval"]) == ("1m", "50s")


def test_scrape_interval_of_the_example_is_the_generators() -> None:
    for name in ("prometheus.yml", "compose.yml"):
        seconds = load(HERE / name)["global"]["scrape_interval"]
        assert f"scrape interval of {seconds.removesuffix('s')} s" in (HERE / "rules" / "columns.yml").read_text()


def test_both_configurations_have_the_same_jobs() -> None:
    """Alerts name them."""
    jobs = [[one["job_name"] for one in load(HERE / n)["scrape_configs"]] for n in ("prometheus.yml", "compose.yml")]
    assert jobs[0] == jobs[1]


@pytest.mark.parametrize("path", TEST_FILES, ids=lambda p: p.name)
def test_promtool(path: Path) -> None:
    assert "SUCCESS" in run("promtool", "test", "rules", path)


def test_every_recording_rule_occurs_in_a_promtool_expression() -> None:
    asked = "\n".join(
        f"{case['expr']}\n{case['exp_samples']}"
        for path in TEST_FILES
        for test in load(path)["tests"]
        for case in test.get("promql_expr_test", ())
    )
    tested = set(re.findall(r"\w+(?::\w+)+", asked))
    assert {rule["record"] for rule in rules() if "record" in rule} <= tested


def test_every_alert_is_seen_firing_and_silent() -> None:
    firing, silent = set(), set()
    for path in TEST_FILES:
        for test in load(path)["tests"]:
            for case in test.get("alert_rule_test", ()):
                (firing if case["exp_alerts"] else silent).add(case["alertname"])
    alerts = {rule["alert"] for rule in rules() if "alert" in rule}
    assert alerts == firing
    assert alerts - silent == {"Watchdog"}  # it is never silent, that is its point


def test_every_alert_says_how_bad_what_and_what_to_do() -> None:
    headings = set(re.findall(r"^### (\w+)$", (ROOT / "docs" / "alerts.md").read_text(), re.MULTILINE))
    alerts = [rule for rule in rules() if "alert" in rule]
    for rule in alerts:
        assert rule["labels"]["severity"] in {"critical", "warning", "none"}, rule["alert"]
        assert set(rule["annotations"]) == {"summary", "description", "runbook"}, rule["alert"]
        assert rule["annotations"]["runbook"] == f"docs/alerts.md#{rule['alert'].lower()}"
    assert {rule["alert"] for rule in alerts} == headings


@pytest.mark.parametrize(
    ("labels", "receiver"),
    [
        (("alertname=PredictionErrors", "severity=critical", "monitor=m"), "page"),
        (("alertname=LiveDriftPSI", "severity=warning", "monitor=m"), "ticket"),
        (("alertname=Watchdog", "severity=none"), "heartbeat"),
        (("alertname=Unheard", "severity=odd"), "ticket"),
    ],
)
def test_routing(labels: tuple[str, ...], receiver: str) -> None:
    config = f"--config.file={HERE / 'alertmanager.yml'}"
    run("amtool", "config", "routes", "test", config, f"--verify.receivers={receiver}", *labels)


def test_inhibition_names_alerts_that_exist() -> None:
    known = {rule["alert"] for rule in rules() if "alert" in rule}
    for rule in load(HERE / "alertmanager.yml")["inhibit_rules"]:
        for matcher in (*rule["source_matchers"], *rule["target_matchers"]):
            assert set(re.findall(r"[A-Z]\w+", matcher)) <= known, matcher
