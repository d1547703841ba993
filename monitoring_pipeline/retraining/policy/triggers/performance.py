"""Retraining on performance: measured where labels are mature, or estimated without them."""

from __future__ import annotations

from monitoring_pipeline.monitors.retraining import PerformanceTrigger, Persistence
from monitoring_pipeline.retraining.policy.decision import Signal
from monitoring_pipeline.retraining.policy.facts import Facts, PerformanceWindow
from monitoring_pipeline.retraining.policy.triggers.persistence import said, showing

NAME = "performance"


def performance(declared: PerformanceTrigger, facts: Facts, persistence: Persistence) -> Signal:
    """Degraded in k of the last m windows: mature ones when measured, by the margin when estimated."""
    measured = declared.kind == "realized"
    windows = [one for one in facts.performance if one.kind == declared.kind and (one.mature or not measured)]
    what = "mature window" if measured else "estimated window"
    if not windows:
        return Signal(NAME, False, f"no {what} is judged for performance yet")
    shown = showing(windows, lambda one: _beyond(declared, one) and _key(one) not in facts.used, persistence)
    count = said(shown, persistence, what)
    if len(shown) < persistence.windows:
        new = " and no retraining followed yet" if facts.used else ""
        return Signal(NAME, False, f"performance is degraded in {count}{new}")
    worst = max(shown, key=lambda one: one.beyond or 0.0)
    sentence = f"performance is degraded in {count}{_value(worst)}"
    return Signal(NAME, True, sentence, tuple(map(_key, shown)), min(one.window.start for one in shown))


def _beyond(declared: PerformanceTrigger, one: PerformanceWindow) -> bool:
    if declared.kind == "realized" or declared.margin == 0:
        return one.degraded
    return one.beyond is not None and one.beyond > declared.margin


def _value(one: PerformanceWindow) -> str:
    return "" if one.value is None else f" ({one.metric} {one.value:.4g} on {one.window.start:%Y-%m-%d})"


def _key(one: PerformanceWindow) -> str:
    return f"performance:{one.kind}@{one.window.start.isoformat()}"
