"""The rules: title, severity, what people read, where they can click.

Templates use ``.Labels`` and ``.Values`` rather than ``$labels``: older Grafanas take every ``$name`` in a provisioned
file for a variable of the environment.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from grafana.alerts import queries

DATA_SOURCE = "monitoring-postgres"
FOLDER = "Model monitoring"
INTERVAL = "1m"
DAGSTER = "${DAGSTER_URL}"
HOW_IT_ENDED = (
    "{{ with .Values.A }}{{ if eq .Value 0.0 }}Resolved. {{ else if eq .Value -1.0 }}Retracted: late data or another"
    " policy changed what it rested on. It said: {{ else if eq .Value -2.0 }}Replaced by another incident. It said:"
    " {{ end }}{{ end }}"
)
LATELY = "from=now-90d&to=now"


@dataclass(frozen=True)
class Rule:
    """``uid`` at most 40 characters. ``lasting``: how long it must hold before anybody is told."""

    uid: str
    title: str
    severity: str
    query: str
    meaning: str
    lasting: str = "0s"
    is_incident: bool = False
    has_run: bool = False

    @property
    def anchor(self) -> str:
        """Of its section in docs/alerts.md."""
        return "grafana-" + self.title.lower().replace(" ", "-")


INCIDENT_RULES = tuple(
    Rule(
        uid=f"incident-{severity}",
        title=title,
        severity=severity,
        query=queries.INCIDENTS.replace("{severity}", severity),
        meaning=meaning,
        is_incident=True,
        has_run=True,
    )
    for severity, title, meaning in (
        ("critical", "Critical incident", "A model does worse than allowed, or its rows stopped coming."),
        ("warning", "Incident", "Columns drifted, labels stay away, or the contract is broken."),
        ("info", "Minor incident", "Columns of little importance drifted."),
    )
)
RESULT_RULES = (
    Rule("performance-degraded", "Performance degraded", "critical", queries.PERFORMANCE,
         "The newest mature window is worse than allowed, and no open incident says so.", "5m", has_run=True),
    Rule("labels-late", "Labels are late", "warning", queries.LATE_LABELS,
         "All outcomes of the window are due, and too few came.", "15m"),
    Rule("volume-unusual", "Unusual number of rows", "warning", queries.VOLUME,
         "The newest window holds more or fewer rows than earlier weeks led to expect.", "5m", has_run=True),
)  # fmt: skip
PIPELINE_RULES = (
    Rule("results-late", "Results are late", "warning", queries.FRESHNESS,
         "At least one whole window is overdue: its rows have not come, or the pipeline has not run.", "30m"),
    Rule("windows-failed", "Windows failed", "warning", queries.FAILED_WINDOWS,
         "Their results are missing or old.", "15m", has_run=True),
    Rule("budget-overspent", "More incidents than chance explains", "info", queries.BUDGET,
         "Either the world changes, or windows vary more than the reference showed.", "15m"),
)  # fmt: skip
GROUPS = (("incidents", INCIDENT_RULES), ("results", RESULT_RULES), ("pipeline", PIPELINE_RULES))


def provisioned() -> dict[str, Any]:
    """The whole file, as Grafana's documentation of file provisioning describes it."""
    return {
        "apiVersion": 1,
        "groups": [
            {"orgId": 1, "name": name, "folder": FOLDER, "interval": INTERVAL, "rules": [_rule(one) for one in rules]}
            for name, rules in GROUPS
        ],
    }


def _rule(rule: Rule) -> dict[str, Any]:
    return {
        "uid": rule.uid,
        "title": rule.title,
        "condition": "B",
        "data": [_query(rule.query), _above_zero()],
        "noDataState": "OK",  # no row: nothing is wrong
        "execErrState": "Error",
        "for": rule.lasting,
        "missing_series_evals_to_resolve": 1,  # a sentence that was replaced goes at once; older Grafanas take two
        "annotations": _annotations(rule),
        "labels": {"severity": rule.severity, "source": "incident" if rule.is_incident else "condition"},
        "isPaused": False,
    }


def _query(sql: str) -> dict[str, Any]:
    source = {"type": "grafana-postgresql-datasource", "uid": DATA_SOURCE}
    model = {"refId": "A", "datasource": source, "editorMode": "code", "format": "table", "rawQuery": True,
             "rawSql": sql.strip() + "\n", "intervalMs": 1000, "maxDataPoints": 43200}  # fmt: skip
    return {"refId": "A", "datasourceUid": DATA_SOURCE, "relativeTimeRange": {"from": 600, "to": 0}, "model": model}


def _above_zero() -> dict[str, Any]:
    model = {"refId": "B", "type": "threshold", "datasource": {"type": "__expr__", "uid": "__expr__"},
             "expression": "A", "conditions": [{"evaluator": {"type": "gt", "params": [0]}}],
             "intervalMs": 1000, "maxDataPoints": 43200}  # fmt: skip
    return {"refId": "B", "datasourceUid": "__expr__", "relativeTimeRange": {"from": 0, "to": 0}, "model": model}


def _annotations(rule: Rule) -> dict[str, str]:
    """What is said, and where to click: the model, the incident, the run."""
    monitor = "var-monitor={{ urlquery .Labels.monitor }}"
    span = "{{ .Labels.time_range }}" if rule.is_incident else LATELY
    links = {"dashboard": f"{{{{ externalURL }}}}d/mm-model?{monitor}&{span}"}
    if rule.is_incident:
        links["incident"] = (
            f"{{{{ externalURL }}}}d/mm-incident?{monitor}&var-incident={{{{ urlquery .Labels.incident_id }}}}&{span}"
        )
    if rule.has_run:
        links["dagster_run"] = (
            f"{{{{ if .Labels.run_id }}}}{DAGSTER}/runs/{{{{ urlquery .Labels.run_id }}}}{{{{ end }}}}"
        )
    return {
        "summary": "{{ .Labels.monitor }}: " + (HOW_IT_ENDED if rule.is_incident else "") + "{{ .Labels.sentence }}",
        "description": rule.meaning,
        "runbook": f"docs/alerts.md#{rule.anchor}",
        **links,
    }
