"""Ground truth: label batches as they arrive, and each window's predictions counted against them."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Connection

from monitoring_pipeline.alerting.maturity import is_mature
from monitoring_pipeline.engines.choosing import engine_of
from monitoring_pipeline.engines.merging import labelled_of
from monitoring_pipeline.errors import SourceError
from monitoring_pipeline.lake.ground_truth import take_in_batch
from monitoring_pipeline.lake.scan import labelled
from monitoring_pipeline.lake.sources.index import index_labels
from monitoring_pipeline.monitors import Monitor, Window
from monitoring_pipeline.profiles.profile import EVERYTHING, LabelledProfile
from monitoring_pipeline.records import IngestedWindow, LabelBatch
from monitoring_pipeline.stages.context import Facts, StageContext, WindowOutcome
from monitoring_pipeline.stages.counting import Shelf, counted_ahead
from monitoring_pipeline.stages.each_window import Computed, Wrote, each_window
from monitoring_pipeline.stages.inputs import output_version
from monitoring_pipeline.warehouse import ledger, profile_store, readers

log = logging.getLogger(__name__)

PARTS = frozenset(profile_store.OF_LABELS)

Profiles = list[LabelledProfile] | None  # None: those that are stored stand


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
    _say_when_few_match(name, batch)
    return batch


def _say_when_few_match(name: str, batch: LabelBatch) -> None:
    """Labels that nothing waits for look like labels that are late: both leave the coverage low."""
    ids = batch.n_rows - batch.n_quarantined - batch.n_duplicates
    known = batch.n_matched + batch.n_unchanged
    if 2 * known < ids:
        log.warning(
            "only %d of %d labels of %s have a prediction among the windows taken in; the others wait for theirs. Where"
            " those windows were taken in, `ground_truth.prediction_id` and `schema.prediction_id` hold other ids",
            known, ids, name,
        )  # fmt: skip


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
class Labels:
    """What is known of the labels of a run's windows: newest batch, lake files, rows already counted as labelled, and
    the layout that each model version's were counted by.
    """

    batches: Mapping[datetime, int]
    files: Mapping[datetime, list[str]]
    counted: Mapping[datetime, int]
    layouts: Mapping[datetime, Mapping[str, str]]


def join_labels(stages: StageContext, windows: Sequence[Window]) -> list[WindowOutcome]:
    """Counts these windows' predictions against the labels known now. One no newer batch touched is left as it is."""
    take_in_labels(stages)
    shelf, labels = _read(stages, windows)
    taken = [shelf.taken[window.start] for window in windows if window.start in shelf.taken]
    waiting = [one for one in taken if not _is_current(shelf, one, labels)]
    counted = counted_ahead(waiting, lambda some: _count(shelf, labels, some))

    def compute(window: Window) -> Computed[Profiles] | Facts:
        one, batch = shelf.of(window), labels.batches[window.start]
        made, inputs = stages.provenance(one.data_version, batch), shelf.inputs(one, labels=str(batch))
        if one in waiting:
            return Computed(counted(one), made, inputs)
        stands = shelf.is_noted(window, inputs)
        return _wrote(shelf, labels, one, None).facts if stands else Computed(None, made, inputs)

    def write(conn: Connection, some: Sequence[tuple[Window, Computed[Profiles]]]) -> list[Wrote]:
        fresh = {window: one.value for window, one in some if one.value is not None}
        if fresh:
            kept = [p for profiles in fresh.values() for p in profiles]
            profile_store.save_labelled(conn, stages.monitor.name, list(fresh), kept)
        return [_wrote(shelf, labels, shelf.of(window), one.value) for window, one in some]

    return each_window(stages, "ground_truth", windows, compute, write, labels.batches)


def _read(stages: StageContext, windows: Sequence[Window]) -> tuple[Shelf, Labels]:
    name = stages.monitor.name

    def read(conn: Connection) -> tuple[Shelf, Labels]:
        return Shelf.read(stages, conn, "ground_truth", windows), Labels(
            ledger.latest_batch(conn, name, windows),
            ledger.label_files(conn, name, windows),
            readers.label_counts(conn, name, windows),
            readers.profiled_layouts(conn, name, windows, part="outcomes"),
        )

    return stages.warehouse.run(read)


def _is_current(shelf: Shelf, one: IngestedWindow, labels: Labels) -> bool:
    """Whether the window was counted from these rows, labels, layouts and segments, by this version of the code."""
    start = one.window.start
    if start not in labels.counted or not shelf.counted_as_now(one.window):
        return False
    counted_by = labels.layouts.get(start, {})
    if any(counted_by.get(version, wanted) != wanted for version, wanted in shelf.layout_ids(one).items()):
        return False
    return shelf.states[start, "ground_truth"].label_batch == labels.batches[start]


def _count(shelf: Shelf, labels: Labels, some: Sequence[IngestedWindow]) -> list[LabelledProfile]:
    monitor = shelf.stages.monitor
    versions = {version for one in some for version in one.versions}
    wanted = shelf.layouts_by(versions)
    scan = labelled(monitor, some, labels.files)
    counted = engine_of(shelf.stages.settings).profile(scan, wanted, monitor.segment_keys, PARTS)
    return labelled_of(counted, wanted, labels.batches, monitor.window)


def _wrote(shelf: Shelf, labels: Labels, one: IngestedWindow, profiles: Profiles) -> Wrote:
    monitor, batch = shelf.stages.monitor, labels.batches[one.window.start]
    if profiles is None:
        return Wrote(None, _facts(monitor, one, labels.counted.get(one.window.start, 0), batch))
    layouts = sorted({(p.model_version, p.layout_id) for p in profiles})
    n_labelled = sum(p.outcome.n_labelled for p in profiles if p.segment == EVERYTHING)
    version = output_version(one.data_version, batch, layouts, monitor.segment_keys)
    return Wrote(version, _facts(monitor, one, n_labelled, batch))


def _facts(monitor: Monitor, one: IngestedWindow, n_labelled: int, batch: int) -> Facts:
    coverage = n_labelled / one.n_rows if one.n_rows else None
    mature = is_mature(monitor.labels, one.window, coverage, datetime.now(UTC))
    return {
        "labelled": n_labelled,
        "coverage": coverage,
        "mature": "yes" if mature else "no",
        "label_batch": batch,
    }
