"""The facts that a retrain policy decides on, read with a handful of statements."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection

from monitoring_pipeline.lake.known_rows import KnownAt, labelled_counts
from monitoring_pipeline.metrics.performance.direction import higher_is_better
from monitoring_pipeline.metrics.performance.headline import HEADLINE
from monitoring_pipeline.monitors import Monitor
from monitoring_pipeline.retraining.policy.facts import (
    ChampionFact,
    Facts,
    IncidentFact,
    LabelledWindow,
    MovedWindow,
    OpenAttempt,
    PastRetraining,
    PerformanceWindow,
)
from monitoring_pipeline.retraining.policy.rows import shadow_first
from monitoring_pipeline.settings import Settings
from monitoring_pipeline.warehouse import ledger
from monitoring_pipeline.warehouse import retrain_facts as rows
from monitoring_pipeline.windows import LENGTH, Window

ALL = 2**31 - 1
LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Moment:
    """``until``: end of the newest window that counts. ``now``: the policy's clock. ``replayed``: now is in the past,
    and labels that arrived since do not exist."""

    until: datetime
    now: datetime
    replayed: bool = False


def read_facts(conn: Connection, monitor: Monitor, settings: Settings, at: Moment) -> Facts:
    """Everything that the monitor's policy may look at, as known at that moment."""
    of = monitor.retrain.guards.persistence.of
    # The newest mature windows may lie as far back as the last label is waited for.
    back = monitor.labels.max_delay + (of + 1) * LENGTH[monitor.window]
    return _facts(conn, monitor, settings, at, of, at.until - back)


def history_facts(
    conn: Connection, monitor: Monitor, settings: Settings, at: Moment, began_with: str | None = None
) -> Facts:
    """The same with all windows instead of those that a decision needs.

    ``began_with``: the champion at the beginning, of a monitor whose champion changed; each window then counts with
    whatever version served it.
    """
    return _facts(conn, monitor, settings, at, ALL, LONG_AGO, began_with)


def _facts(
    conn: Connection, monitor: Monitor, settings: Settings, at: Moment, most: int, first: datetime,
    began_with: str | None = None,
) -> Facts:  # fmt: skip
    """``most`` judged windows, performance of windows from ``first`` on."""
    name = monitor.name
    champion = _champion(conn, monitor, began_with)
    version = champion.model_version if champion and began_with is None else None
    windows = [Window(*row) for row in rows.newest_judged(conn, name, at.until, most)]
    labels = labelled_windows(conn, monitor, settings, at)
    done = rows.retrainings(conn, name)
    return Facts(
        first_window=rows.first_judged(conn, name),
        windows=_moved(conn, name, windows, version),
        incidents=_incidents(conn, name, at.until),
        performance=_performance(conn, monitor, version, labels, at, first),
        labels=labels,
        champion=champion,
        n_reference=rows.reference_rows(conn, name, monitor.reference.model_version)
        if monitor.reference.outcome
        else 0,
        retrainings=tuple(PastRetraining(r.decision_id, r.as_of, r.trigger, r.outcome, r.minutes) for r in done),
        attempt=_attempt(done),
        used=frozenset(key for r in done for key in r.evidence.get("keys", ())),
    )


def labelled_windows(
    conn: Connection, monitor: Monitor, settings: Settings, at: Moment
) -> tuple[LabelledWindow, ...]:  # fmt: skip
    """Labelled rows of every window, and whether more are waited for: at the moment, if that is in the past."""
    counted = rows.label_counts(conn, monitor.name, at.until)
    young = [Window(r.window_start, r.window_end) for r in counted if r.window_end + monitor.labels.max_delay > at.now]
    known = _known_then(conn, monitor, settings, young, at.now) if at.replayed and young else None
    return tuple(_labelled(monitor, r, known, at.now) for r in counted)


def _known_then(
    conn: Connection, monitor: Monitor, settings: Settings, windows: Sequence[Window], now: datetime
) -> dict[datetime, int]:  # fmt: skip
    """Labels of these windows that had arrived by ``now``, from the lake."""
    taken = ledger.ingested(conn, monitor.name, windows)
    files = ledger.label_files(conn, monitor.name, windows)
    return labelled_counts(KnownAt(monitor, tuple(taken.values()), files, now), settings)


def _labelled(
    monitor: Monitor, row: Any, known: Mapping[datetime, int] | None, now: datetime
) -> LabelledWindow:  # fmt: skip
    aged = row.window_end + monitor.labels.max_delay <= now
    n = row.n_labelled if aged or known is None else known.get(row.window_start, 0)
    covered = row.n_rows > 0 and n >= monitor.labels.coverage * row.n_rows
    return LabelledWindow(Window(row.window_start, row.window_end), n, aged or covered)


def _moved(
    conn: Connection, monitor: str, windows: Sequence[Window], version: str | None
) -> tuple[MovedWindow, ...]:  # fmt: skip
    starts = [one.start for one in windows]
    found = {(r.window_start, r.status): r.columns for r in rows.moved_columns(conn, monitor, starts, version)}
    return tuple(
        MovedWindow(w, *(frozenset(found.get((w.start, status), ())) for status in ("alarm", "notice")))
        for w in windows
    )


def _incidents(conn: Connection, monitor: str, until: datetime) -> tuple[IncidentFact, ...]:
    return tuple(
        IncidentFact(r.incident_id, r.revision_id, r.kind, r.severity, r.is_open, r.change, tuple(r.columns),
                     r.first_window, r.last_window)
        for r in rows.incidents(conn, monitor, until)
    )  # fmt: skip


def _performance(
    conn: Connection,
    monitor: Monitor,
    version: str | None,
    labels: Sequence[LabelledWindow],
    at: Moment,
    first: datetime,
) -> tuple[PerformanceWindow, ...]:
    metric = HEADLINE[monitor.task]
    found = rows.performance(conn, monitor.name, metric, version, first, at.until)
    mature = {one.window.start for one in labels if one.mature}
    return tuple(
        PerformanceWindow(Window(r.window_start, r.window_end), r.kind, metric, r.degraded,
                          r.window_start in mature and (at.replayed or r.mature), r.value, _beyond(metric, r))
        for r in found
    )  # fmt: skip


def _beyond(metric: str, row: Any) -> float | None:
    if row.value is None or row.threshold is None:
        return None
    better = higher_is_better(metric)
    return None if better is None else (row.threshold - row.value if better else row.value - row.threshold)


def _champion(conn: Connection, monitor: Monitor, version: str | None = None) -> ChampionFact | None:
    row = rows.champion(conn, monitor.name, version)
    if row is None:
        return None
    policy, counts_from = monitor.retrain, row.cut
    if row.cut and row.labels_known_at is None and not shadow_first(policy, "new_labels"):
        # Registered by hand: what follows its rows would only be compared on, and not be learnt from.
        counts_from = row.cut + policy.promote.compare_on
    return ChampionFact(row.model_version, row.cut, row.n_rows or row.n_reference, row.continues_at, counts_from)


def _attempt(done: Sequence[Any]) -> OpenAttempt | None:
    """The oldest retraining that has not ended."""
    for r in done:
        if r.outcome is None:
            return OpenAttempt(r.decision_id, r.state or "decided", r.as_of)
    return None
