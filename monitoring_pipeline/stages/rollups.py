"""Rollups: weeks, months, quarters and trailing rows, measured and judged like windows, from stored profiles.

A fold over all windows of the monitor: every rollup whose windows, labels, references or policy are not those it was
made from is made again, so that late rows and labels refresh it and no order of runs changes it. Rollups open no
incidents: they would repeat what their windows have told.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from sqlalchemy import Connection

from monitoring_pipeline import __version__
from monitoring_pipeline.alerting import judge_drift, judge_performance, judge_quality, policy_version
from monitoring_pipeline.alerting.drift.judgement import ABSTAINED, ALARM
from monitoring_pipeline.alerting.drift.methods import ColumnStatus
from monitoring_pipeline.alerting.performance.bounds import Judged
from monitoring_pipeline.alerting.verdict import Verdict
from monitoring_pipeline.errors import WindowError
from monitoring_pipeline.measurements import Measurement
from monitoring_pipeline.metrics.drift import Compared, measure_drifts
from monitoring_pipeline.metrics.performance import measure_performance
from monitoring_pipeline.metrics.quality import measure_quality
from monitoring_pipeline.monitors import Monitor
from monitoring_pipeline.profiles.column import ColumnProfile
from monitoring_pipeline.stages.context import StageContext, WindowOutcome
from monitoring_pipeline.stages.drift import SEGMENT_METHODS
from monitoring_pipeline.stages.each_window import Computed, Wrote, each_window, read_ahead
from monitoring_pipeline.stages.inputs import Inputs
from monitoring_pipeline.stages.rollup_shelf import Key, Merged, Shelf, is_everything
from monitoring_pipeline.stages.rollup_spans import Span, spans
from monitoring_pipeline.stages.rollup_verdicts import Blocks, on_columns, on_performance
from monitoring_pipeline.stages.versions import reference_version
from monitoring_pipeline.warehouse import ledger, profile_store
from monitoring_pipeline.warehouse import rollup_store as store
from monitoring_pipeline.warehouse.rollup_store import BaseWindow, Place, Rollup, RollupVerdict
from monitoring_pipeline.windows import Window

READ = ("profile", "ground_truth", "verdicts")
WINDOWS_A_READ = 64
WRITTEN_AT_ONCE = 16
Judgement = tuple[Measurement, Verdict]


@dataclass(frozen=True)
class Folded:
    """How many rollups there are, and how many of them were made again."""

    total: int
    changed: int


def update(stages: StageContext, windows: Sequence[Window]) -> list[WindowOutcome]:
    """Brings the rollups of the monitor up to date, and notes for these windows that it was done."""
    folded: list[Folded] = []
    name = stages.monitor.name
    states_of = read_ahead(
        windows, lambda some: stages.warehouse.run(lambda conn: ledger.stage_states(conn, name, some)), WINDOWS_A_READ
    )

    def compute(window: Window) -> Computed[Folded]:
        states = states_of(window)
        judged = states.get((window.start, "verdicts"))
        if judged is None or judged.completed_at is None:
            raise WindowError(f"{window} is not judged yet; materialize its verdicts first")
        if not folded:
            folded.append(fold(stages))
        found = {stage: states.get((window.start, stage)) for stage in READ}
        inputs: Inputs = {
            f"stage:{stage}": state.output_version if state is not None and state.completed_at is not None else None
            for stage, state in found.items()
        }
        return Computed(folded[0], stages.provenance(judged.data_version or "none"), inputs)

    def write(conn: Connection, some: Sequence[tuple[Window, Computed[Folded]]]) -> list[Wrote]:
        return [Wrote(None, {"rollups": one.value.total, "changed": one.value.changed}) for _, one in some]

    return each_window(stages, "rollups", windows, compute, write)


def fold(stages: StageContext) -> Folded:
    """Makes every rollup again that does not stand, in one transaction."""
    now = datetime.now(UTC)
    return stages.warehouse.run(lambda conn: _fold(conn, stages, now), can_be_recomputed=True)


def _fold(conn: Connection, stages: StageContext, now: datetime) -> Folded:
    monitor = stages.monitor
    ledger.lock_verdicts(conn, monitor.name)
    stands = store.standing(conn, monitor.name)
    if not monitor.rollups:
        store.forget(conn, monitor.name, stands)
        return Folded(0, len(stands))
    base = store.base_windows(conn, monitor.name, monitor.labels.max_delay, now)
    by_window = {one.window: one for one in base}
    found = spans(monitor, [(one.window, one.n_rows) for one in base])
    made_from = _digests(conn, monitor, found, by_window)
    due = [
        one for one, digest in zip(found, made_from, strict=True)
        if stands.get((one.size, one.window.end)) != digest and not _frozen(one, stands, by_window)
    ]  # fmt: skip
    gone = set(stands) - {(one.size, one.window.end) for one in found}
    store.forget(conn, monitor.name, gone)
    digest_of = dict(zip(found, made_from, strict=True))
    made = store.Made(monitor.config_version, policy_version(monitor), __version__, stages.run_id)
    if due:
        shelf, blocks = Shelf.of(conn, monitor), Blocks.of(conn, monitor.name)
        for at in range(0, len(due), WRITTEN_AT_ONCE):
            some = [_rollup(shelf, blocks, one, digest_of[one], by_window) for one in due[at : at + WRITTEN_AT_ONCE]]
            store.replace(conn, monitor.name, some, made)
    return Folded(len(found), len(due) + len(gone))


def _digests(
    conn: Connection, monitor: Monitor, found: Sequence[Span], by_window: Mapping[Window, BaseWindow]
) -> list[str]:
    """Of the references only those that its own model versions are judged by: a new model remakes no old rollup."""
    known = profile_store.reference_versions(conn, monitor.name)

    def shared(span: Span) -> str:
        served = sorted({version for window in span.windows for version in by_window[window].model_versions})
        usual = {version: reference_version(monitor, version, known) for version in served} if known else {}
        return json.dumps([policy_version(monitor), [(version, name, known[name]) for version, name in usual.items()]])

    versions = {window: f"{one.version} {one.aged}" for window, one in by_window.items()}
    return [
        hashlib.sha256(
            "\n".join(
                [shared(one), str(one.window), str(one.partial), *(f"{w} {versions[w]}" for w in one.windows), "before",
                 *(f"{w} {by_window[w].version}" for w in one.before)]
            ).encode()
        ).hexdigest()[:16]
        for one in found
    ]  # fmt: skip


def _frozen(span: Span, stands: Mapping[Place, str], by_window: Mapping[Window, BaseWindow]) -> bool:
    """Whether retention has deleted profiles that it would be made from again: it then stands as it is."""
    stored = (span.size, span.window.end) in stands
    return stored and any(by_window[window].pruned for window in (*span.windows, *span.before))


def _rollup(
    shelf: Shelf, blocks: Blocks, span: Span, inputs: str, by_window: Mapping[Window, BaseWindow]
) -> Rollup:  # fmt: skip
    merged = shelf.merged(span.windows)
    old = all(by_window[window].aged for window in span.windows)
    drift = on_columns(shelf, blocks, span, merged)
    performance = on_performance(shelf, blocks, span, merged, old)
    measured = [
        *_drift(shelf, span, merged, drift),
        *_quality(shelf, span, merged, old),
        *_performance(shelf, merged, performance.verdicts, performance.mature, old),
    ]
    n_rows = sum(by_window[window].n_rows for window in span.windows)
    partial = span.partial or not merged.whole
    return Rollup(
        span.size, span.window, len(span.windows), partial, n_rows, inputs, measured,
        [*drift, *performance.verdicts],
    )  # fmt: skip


def _drift(shelf: Shelf, span: Span, merged: Merged, verdicts: Sequence[RollupVerdict]) -> list[Judgement]:
    """Each segment against the reference and against the rollup before."""
    before = shelf.merged(span.before) if span.before else None
    pairs: list[Compared] = []
    for key in sorted(merged.profiles):
        columns, layout_id = _columns(merged, key), merged.profiles[key].layout_id
        reference = shelf.references.get((reference_version(shelf.monitor, key[0], shelf.reference_versions), key[1]))
        if reference is not None and reference.profile.layout_id == layout_id:
            target = reference.labelled.target
            usual = (*reference.profile.columns, target) if target is not None else reference.profile.columns
            pairs.append(Compared(key[0], "training", key[1], usual, columns))
        if before is not None and key in before.profiles and before.profiles[key].layout_id == layout_id:
            pairs.append(Compared(key[0], "previous", key[1], _columns(before, key), columns))
    wholes = [one for one in pairs if is_everything((one.model_version, one.segment))]
    segments = [one for one in pairs if not is_everything((one.model_version, one.segment))]
    statuses = {(v.model_version, v.segment): _statuses(v) for v in verdicts}
    return [
        (m, judge_drift(m, shelf.monitor.thresholds, statuses.get((m.model_version, m.segment), {})))
        for m in (*measure_drifts(wholes), *measure_drifts(segments, SEGMENT_METHODS))
    ]


def _columns(merged: Merged, key: Key) -> tuple[ColumnProfile, ...]:
    """With the outcome's own column, as far as labelled."""
    labelled = merged.labelled.get(key)
    columns = merged.profiles[key].columns
    return (*columns, labelled.target) if labelled is not None and labelled.target is not None else columns


def _statuses(verdict: RollupVerdict) -> dict[str, ColumnStatus]:
    codes = {"alarm": ALARM, "quiet": 0, "abstained": ABSTAINED}
    named = zip(verdict.keys.columns, verdict.keys.roles, verdict.status, verdict.sources, strict=True)
    by_role = sorted(named, key=lambda each: each[1] == "feature")
    return {name: ColumnStatus(codes[status], source) for name, _, status, source in by_role}  # type: ignore[arg-type]


def _quality(shelf: Shelf, span: Span, merged: Merged, old: bool) -> list[Judgement]:
    facts = shelf.facts(span.windows)
    everything = [one for key, one in merged.labelled.items() if is_everything(key)]
    if shelf.monitor.ground_truth is not None and everything and facts.n_rows:
        labelled = sum(one.outcome.n_labelled for one in everything)
        facts = replace(facts, coverage=min(labelled / facts.n_rows, 1.0))
    largest = shelf.largest_version(span.windows)
    found = []
    for key, profile in sorted(merged.profiles.items()):
        reference = shelf.references.get((reference_version(shelf.monitor, key[0], shelf.reference_versions), key[1]))
        about_window = key[0] == largest
        m = measure_quality(profile, reference.profile if reference else None, facts, about_window=about_window)
        found.append((m, judge_quality(m, shelf.monitor.thresholds, mature=old)))
    return found


def _performance(
    shelf: Shelf, merged: Merged, verdicts: Sequence[RollupVerdict], mature: Mapping[Key, bool], old: bool
) -> list[Judgement]:
    subjects = {
        (v.model_version, v.segment): {
            name: Judged(status, moved or "", source)
            for name, status, moved, source in zip(v.keys.metrics, v.status, v.moved, v.sources, strict=True)
        }
        for v in verdicts if v.kind == "performance"
    }  # fmt: skip
    found = []
    for key, labelled in sorted(merged.labelled.items()):
        reference = shelf.references.get((reference_version(shelf.monitor, key[0], shelf.reference_versions), key[1]))
        usable = reference is not None and reference.labelled.outcome.n_labelled
        m = measure_performance(labelled, reference.labelled if reference is not None and usable else None)
        grown = mature.get(key, old)
        found.append((
            m, judge_performance(m, shelf.monitor.thresholds, mature=grown, subjects=subjects.get(key, {})),
        ))  # fmt: skip
    return found
