"""Ground truth: label batches as they arrive, and each window's predictions counted against them."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Connection

from monitoring_pipeline import __version__
from monitoring_pipeline.alerting.maturity import is_mature
from monitoring_pipeline.engines.choosing import engine_of
from monitoring_pipeline.engines.merging import labelled_of
from monitoring_pipeline.errors import SourceError, WindowError
from monitoring_pipeline.lake.ground_truth import take_in_batch
from monitoring_pipeline.lake.scan import labelled
from monitoring_pipeline.lake.sources.index import index_labels
from monitoring_pipeline.monitors import Window
from monitoring_pipeline.profiles.layout import Layout
from monitoring_pipeline.profiles.profile import EVERYTHING, LabelledProfile
from monitoring_pipeline.records import IngestedWindow, LabelBatch, StageState
from monitoring_pipeline.stages.context import Facts, StageContext, WindowOutcome, complete, each_window
from monitoring_pipeline.stages.inputs import Inputs, output_version, references_read
from monitoring_pipeline.stages.profiling import passes
from monitoring_pipeline.stages.versions import by_version
from monitoring_pipeline.warehouse import ledger, profile_store, readers

log = logging.getLogger(__name__)

PARTS = frozenset(profile_store.OF_LABELS)


def take_in_labels(stages: StageContext) -> LabelBatch | None:
    """Takes in label files that no batch has read yet as the next batch; None when there is nothing to take in.

    One transaction holds the batch's number and its record: a crash leaves files in the lake that nothing refers to,
    and the next attempt takes the same labels in again under the same number.
    """
    monitor = stages.monitor
    if monitor.ground_truth is None:
        return None
    name = monitor.name
    known = stages.warehouse.run(lambda conn: ledger.known_files(conn, name, "ground_truth"))
    if files := index_labels(monitor, known, stages.settings):
        stages.warehouse.run(lambda conn: ledger.record_files(conn, name, "ground_truth", files))
    return stages.warehouse.run(lambda conn: _next_batch(stages, conn))


def _next_batch(stages: StageContext, conn: Connection) -> LabelBatch | None:
    """Reads the files that wait, matches them and records the batch; None when there is nothing to take in."""
    name = stages.monitor.name
    number = ledger.next_batch(conn, name)
    unread = ledger.unread_label_files(conn, name)
    pending = ledger.pending_label_files(conn, name)
    if not unread and not (pending and ledger.pending_may_match(conn, name)):
        return None
    windows = list(ledger.ingested(conn, name).values())
    by_window = ledger.label_files(conn, name, [one.window for one in windows])
    known = [path for paths in by_window.values() for path in paths]

    def batch_of(files: Sequence[str]) -> LabelBatch:
        lake = stages.settings.lake
        return take_in_batch(stages.monitor, number, files, windows, pending, lake, stages.settings, known)

    try:
        batch = batch_of(unread)
    except SourceError:
        unusable = _unusable(stages, number, unread)
        if not unusable:
            raise
        unread = _leave_out(stages, conn, unread, unusable)
        if not unread:
            return None
        batch = batch_of(unread)
    ledger.record_batch(conn, name, batch, unread, stages.run_id)
    if batch.n_quarantined:
        why = ", ".join(f"{n} × {reason}" for reason, n in batch.quarantine.items())
        log.warning("%d of %d labels of %s are skipped: %s", batch.n_quarantined, batch.n_rows, name, why)
    return batch


def _leave_out(stages: StageContext, conn: Connection, files: Sequence[str], unusable: Mapping[str, str]) -> list[str]:
    """The files without the unusable ones, which are marked unreadable."""
    log.warning("label files of %s are skipped: %s", stages.monitor.name, "; ".join(unusable.values()))
    ledger.mark_unreadable(conn, stages.monitor.name, "ground_truth", unusable)
    return [path for path in files if path not in unusable]


def _unusable(stages: StageContext, number: int, files: Sequence[str]) -> dict[str, str]:
    """Which label files cannot be taken in on their own, and why: one of them must not keep the others out."""
    found = {}
    for path in files:
        try:
            take_in_batch(stages.monitor, number, [path], [], [], stages.settings.lake, stages.settings)
        except SourceError as error:
            found[path] = str(error)
    return found


@dataclass(frozen=True)
class Shelf:
    """What the ledger knows of the windows of a run, and the layouts their versions are counted by."""

    taken: Mapping[datetime, IngestedWindow]
    states: Mapping[tuple[datetime, str], StageState]
    layouts: Mapping[str, Layout]
    batches: Mapping[datetime, int]
    files: Mapping[datetime, list[str]]
    n_labelled: Mapping[datetime, int]
    segments: Mapping[str, list]
    references: Mapping[str, str]


def join_labels(stages: StageContext, windows: Sequence[Window]) -> list[WindowOutcome]:
    """Counts these windows' predictions against the labels known now. One no newer batch touched is left as it is."""
    take_in_labels(stages)
    shelf = _shelf(stages, windows)
    waiting = [shelf.taken[w.start] for w in windows if w.start in shelf.taken and not _is_current(stages, shelf, w)]
    fresh = _count_ahead(stages, shelf, waiting)

    def work(window: Window) -> Facts:
        one = shelf.taken.get(window.start)
        if one is None:
            raise WindowError(f"{window} is not ingested yet; materialize its predictions first")
        n_labelled = shelf.n_labelled.get(window.start, 0)
        if one in waiting:
            profiles = fresh[window] if window in fresh else _count(stages, shelf, [one])
            _save(stages, one, profiles, shelf)
            n_labelled = sum(p.outcome.n_labelled for p in profiles if p.segment == EVERYTHING)
        else:
            _note_inputs(stages, one, shelf)
        return _facts(stages, one, n_labelled, shelf.batches[window.start])

    return each_window(stages, "ground_truth", windows, work, shelf.batches)


def _shelf(stages: StageContext, windows: Sequence[Window]) -> Shelf:
    name = stages.monitor.name

    def read(conn: Connection) -> Shelf:
        return Shelf(
            ledger.ingested(conn, name, windows),
            ledger.stage_states(conn, name, windows),
            {version: r.layout for version, r in profile_store.references(conn, name).items()},
            ledger.latest_batch(conn, name, windows),
            ledger.label_files(conn, name, windows),
            readers.label_counts(conn, name, windows),
            readers.segments_by_config(conn, name),
            profile_store.reference_versions(conn, name),
        )

    return stages.warehouse.run(read)


def _is_current(stages: StageContext, shelf: Shelf, window: Window) -> bool:
    """Whether the window was counted from these rows, labels and segments, by this version of the code."""
    state, found = shelf.states.get((window.start, "ground_truth")), shelf.taken[window.start]
    if state is None or state.last_error is not None or window.start not in shelf.n_labelled:
        return False
    same_rows = state.data_version == found.data_version and state.label_batch == shelf.batches[window.start]
    declared = stages.monitor.canonical()["segments"]
    same_segments = shelf.segments.get(state.config_version or "") == declared
    return same_rows and state.code_version == __version__ and same_segments


def _count_ahead(
    stages: StageContext, shelf: Shelf, waiting: Sequence[IngestedWindow]
) -> dict[Window, list[LabelledProfile]]:
    """By window, in few passes; the windows of a pass that fails are absent and counted one by one later."""
    fresh: dict[Window, list[LabelledProfile]] = {}
    for some in passes(waiting):
        try:
            found = _count(stages, shelf, some)
        except WindowError as error:
            log.warning("%d windows could not be joined in one pass (%s); retrying one by one", len(some), error)
            continue
        fresh |= {one.window: [] for one in some}
        for profile in found:
            fresh[profile.window].append(profile)
    return fresh


def _count(stages: StageContext, shelf: Shelf, some: Sequence[IngestedWindow]) -> list[LabelledProfile]:
    monitor = stages.monitor
    wanted = by_version(monitor, {version for one in some for version in one.versions}, shelf.layouts)
    scan = labelled(monitor, some, shelf.files)
    counted = engine_of(stages.settings).profile(scan, wanted, monitor.segment_keys, PARTS)
    return labelled_of(counted, wanted, shelf.batches, monitor.window)


def _facts(stages: StageContext, one: IngestedWindow, n_labelled: int, batch: int) -> Facts:
    coverage = n_labelled / one.n_rows if one.n_rows else None
    mature = is_mature(stages.monitor.labels, one.window, coverage, datetime.now(UTC))
    return {
        "labelled": n_labelled,
        "coverage": coverage,
        "mature": "yes" if mature else "no",
        "label_batch": batch,
    }


def _save(stages: StageContext, one: IngestedWindow, profiles: Sequence[LabelledProfile], shelf: Shelf) -> None:
    batch = shelf.batches[one.window.start]

    def write(conn: Connection) -> None:
        ledger.lock_window(conn, stages.monitor.name, one.window)
        profile_store.save_labelled(conn, stages.monitor.name, one.window, profiles)
        layouts = sorted({(p.model_version, p.layout_id) for p in profiles})
        version = output_version(one.data_version, batch, layouts, stages.monitor.segment_keys)
        _complete(stages, conn, one, shelf, version)

    stages.warehouse.run(write, can_be_recomputed=True)


def _note_inputs(stages: StageContext, one: IngestedWindow, shelf: Shelf) -> None:
    """The counts stand; that they were looked at against newer inputs (a reference read again) is noted."""
    recorded = shelf.states[one.window.start, "ground_truth"].inputs
    same = {name: version for name, version in recorded.items() if name != "config"} == _inputs(stages, one, shelf)
    if not same or "config" not in recorded:
        stages.warehouse.run(lambda conn: _complete(stages, conn, one, shelf, None))


def _complete(stages: StageContext, conn: Connection, one: IngestedWindow, shelf: Shelf, version: str | None) -> None:
    made = stages.provenance(one.data_version, shelf.batches[one.window.start])
    complete(stages, conn, "ground_truth", one.window, made, _inputs(stages, one, shelf), version)


def _inputs(stages: StageContext, one: IngestedWindow, shelf: Shelf) -> Inputs:
    read = references_read(stages.monitor, one.versions, shelf.references)
    return {"data": one.data_version, "labels": str(shelf.batches[one.window.start]), **read}
