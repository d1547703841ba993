"""The version of the policy that verdicts are judged by."""

from __future__ import annotations

import hashlib
import json

from pydantic import BaseModel

from monitoring_pipeline.monitors.declaration import Monitor

POLICY = 4  # raise it when this package judges the same measurement by the same declaration differently


def policy_version(monitor: Monitor) -> str:
    """12 hex digits over everything a verdict depends on beside its measurement.

    That is ``thresholds``, ``labels``, ``alarms`` and ``protected`` of the declaration with the defaults, which of them
    were declared (a verdict says so), and ``POLICY``.
    """
    content = [POLICY, *map(_content, (monitor.thresholds, monitor.labels, monitor.alarms, *monitor.protected))]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:12]


def _content(declared: BaseModel) -> list[object]:
    return [declared.model_dump(mode="json"), sorted(declared.model_fields_set)]
