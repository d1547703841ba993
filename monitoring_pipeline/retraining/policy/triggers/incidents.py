"""Retraining on incidents: drift of chosen columns, and a changed concept."""

from __future__ import annotations

from collections.abc import Collection

from monitoring_pipeline.monitors.retraining import ConceptTrigger, DriftTrigger, Persistence, Severity
from monitoring_pipeline.retraining.policy.decision import Signal
from monitoring_pipeline.retraining.policy.facts import Facts, IncidentFact, MovedWindow
from monitoring_pipeline.retraining.policy.triggers.persistence import said, showing

DRIFT, CONCEPT = "drift", "concept"
SEVERITIES = ("info", "warning", "critical")
CONCEPT_CHANGE = "concept drift"
NOT_TO_LEARN = frozenset({"outage", "data fault"})
"""Changes that are mended where the data is made; who trains on them teaches the model the fault."""


def drift(declared: DriftTrigger, facts: Facts, persistence: Persistence, seasonal: bool) -> Signal:
    """Open incidents of the declared kinds, columns and severity. ``seasonal``: what a season explains counts too."""
    of_kind = [one for one in _open(facts, declared.severity) if one.kind in declared.kinds]
    wanted = [one for one in of_kind if not declared.columns or set(one.columns) & set(declared.columns)]
    # A fault in the data raises drift; only who names the kind of a fault wants it to retrain.
    named = set(declared.kinds) - {"drift"}
    counted = [one for one in wanted if one.change not in NOT_TO_LEARN or one.kind in named]
    found = _finding(DRIFT, counted, declared.columns, facts, persistence)
    if found.fired:
        return found
    if seasonal and (season := _season(declared.columns, facts, persistence)).fired:
        return season
    return Signal(DRIFT, False, found.sentence + _left_out(wanted, counted, declared.columns, facts, seasonal))


def concept(declared: ConceptTrigger, facts: Facts, persistence: Persistence) -> Signal:
    """Open incidents of performance whose likely cause is that the same inputs lead to other outcomes."""
    counted = [
        one for one in _open(facts, declared.severity) if one.kind == "performance" and one.change == CONCEPT_CHANGE
    ]
    return _finding(CONCEPT, counted, (), facts, persistence)


def newest_change(facts: Facts) -> Signal | None:
    """The open incident of performance, else of drift, that began last and can be learnt; None when there is none."""
    found = [o for o in _open(facts, "info") if o.kind in ("drift", "performance") and o.change not in NOT_TO_LEARN]
    newest = max(found, key=lambda one: (one.kind == "performance", one.first, one.incident_id), default=None)
    return None if newest is None else Signal(newest.kind, True, _named(newest), (), newest.first)


def _open(facts: Facts, severity: Severity) -> list[IncidentFact]:
    least = SEVERITIES.index(severity)
    return [one for one in facts.incidents if one.is_open and SEVERITIES.index(one.severity) >= least]


def _finding(
    name: str, incidents: list[IncidentFact], columns: Collection[str], facts: Facts, persistence: Persistence
) -> Signal:
    if not incidents:
        about = f" about {', '.join(columns)}" if columns else ""
        return Signal(name, False, f"no open incident of {name}{about}")
    shown = showing(facts.windows, lambda w: bool(_seen(w, incidents, columns, facts)), persistence)
    count = said(shown, persistence, "judged window")
    if len(shown) < persistence.windows:
        new = " that no retraining followed yet" if facts.used else ""
        return Signal(name, False, f"{'; '.join(map(_named, incidents))}: seen in {count}{new}")
    rows = {_key(one, w): one for w in shown for one in _seen(w, incidents, columns, facts)}
    found = sorted(set(rows.values()), key=incidents.index)
    sentence = f"{'; '.join(map(_named, found))}: seen in {count}"
    return Signal(name, True, sentence, tuple(sorted(rows)), min(one.first for one in found))


def _seen(
    window: MovedWindow, incidents: list[IncidentFact], columns: Collection[str], facts: Facts
) -> list[IncidentFact]:
    """The incidents that the window shows, and on which in this window no retraining has rested."""
    return [
        one
        for one in incidents
        if one.first <= window.window.start <= one.last
        and (one.kind != "drift" or window.alarms & set(columns or one.columns))
        and _key(one, window) not in facts.used
    ]


def _key(one: IncidentFact, window: MovedWindow) -> str:
    return f"incident:{one.incident_id}@{window.window.start.isoformat()}"


def _named(one: IncidentFact) -> str:
    columns = ", ".join(one.columns[:3]) + (" …" if len(one.columns) > 3 else "")
    about = f" of {columns}" if columns else ""
    return f"{one.severity} incident {one.incident_id} ({one.change or one.kind}{about}, since {one.first:%Y-%m-%d})"


def _season(columns: Collection[str], facts: Facts, persistence: Persistence) -> Signal:
    def keys(w: MovedWindow) -> list[str]:
        seen = sorted(w.notices & set(columns) if columns else w.notices)
        made = (f"notice:{column}@{w.window.start.isoformat()}" for column in seen)
        return [key for key in made if key not in facts.used]

    shown = showing(facts.windows, lambda w: bool(keys(w)), persistence)
    rows = tuple(key for w in shown for key in keys(w))
    moved = sorted({column for w in shown for column in w.notices if not columns or column in columns})
    sentence = f"season moved {', '.join(moved[:3])} in {said(shown, persistence, 'judged window')}"
    since = min((w.window.start for w in shown), default=None)
    return Signal(DRIFT, len(shown) >= persistence.windows, sentence, rows, since)


def _left_out(
    wanted: list[IncidentFact], counted: list[IncidentFact], columns: Collection[str], facts: Facts, seasonal: bool
) -> str:
    """Why something that moved does not count."""
    faults = [one for one in wanted if one not in counted]
    if faults:
        return f"; {_named(faults[0])} is to be mended in the data, not learnt"
    newest = facts.windows[-1].notices if facts.windows else frozenset()
    moved = sorted(newest & set(columns) if columns else newest)
    if moved and not seasonal:
        return f"; {', '.join(moved[:3])} moved as earlier weeks led to expect (`guards.seasonal` is false)"
    return ""
