"""Incidents: a fold over all alarms of a monitor, compared with what is stored. Every step is a revision."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial

from sqlalchemy import Connection

from monitoring_pipeline.alerting.incidents.alarm import Alarm, Group, Replacement
from monitoring_pipeline.alerting.incidents.grouping import GAP, closed_by, grouped, without_known_columns
from monitoring_pipeline.alerting.incidents.kinds import ARTIFACT, change_of
from monitoring_pipeline.alerting.incidents.lasting import Seen, lasting
from monitoring_pipeline.alerting.incidents.ranking import rank_of, relative_loss
from monitoring_pipeline.alerting.incidents.sentence import NAMED, Described, Harm, sentence, strongest
from monitoring_pipeline.alerting.incidents.severity import severity_of, worst_kind
from monitoring_pipeline.errors import WindowError
from monitoring_pipeline.metrics.performance.headline import HEADLINE
from monitoring_pipeline.monitors import Monitor, Window
from monitoring_pipeline.stages.alarm_rows import alarms_of
from monitoring_pipeline.stages.context import Facts, StageContext, WindowOutcome
from monitoring_pipeline.stages.describing import Correlations, Namer, correlations, describe, nameless
from monitoring_pipeline.stages.drift_batches import number_of, start_of
from monitoring_pipeline.stages.each_window import Computed, Wrote, each_window, read_ahead
from monitoring_pipeline.stages.inputs import Inputs
from monitoring_pipeline.stages.new_categories import NewCategories
from monitoring_pipeline.warehouse import incident_store, ledger, profile_store, promotions
from monitoring_pipeline.warehouse.incident_store import Incident
from monitoring_pipeline.windows import LENGTH

KEPT_ALARMS = 50  # columns whose alarms are kept as evidence
WINDOWS_A_READ = 64


@dataclass(frozen=True)
class Folded:
    """What the fold did. ``open_ids`` are open now; the others changed in this run."""

    open_ids: tuple[str, ...]
    opened: int
    changed: int
    retracted: int


def update(stages: StageContext, windows: Sequence[Window]) -> list[WindowOutcome]:
    """Folds the alarms of all windows into incidents, and notes for these windows that it was done."""
    folded: list[Folded] = []
    name = stages.monitor.name
    states_of = read_ahead(
        windows, lambda some: stages.warehouse.run(lambda conn: ledger.stage_states(conn, name, some)), WINDOWS_A_READ
    )

    def compute(window: Window) -> Computed[Folded]:
        judged = states_of(window).get((window.start, "verdicts"))
        if judged is None or judged.completed_at is None:
            raise WindowError(f"{window} is not judged yet; materialize its verdicts first")
        if not folded:
            folded.append(fold(stages))
        inputs: Inputs = {"stage:verdicts": judged.output_version}
        return Computed(folded[0], stages.provenance(judged.data_version or "none"), inputs)

    def write(conn: Connection, some: Sequence[tuple[Window, Computed[Folded]]]) -> list[Wrote]:
        return [Wrote(None, _facts(one.value)) for _, one in some]

    return each_window(stages, "incidents", windows, compute, write)


def _facts(done: Folded) -> Facts:
    return {"open": len(done.open_ids), "opened": done.opened, "changed": done.changed, "retracted": done.retracted}


def fold(stages: StageContext) -> Folded:
    """All incidents of the monitor from the alarms that stand, in one transaction. Equal incidents are not touched."""
    return stages.warehouse.run(lambda conn: _fold(conn, stages), can_be_recomputed=True)


def incidents_of(
    conn: Connection, monitor: Monitor, alarms: Sequence[Alarm], namer: Namer = nameless, *, stored: bool = True
) -> list[Incident]:
    """The incidents that these alarms make, in the order they begin. ``namer``: see ``describe``. ``stored``: the
    alarms are those of the stored verdicts, which say what lasts.
    """
    span = incident_store.judged_span(conn, monitor.name)
    if span is None:
        return []
    first, last = (number_of(start, monitor.window) for start in span)
    references = profile_store.load_reference_rows(conn, monitor.name) if alarms else []
    known = correlations(conn, monitor, [profile for profile, _ in references])
    importance = incident_store.importance(conn, monitor.name) | dict(monitor.alarms.importance)
    replaced = replacements(conn, monitor)
    groups = grouped(without_known_columns(alarms, first), known.of_alarm, replaced)
    told = [alarm for group in groups for alarm in strongest(group)[:NAMED]]
    described = describe(conn, monitor, told, references, namer)
    spans = {id(group): _span(monitor, group) for group in groups}
    harm = incident_store.harm(conn, monitor.name, HEADLINE[monitor.task], spans.values())
    seen = _seen_after(conn, monitor, groups) if stored else []
    told_by = Telling(monitor, (first, last), described, known, importance, replaced, harm, seen)
    return [_incident(told_by, group, spans[id(group)]) for group in groups]


def of_alarms(known: Mapping[str, Incident]) -> dict[str, Incident]:
    """Those that alarms make; an artifact's is not known from windows (see ``artifact_incidents``)."""
    return {key: one for key, one in known.items() if one.change != ARTIFACT.name}


def replacements(conn: Connection, monitor: Monitor) -> list[Replacement]:
    """Which model versions took the place of others, and from which window on, in the order they did."""
    length = LENGTH[monitor.window]
    return [
        Replacement(number_of(at + length - timedelta(microseconds=1), monitor.window), at, previous, version)
        for previous, version, at in promotions.replacements(conn, monitor.name)
    ]


def _fold(conn: Connection, stages: StageContext) -> Folded:
    monitor = stages.monitor
    ledger.lock_verdicts(conn, monitor.name)
    incident_store.declare_importance(conn, monitor.name, monitor.alarms.importance)
    was = of_alarms(incident_store.current(conn, monitor.name))
    names = NewCategories(stages, was.values())
    allowed = monitor.parity.allowed if monitor.parity else None
    alarms = alarms_of(monitor, incident_store.alarm_rows(conn, monitor.name, allowed))
    made = incidents_of(conn, monitor, alarms, partial(names.of, conn))
    kept = [one for one in was.values() if _rests_on_deleted(monitor, one)]
    now = {one.incident_id: one for one in made if not any(one.continues(other) for other in kept)}
    now |= {one.incident_id: one for one in kept}
    lost = [one for key, one in was.items() if key not in now and one.state != "retracted"]
    revised = [
        replace(one, reason=_reason(was.get(key), one, next((old for old in lost if old.continues(one)), None)))
        for key, one in now.items()
        if _differs(was.get(key), one)
    ]
    renamed = [one for one in lost if any(one.continues(other) for other in now.values())]
    retracted = [_retracted(one) for one in lost if one not in renamed]
    incident_store.revise(
        conn, monitor.name, stages.run_id, [one.incident_id for one in renamed], [*revised, *retracted]
    )
    return Folded(
        tuple(key for key, one in now.items() if one.state == "open"),
        sum(one.incident_id not in was for one in revised),
        sum(one.incident_id in was for one in revised),
        len(retracted),
    )


@dataclass(frozen=True)
class Telling:
    """What incidents are told by: numbers of the first and last judged window (``span``), numbers behind alarms,
    columns that move together, importance of columns, model versions that were replaced, the headline metric in the
    incidents' windows, and what was seen of columns in the windows after them."""

    monitor: Monitor
    span: tuple[int, int]
    described: Mapping[Alarm, Described]
    known: Correlations
    importance: Mapping[str, float]
    replaced: Sequence[Replacement]
    harm: Mapping[tuple[incident_store.Span, str], incident_store.Values]
    seen: Collection[Seen]


def _span(monitor: Monitor, group: Group) -> incident_store.Span:
    return start_of(group.first, monitor.window), start_of(group.last, monitor.window)


def _seen_after(conn: Connection, monitor: Monitor, groups: Sequence[Group]) -> list[Seen]:
    """Columns without an alarm in the windows that end incidents of drift."""
    ended = [group.last for group in groups if any(alarm.kind == "drift" for alarm in group.alarms)]
    after = sorted({last + i for last in ended for i in range(1, GAP + 1)})
    rows = incident_store.quiet_columns(conn, monitor.name, [start_of(number, monitor.window) for number in after])
    return [
        Seen(number_of(r.window_start, monitor.window), r.model_version, r.segment, r.column_name,
             r.status == "notice", r.effect or 0.0)
        for r in rows
    ]  # fmt: skip


def _incident(by: Telling, group: Group, span: incident_store.Span) -> Incident:
    monitor, (first, last) = by.monitor, span
    length = LENGTH[monitor.window]
    closed = closed_by(group, by.replaced)
    is_open = by.span[1] < group.last + GAP and closed is None
    quiet = last + length * (GAP + 1) if closed is None else max(closed.at, first + length)
    change = change_of(group, first_judged=by.span[0])
    metric = HEADLINE[monitor.task]
    realized = by.harm.get((span, "realized"))
    known = realized or by.harm.get((span, "estimated"))
    harm = None if known is None else Harm(metric, *known, estimated=realized is None)
    others = by.known.quiet_peers(group)
    left = () if is_open or closed is not None else lasting(strongest(group), group.last, by.seen)
    return Incident(
        incident_id=_id(monitor, group, first),
        kind=worst_kind(group, monitor.alarms.severity),
        severity=severity_of(group, monitor.alarms.severity, by.importance),
        state="open" if is_open else "resolved",
        opened_at=first + length,
        first_window=first,
        last_window=last,
        columns=_ranked(group, by.importance),
        segments=group.segments,
        summary=sentence(
            group, change, first, last, by.described, harm, is_open=is_open, others=others, closed=closed, lasting=left
        ),
        evidence=_evidence(monitor, group, by.described) | _closing(closed) | ({"lasting": list(left)} if left else {}),
        resolved_at=None if is_open else quiet,
        change=change.name,
        actions=change.actions,
        n_windows=group.n_windows,
        rank=rank_of(group, by.importance, None if known is None else relative_loss(metric, *known), monitor.alarms),
    )


def _id(monitor: Monitor, group: Group, first: datetime) -> str:
    """Named after its first window and what was seen in it: equal alarms, equal id."""
    began = sorted({a.subject for a in group.alarms if a.number == group.first})
    digest = hashlib.sha256("\0".join((monitor.name, first.isoformat(), *began)).encode()).hexdigest()[:6]
    return f"{first:%Y-%m-%dT%H}-{digest}" if monitor.window == "hour" else f"{first:%Y-%m-%d}-{digest}"


def _ranked(group: Group, importance: Mapping[str, float]) -> tuple[str, ...]:
    """Columns by importance × effect, the largest first."""
    largest = {alarm.column: abs(alarm.effect) for alarm in reversed(strongest(group))}
    return tuple(sorted(group.columns, key=lambda c: (-importance.get(c, 1.0) * largest.get(c, 0.0), c)))


def _evidence(monitor: Monitor, group: Group, described: Mapping[Alarm, Described]) -> dict[str, object]:
    kept = [
        {
            "kind": a.kind, "column": a.column, "segment": a.segment, "model_version": a.model_version,
            "moved": a.moved, "effect": round(a.effect, 6), "q_value": a.p_value, "cause": a.cause,
            "window": start_of(a.number, monitor.window).isoformat(),
            "unseen": [list(pair) for pair in described.get(a, Described()).unseen],
            "windows": len({other.number for other in group.alarms if other.subject == a.subject}),
        }
        for a in strongest(group)[:KEPT_ALARMS]
    ]  # fmt: skip
    return {"alarms": kept, "model_versions": sorted({a.model_version for a in group.alarms})}


def _closing(closed: Replacement | None) -> dict[str, object]:
    return {} if closed is None else {"closed_by": closed.said}


def _rests_on_deleted(monitor: Monitor, one: Incident) -> bool:
    """Whether retention has deleted verdicts it rests on: it then stands as it is."""
    kept = [d for d in (monitor.retention.verdicts, monitor.retention.measurements) if d is not None]
    return bool(kept) and one.first_window <= datetime.now(UTC) - min(kept)


def _differs(was: Incident | None, now: Incident) -> bool:
    return was is None or replace(was, reason="") != now


def _retracted(one: Incident) -> Incident:
    why = "retracted: late rows or labels, or another policy, changed the verdicts it rested on"
    return replace(one, state="retracted", resolved_at=max(datetime.now(UTC), one.opened_at), reason=why)


def _reason(was: Incident | None, now: Incident, former: Incident | None = None) -> str:
    """Why ``now`` is written; ``former``: what it was known as until its first window changed."""
    if was is None or was.state == "retracted":
        return "opened" if former is None else f"continues {former.incident_id}, whose first window changed"
    if was.state == "open" and now.state == "resolved":
        lasts = "; the change lasts, but is no longer new" if "lasting" in now.evidence else ""
        return str(now.evidence.get("closed_by", f"resolved after {GAP} quiet windows{lasts}"))
    steps = []
    if was.state == "resolved" and now.state == "open":
        steps.append("open again")
    if was.last_window != now.last_window:
        steps.append(f"last window is now {now.last_window:%Y-%m-%d %H:%M}")
    if new := [c for c in now.columns if c not in was.columns]:
        steps.append(f"also in {', '.join(new[:5])}")
    if gone := [c for c in was.columns if c not in now.columns]:
        steps.append(f"no longer in {', '.join(gone[:5])}")
    if was.severity != now.severity:
        steps.append(f"{now.severity} instead of {was.severity}")
    return "amended: " + ("; ".join(steps) or "its numbers changed")
