"""The training set: labelled rows that a challenger may see, and none that it may not.

Nothing of it was unknown at the cut: events before it, labels that had arrived before it, corrections of labels only if
they had arrived too. Windows are taken whole and mature: the labels that arrive first are not like the rest (short
flights land early). Every fifth day is held out and becomes the reference of the new version; the newest windows are
left for the comparison with the champion.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time

import pandas as pd
from sqlalchemy import Connection

from monitoring_pipeline.alerting.maturity import is_mature
from monitoring_pipeline.errors import RetrainError
from monitoring_pipeline.lake.known_rows import KnownAt, known_reference_rows, known_rows, labelled_counts
from monitoring_pipeline.monitors.declaration import Monitor
from monitoring_pipeline.monitors.retraining import RetrainPolicy
from monitoring_pipeline.records import IngestedWindow
from monitoring_pipeline.retraining.context import Attempt, RetrainContext
from monitoring_pipeline.retraining.contract import TrainingSet
from monitoring_pipeline.retraining.held_out import held_out_days
from monitoring_pipeline.retraining.policy.rows import training_window
from monitoring_pipeline.retraining.rows import as_training_set, frame_of, together
from monitoring_pipeline.warehouse import ledger, training_store


@dataclass(frozen=True)
class TrainingRows:
    """``fitted``: rows to fit on, ``held_out``: rows of the held-out days, both frames of ``rows.frame_of``.

    ``start``, ``end`` (UTC): the half-open range of event times. ``known_before``: the cut. ``data_version``: 16
    hexadecimal digits over the windows, the label batches and the rows: equal for an equal set.
    """

    monitor: Monitor
    fitted: pd.DataFrame
    held_out: pd.DataFrame
    start: datetime
    end: datetime
    known_before: datetime
    data_version: str

    @property
    def training_set(self) -> TrainingSet:
        """What a trainer sees: the rows to fit on."""
        return as_training_set(self.monitor, self.fitted)


def labelled_rows(ctx: RetrainContext, start: datetime, end: datetime, known_before: datetime) -> pd.DataFrame:
    """Labelled rows of mature windows with start <= event time < end, as they stood at ``known_before`` (aware, UTC).

    Columns as ``rows.frame_of`` says: features, outcome, event_time, label_time, prediction, score, model_version and
    more; ordered by event time and id. From before the monitored days the rows of the declared reference. Empty when
    none was known. Raises SourceError, RetrainError (a file of the lake is gone).
    """
    return _rows(ctx, start, end, known_before)


def mature_windows(ctx: RetrainContext, known_before: datetime) -> list[IngestedWindow]:
    """Windows that had ended, and whose labels were complete enough, at ``known_before``; in order of time."""
    return list(_known(ctx, known_before).windows)


def training_rows(ctx: RetrainContext, attempt: Attempt) -> TrainingRows:
    """The training set of an attempt, as its policy declares the window. Raises RetrainError when no row is in it."""
    monitor, cut = ctx.monitor, attempt.as_of
    known = _known(ctx, cut)
    if not known.windows:
        raise RetrainError(
            f"{monitor.name}: no window is mature at {cut:%Y-%m-%d %H:%M} UTC, so there is nothing to train on; wait"
            " for labels, or lower labels.coverage or labels.max_delay"
        )
    start, end = training_range(monitor.retrain, attempt, known.windows, ctx)
    rows = _rows(ctx, start, end, cut, known)
    if rows.empty:
        since = f"{start:%Y-%m-%d}" if start else "the beginning"
        raise RetrainError(
            f"{monitor.name}: no labelled row of a mature window lies between {since} and {end:%Y-%m-%d}; see"
            " retrain.training.window and promote.compare_on, whose rows are left out"
        )
    first = start or _first(rows["event_time"], known)
    days = held_out_days(first, end)
    out = rows["event_time"].dt.date.isin(days)
    used = [one for one in known.windows if one.window.start < end and one.window.end > first]
    return TrainingRows(
        monitor, rows[~out].reset_index(drop=True), rows[out].reset_index(drop=True), first, end, cut,
        _data_version(used, rows),
    )  # fmt: skip


def training_range(
    policy: RetrainPolicy, attempt: Attempt, windows: Sequence[IngestedWindow], ctx: RetrainContext
) -> tuple[datetime | None, datetime]:
    """[start, end) of event times; start None: from the first row there is. ``windows``: the mature ones, in order."""
    since = _start_of_change(ctx, attempt) if policy.training.window == "since_change" else None
    return training_window(policy, attempt.trigger, windows[-1].window.end, since)


def _start_of_change(ctx: RetrainContext, attempt: Attempt) -> datetime:
    evidence = ctx.warehouse.run(lambda conn: training_store.evidence(conn, attempt.decision_id))
    found = sorted(_first_windows(evidence))
    if not found:
        raise RetrainError(
            f"{ctx.monitor.name}: `training.window: since_change` needs a decision that rests on an incident; decision"
            f" {attempt.decision_id} ({attempt.trigger}) rests on none. Use another window for other triggers"
        )
    return found[0]


def _first_windows(evidence: object) -> list[datetime]:
    """Every ``first_window`` in a decision's evidence, however deep."""
    if isinstance(evidence, dict):
        own = evidence.get("first_window")
        here = [datetime.fromisoformat(own).astimezone(UTC)] if isinstance(own, str) else []
        return here + [moment for value in evidence.values() for moment in _first_windows(value)]
    return [moment for value in evidence for moment in _first_windows(value)] if isinstance(evidence, list) else []


def _known(ctx: RetrainContext, cut: datetime) -> KnownAt:
    """The windows that were mature at the cut, and their label files."""
    monitor = ctx.monitor

    def read(conn: Connection) -> KnownAt:
        taken = [one for one in ledger.ingested(conn, monitor.name).values() if one.window.end <= cut]
        return KnownAt(monitor, tuple(taken), ledger.label_files(conn, monitor.name, [w.window for w in taken]), cut)

    everything = ctx.warehouse.run(read)
    young = [one for one in everything.windows if not everything.is_old(one) and one.n_rows]
    counts = labelled_counts(everything.of(young), ctx.settings) if young else {}

    def mature(one: IngestedWindow) -> bool:
        coverage = counts.get(one.window.start, 0) / one.n_rows if one.n_rows else None
        return is_mature(monitor.labels, one.window, coverage, cut)

    return everything.of([one for one in everything.windows if mature(one)])


def _rows(
    ctx: RetrainContext, start: datetime | None, end: datetime, cut: datetime, known: KnownAt | None = None
) -> pd.DataFrame:
    monitor = ctx.monitor
    known = known or _known(ctx, cut)
    first_day = _midnight(monitor.start)
    inside = [w for w in known.windows if w.window.end > (start or w.window.start) and w.window.start < end]
    before = None
    if start is None or start < first_day:
        before = known_reference_rows(monitor, start, min(end, first_day), cut, ctx.settings)
    log = known_rows(known.of(inside), start or first_day, min(end, cut), ctx.settings) if inside else None
    tables = [table for table in (before, log) if table is not None]
    return together([frame_of(monitor, table) for table in tables]) if tables else pd.DataFrame(columns=["event_time"])


def _first(event_time: pd.Series, known: KnownAt) -> datetime:
    """Of an open start: the day of the first event, of those that have a time."""
    earliest = event_time.min()
    return known.windows[0].window.start if pd.isna(earliest) else earliest.floor("D").to_pydatetime()


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


def _data_version(windows: Sequence[IngestedWindow], rows: pd.DataFrame) -> str:
    read = json.dumps([[one.window.start.isoformat(), one.data_version] for one in windows])
    digest = hashlib.sha256(read.encode())
    digest.update(json.dumps(list(rows.columns)).encode())
    digest.update(pd.util.hash_pandas_object(rows, index=False).to_numpy().tobytes())
    return digest.hexdigest()[:16]
