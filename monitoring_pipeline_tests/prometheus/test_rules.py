"""The files in prometheus/: valid, generated, tested one by one, documented, and routed."""

from __future__ import annotations

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
    run("promtool", "check", "config", HERE / "prometheus.yml")
    run("amtool", "check-config", HERE / "alertmanager.yml")


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


def test_scrape_interval_of_the_example_is_the_generators() -> None:
    seconds = load(HERE / "prometheus.yml")["global"]["scrape_interval"]
    assert f"scrape interval of {seconds.removesuffix('s')} s" in (HERE / "rules" / "columns.yml").read_text()


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
