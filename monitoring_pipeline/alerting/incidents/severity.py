"""How bad an incident is."""

from __future__ import annotations

from collections.abc import Mapping

from monitoring_pipeline.alerting.incidents.alarm import ESTIMATED, Group, Kind
from monitoring_pipeline.monitors.alarms import Severities, Severity

ORDER: tuple[Severity, ...] = ("info", "warning", "critical")


def worst_kind(group: Group, declared: Severities) -> Kind:
    """The kind of the most severe alarms; of equally severe ones the last in the alphabet, so that it is always one."""
    return max((a.kind for a in group.alarms), key=lambda kind: (ORDER.index(getattr(declared, kind)), kind))


def severity_of(group: Group, declared: Severities, importance: Mapping[str, float]) -> Severity:
    """The worst of its alarms by the declared rules.

    ``importance``: of columns, in [0, 1]; drift of columns below ``declared.important`` is worth ``info``, and a column
    that is not in it counts as important.
    """
    worst: Severity = "info"
    for alarm in group.alarms:
        severity: Severity = getattr(declared, alarm.kind)
        if alarm.kind == "drift" and importance.get(alarm.column, 1.0) < declared.important:
            severity = "info"
        if alarm.cause in ("harder mix", ESTIMATED) and severity == "critical":
            severity = "warning"
        worst = max(worst, severity, key=ORDER.index)
    return worst
