"""The provisioned files: generated, of the shape Grafana documents, without passwords, documented, shipped."""

from __future__ import annotations

import json
import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from grafana.alerts.__main__ import OUT, render
from grafana.alerts.rules import GROUPS
from monitoring_pipeline.cli.grafana_files import PASSWORD, environment

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted((ROOT / "grafana").glob("provisioning/*/*.yaml")) + sorted((ROOT / "grafana/examples").glob("*.yaml"))
ALERTING = ROOT / "grafana" / "provisioning" / "alerting"
RULES = [rule for _, rules in GROUPS for rule in rules]
# What Grafana's documentation of file provisioning lists; another key would be dropped without a word.
RULE_KEYS = {
    "uid", "title", "condition", "data", "noDataState", "execErrState", "for", "keepFiringFor", "annotations", "labels",
    "missing_series_evals_to_resolve", "isPaused", "dashboardUid", "panelId", "notification_settings",
}  # fmt: skip
ROUTE_KEYS = {
    "orgId", "receiver", "group_by", "object_matchers", "matchers", "group_wait", "group_interval", "repeat_interval",
    "mute_time_intervals", "active_time_intervals", "continue", "routes",
}  # fmt: skip
REQUIRED_SETTINGS = {"webhook": {"url"}, "slack": {"url"}, "email": {"addresses"}}
DURATION = re.compile(r"\d+[smh]")
ENVIRONMENT = environment(Path("/x"), "postgresql://me:secret@db.example.org/m", "http://d", "http://p")


def load(path: Path) -> Any:
    found = YAML(typ="safe").load(path)
    assert found["apiVersion"] == 1
    return found


def provisioned_rules() -> list[dict[str, Any]]:
    return [rule for group in load(ALERTING / "rules.yaml")["groups"] for rule in group["rules"]]


def routes(of: dict[str, Any]) -> list[dict[str, Any]]:
    return [of, *(found for child in of.get("routes", []) for found in routes(child))]


def contact_point_files() -> list[Path]:
    return [path for path in FILES if path.name.startswith("contact-points")]


def test_rules_are_what_the_modules_write() -> None:
    assert OUT.read_text(encoding="utf-8") == render()


def test_rules_have_the_documented_shape() -> None:
    for group in load(ALERTING / "rules.yaml")["groups"]:
        assert set(group) == {"orgId", "name", "folder", "interval", "rules"} and DURATION.fullmatch(group["interval"])
    rules = provisioned_rules()
    assert len({rule["uid"] for rule in rules}) == len({rule["title"] for rule in rules}) == len(rules) == len(RULES)
    for rule in rules:
        assert set(rule) <= RULE_KEYS and re.fullmatch(r"[\w-]{1,40}", rule["uid"])
        assert rule["condition"] in {item["refId"] for item in rule["data"]}
        assert rule["noDataState"] == "OK" and rule["execErrState"] == "Error" and DURATION.fullmatch(rule["for"])
        assert all(isinstance(v, str) for v in (*rule["labels"].values(), *rule["annotations"].values()))
        for item in rule["data"]:
            assert set(item) == {"refId", "datasourceUid", "relativeTimeRange", "model"}
            assert item["model"]["refId"] == item["refId"]


def test_rules_link_to_dashboard_incident_and_run_and_carry_the_sentence() -> None:
    for rule in provisioned_rules():
        said = rule["annotations"]
        assert "{{ .Labels.sentence }}" in said["summary"]
        assert "d/mm-model?var-monitor={{ urlquery .Labels.monitor }}" in said["dashboard"]
        if rule["labels"]["source"] == "incident":
            assert (
                "d/mm-incident?" in said["incident"]
                and "var-incident={{ urlquery .Labels.incident_id }}" in said["incident"]
            )
            assert "${DAGSTER_URL}/runs/" in said["dagster_run"]


def test_links_lead_to_dashboards_and_variables_that_are_there() -> None:
    pages = [json.loads(path.read_text()) for path in (ROOT / "grafana" / "dashboards").glob("*.json")]
    if not pages:
        pytest.skip("there are no dashboards yet")
    known = {page["uid"]: {one["name"] for one in page["templating"].get("list", [])} for page in pages}
    for rule in provisioned_rules():
        for link in (rule["annotations"].get(name, "") for name in ("dashboard", "incident")):
            for uid, query in re.findall(r"}}d/([\w-]+)\?(.*)", link):
                assert set(re.findall(r"var-(\w+)=", query)) <= known[uid], link


def test_every_rule_has_its_runbook() -> None:
    headings = re.findall(r"^### (.+)$", (ROOT / "docs" / "alerts.md").read_text(), re.MULTILINE)
    anchors = {heading.lower().replace(" ", "-").replace(":", "") for heading in headings}
    for rule in provisioned_rules():
        page, anchor = rule["annotations"]["runbook"].split("#")
        assert page == "docs/alerts.md" and anchor in anchors, anchor


def test_queries_hold_no_macro_and_no_variable() -> None:
    """Nothing in them depends on Grafana, so that what the tests ask is what Grafana asks."""
    assert not [rule.uid for rule in RULES if "$" in rule.query]


def test_every_alert_finds_a_receiver() -> None:
    [tree] = load(ALERTING / "policies.yaml")["policies"]
    wanted = {route["receiver"] for route in routes(tree)}
    for route in routes(tree):
        assert set(route) <= ROUTE_KEYS
        assert all(DURATION.fullmatch(route[k]) for k in route if k.endswith(("_wait", "_interval")))
        assert all(len(m) == 3 and m[1] in ("=", "!=", "=~", "!~") for m in route.get("object_matchers", []))
    for path in contact_point_files():
        assert {point["name"] for point in load(path)["contactPoints"]} == wanted, path.name


@pytest.mark.parametrize("path", contact_point_files(), ids=lambda p: p.name)
def test_receivers_tell_of_the_end_too(path: Path) -> None:
    for point in load(path)["contactPoints"]:
        assert set(point) == {"orgId", "name", "receivers"}
        for receiver in point["receivers"]:
            assert set(receiver) == {"uid", "type", "disableResolveMessage", "settings"}
            assert receiver["disableResolveMessage"] is False
            assert set(receiver["settings"]) >= REQUIRED_SETTINGS[receiver["type"]]


def test_data_sources_read_as_the_reader() -> None:
    sources = {
        one["uid"]: one for one in load(ROOT / "grafana/provisioning/datasources/monitoring.yaml")["datasources"]
    }
    postgres = sources["monitoring-postgres"]
    assert postgres["type"] == "grafana-postgresql-datasource" and postgres["user"] == "grafana_reader"
    assert "database" in postgres["jsonData"] and "database" not in postgres
    assert sources["monitoring-prometheus"]["type"] == "prometheus"
    used = {item["datasourceUid"] for rule in provisioned_rules() for item in rule["data"]} - {"__expr__"}
    assert used <= set(sources)


def test_only_known_variables_are_named_and_no_password_is_written() -> None:
    """``$name`` without braces would be taken for a variable by some versions and not by others."""
    yours = {"SLACK_PAGE_URL", "SLACK_TICKET_URL", "EMAIL_PAGE", "EMAIL_TICKET"}
    for path in FILES:
        text = path.read_text(encoding="utf-8")
        assert set(re.findall(r"\$\{(\w+)\}", text)) <= {
            *ENVIRONMENT,
            PASSWORD,
            *(yours if "examples" in path.parts else ()),
        }
        assert not re.search(r"\$(?!\{)", text), path.name
        assert not re.search(r"(?i)(password|token|secret)\S*: *[^\s$]", text), path.name


def test_files_travel_in_the_wheel() -> None:
    with (ROOT / "pyproject.toml").open("rb") as file:
        included = tomllib.load(file)["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    for name in ("provisioning", "dashboards", "examples"):
        assert included[f"grafana/{name}"] == f"monitoring_pipeline/_data/grafana/{name}"


def test_the_environment_fits_grafanas_fewer_tls_modes() -> None:
    def mode(url: str) -> str:
        return environment(Path("/x"), url, "d", "p")["MONITORING_DB_SSLMODE"]

    assert ENVIRONMENT["MONITORING_DB_SSLMODE"] == "require" and "secret" not in "".join(ENVIRONMENT.values())
    assert mode("postgresql://h/d?sslmode=verify-full") == "verify-full"
    assert mode("postgresql://127.0.0.1:5433/d") == mode("postgresql://h/d?sslmode=prefer") == "disable"


@pytest.mark.server
@pytest.mark.parametrize(
    ("state", "said"),
    [(1, ""), (0, "Resolved. "), (-1, "Retracted: late data or another policy changed what it rested on. It said: "),
     (-2, "Replaced by another incident. It said: ")],
)  # fmt: skip
def test_annotations_say_how_an_incident_ended(tmp_path: Path, state: int, said: str) -> None:
    """Prometheus renders by the same engine as Grafana, but knows no ``.Values``; its ``.Value`` stands in."""
    rule = next(r for r in provisioned_rules() if r["uid"] == "incident-critical")
    taken = {"summary": rule["annotations"]["summary"], "run": rule["annotations"]["dagster_run"]}
    annotations = {k: v.replace(".Values.A", ".").replace("${DAGSTER_URL}", "http://d") for k, v in taken.items()}
    alert = {"alert": "a", "expr": "state > -9", "annotations": annotations}
    YAML().dump({"groups": [{"name": "g", "rules": [alert]}]}, tmp_path / "rules.yml")
    labels = {"monitor": "churn", "sentence": "age {{ moved }} much", "run_id": "r/1"}
    series = "state{" + ",".join(f'{k}="{v}"' for k, v in labels.items()) + "}"
    rendered = {"summary": f"churn: {said}age {{{{ moved }}}} much", "run": "http://d/runs/r%2F1"}
    expected = {"eval_time": "0m", "alertname": "a",
                "exp_alerts": [{"exp_labels": labels, "exp_annotations": rendered}]}  # fmt: skip
    tests = [
        {"interval": "1m", "input_series": [{"series": series, "values": str(state)}], "alert_rule_test": [expected]}
    ]
    YAML().dump({"rule_files": ["rules.yml"], "tests": tests}, tmp_path / "test.yml")
    command = ["promtool", "test", "rules", "test.yml"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.server
@pytest.mark.parametrize(
    ("template", "shown"),
    [("monitoring.title", "[critical]"), ("monitoring.message", "What to do: docs/alerts.md")],
)
def test_templates_render(tmp_path: Path, template: str, shown: str) -> None:
    """Alertmanager's tool knows the same data as Grafana's templates."""
    [one] = load(ALERTING / "templates.yaml")["templates"]
    (tmp_path / "t.tmpl").write_text(one["template"])
    common = {"severity": "critical", "alertname": "Critical incident", "monitor": "churn"}
    alert = {"status": "firing", "labels": common, "annotations": {"summary": "s", "runbook": "docs/alerts.md#x"}}
    (tmp_path / "data.json").write_text(
        json.dumps({"receiver": "page", "status": "firing", "alerts": [alert], "commonLabels": common})
    )
    done = subprocess.run(
        ["amtool", "template", "render", f"--template.glob={tmp_path}/*.tmpl", f"--template.data={tmp_path}/data.json",
         "--template.text", '{{ template "' + template + '" . }}'],
        capture_output=True, text=True, timeout=30,
    )  # fmt: skip
    assert done.returncode == 0 and shown in done.stdout, done.stdout + done.stderr
