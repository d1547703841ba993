"""The ledger: which source files were seen, which windows were taken in, which stages were computed from what.

Functions take the connection of the caller's transaction first. Windows are named by their start; times are aware and
UTC. Counters of a monitor (revisions, batches) are handed out under a lock on its row: who commits later has more.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Connection, text

from monitoring_pipeline.monitors.declaration import Monitor
from monitoring_pipeline.records import (
    MAX_ATTEMPTS,
    Contract,
    FileVersion,
    IndexedFile,
    IngestedWindow,
    LabelBatch,
    SourceRole,
    Stage,
    StageState,
)
from monitoring_pipeline.windows import LENGTH, Window

StaleReason = Literal["source", "failed", "data", "labels", "reference", "baseline", "maturity", "config", "policy"]

DECLARE_MONITOR = text("""
insert into monitoring.monitor as m (monitor, description, task, window_size, starts_on, owner_team, owner_email,
  baselines, segmentations, has_ground_truth, label_coverage, label_max_delay, config_version, stage_configs)
values (:monitor, :description, :task, :window_size, :starts_on, :owner_team, :owner_email, :baselines,
  :segmentations, :has_ground_truth, :label_coverage, :label_max_delay, :config_version, cast(:stage_configs as jsonb))
on conflict (monitor) do update set description = excluded.description, task = excluded.task,
  window_size = excluded.window_size, starts_on = excluded.starts_on, owner_team = excluded.owner_team,
  owner_email = excluded.owner_email, baselines = excluded.baselines, segmentations = excluded.segmentations,
  has_ground_truth = excluded.has_ground_truth, label_coverage = excluded.label_coverage,
  label_max_delay = excluded.label_max_delay, config_version = excluded.config_version, declared_at = now(),
  stage_configs = excluded.stage_configs
where (m.config_version, m.stage_configs) is distinct from (excluded.config_version, excluded.stage_configs)
""")
KNOW_STAGES = text("""
insert into monitoring.stage as s (stage, position, asset, needs_labels)
select * from unnest(cast(:stage as text[]), cast(:position as integer[]), cast(:asset as text[]),
                     cast(:needs_labels as boolean[]))
on conflict (stage) do update set position = excluded.position, asset = excluded.asset,
  needs_labels = excluded.needs_labels
where (s.position, s.asset, s.needs_labels) is distinct from (excluded.position, excluded.asset, excluded.needs_labels)
""")
KEEP_DECLARATION = text("""
insert into monitoring.monitor_declaration (monitor, config_version, declaration)
values (:monitor, :config_version, cast(:declaration as jsonb)) on conflict do nothing
""")
KNOWN_FILES = text(
    "select path, size, modified_at, read_as from monitoring.source_file where monitor = :monitor and role = :role"
)
NEVER_READ_FILES = text("""
select f.path, f.error from monitoring.source_file f
where f.monitor = :monitor and f.role = 'predictions' and f.error is not null
  and not exists (select from monitoring.source_file_window w
                  where w.monitor = f.monitor and w.role = f.role and w.path = f.path)
order by f.path
""")
MARK_UNREADABLE = text("""
update monitoring.source_file set error = :error where monitor = :monitor and role = :role and path = :path
""")
UNREADABLE_FILES = text("""
select path, error from monitoring.source_file where monitor = :monitor and error is not null order by path
""")
LOCK_MONITOR = text("select 1 from monitoring.monitor where monitor = :monitor for no key update")
NEXT_SOURCE_REVISION = text("""
update monitoring.monitor set source_revision = source_revision + 1 where monitor = :monitor returning source_revision
""")
NEXT_INGESTION_REVISION = text("""
update monitoring.monitor set ingestion_revision = ingestion_revision + 1 where monitor = :monitor
returning ingestion_revision
""")
RECORD_FILES = text("""
insert into monitoring.source_file (monitor, role, path, size, modified_at, read_as, n_rows, n_unplaced,
  unplaced_example, error, revision)
select :monitor, :role, f.*, :revision
from unnest(cast(:path as text[]), cast(:size as bigint[]), cast(:modified_at as timestamptz[]),
            cast(:read_as as text[]), cast(:n_rows as bigint[]), cast(:n_unplaced as bigint[]),
            cast(:unplaced_example as text[]), cast(:error as text[])) f
on conflict (monitor, role, path) do update set size = excluded.size, modified_at = excluded.modified_at,
  read_as = excluded.read_as, n_rows = excluded.n_rows, n_unplaced = excluded.n_unplaced,
  unplaced_example = excluded.unplaced_example, error = excluded.error, revision = excluded.revision, indexed_at = now()
""")
# A file that can no longer be read keeps its windows: they become stale, and taking them in again says why it fails.
TOUCH_WINDOWS_OF_UNREADABLE = text("""
update monitoring.source_file_window set revision = :revision
where monitor = :monitor and role = :role and path = any (cast(:path as text[]))
""")
EMPTY_WINDOWS_OF_READABLE = text("""
update monitoring.source_file_window set revision = :revision, n_rows = 0
where monitor = :monitor and role = :role and path = any (cast(:path as text[]))
""")
RECORD_FILE_WINDOWS = text("""
insert into monitoring.source_file_window (monitor, role, path, window_start, n_rows, revision)
select :monitor, :role, w.*, :revision
from unnest(cast(:path as text[]), cast(:window_start as timestamptz[]), cast(:n_rows as bigint[])) w
on conflict (monitor, role, window_start, path) do update set n_rows = excluded.n_rows, revision = excluded.revision
""")
FILES_OF_WINDOWS = text("""
select window_start, path from monitoring.source_file_window
where monitor = :monitor and role = :role and window_start = any (cast(:starts as timestamptz[])) and n_rows > 0
order by window_start, path
""")
SOURCE_REVISIONS = text("""
select window_start, max(revision) as revision from monitoring.source_file_window
where monitor = :monitor and role = 'predictions' and window_start = any (cast(:starts as timestamptz[]))
group by window_start
""")
WINDOWS_WITH_SOURCES = text("""
select distinct w.window_start, m.window_size
from monitoring.source_file_window w join monitoring.monitor m using (monitor)
where w.monitor = :monitor and w.role = 'predictions' and w.n_rows > 0 order by w.window_start
""")
INGESTED = text("""
select p.window_start, p.window_end, p.n_rows, p.n_duplicates, p.n_quarantined, p.data_version, p.lake_files,
       p.versions,
       coalesce((select jsonb_object_agg(q.reason, q.count) from monitoring.window_quarantine q
                 where q.monitor = p.monitor and q.window_start = p.window_start), '{}') as quarantine,
       p.contract, p.last_event_at
from monitoring.prediction_window p
where p.monitor = :monitor
  and (cast(:starts as timestamptz[]) is null or p.window_start = any (cast(:starts as timestamptz[])))
order by p.window_start
""")
CONSIDER_SOURCES = text("""
update monitoring.prediction_window set source_revision = greatest(source_revision, :source_revision), pruned_at = null
where monitor = :monitor and window_start = :window_start
""")
RECORD_INGESTED = text("""
insert into monitoring.prediction_window (monitor, window_start, window_end, n_rows, n_duplicates, n_quarantined,
  last_event_at, data_version, source_revision, ingestion_revision, lake_files, versions, contract, run_id)
values (:monitor, :window_start, :window_end, :n_rows, :n_duplicates, :n_quarantined, :last_event_at, :data_version,
  :source_revision, :ingestion_revision, :lake_files, cast(:versions as jsonb), cast(:contract as jsonb), :run_id)
on conflict (monitor, window_start) do update set window_end = excluded.window_end, n_rows = excluded.n_rows,
  n_duplicates = excluded.n_duplicates, n_quarantined = excluded.n_quarantined, last_event_at = excluded.last_event_at,
  data_version = excluded.data_version, source_revision = excluded.source_revision,
  ingestion_revision = excluded.ingestion_revision, lake_files = excluded.lake_files, versions = excluded.versions,
  contract = excluded.contract, run_id = excluded.run_id, ingested_at = now(), pruned_at = null
""")
FORGET_QUARANTINE = text(
    "delete from monitoring.window_quarantine where monitor = :monitor and window_start = :window_start"
)
RECORD_QUARANTINE = text("""
insert into monitoring.window_quarantine (monitor, window_start, reason, count)
select :monitor, :window_start, q.* from unnest(cast(:reason as text[]), cast(:count as bigint[])) q
""")
UNREAD_LABEL_FILES = text("""
select s.path from monitoring.source_file s
where s.monitor = :monitor and s.role = 'ground_truth' and s.error is null
  and not exists (select from monitoring.label_batch_file b
                  where b.monitor = s.monitor and b.path = s.path and b.revision >= s.revision)
order by s.modified_at, s.path
""")
LAST_BATCH = text("""
select batch, pending_file, ingestion_revision from monitoring.label_batch
where monitor = :monitor order by batch desc limit 1
""")
PENDING_MAY_MATCH = text("""
select exists (
  select from (select * from monitoring.label_batch where monitor = :monitor order by batch desc limit 1) b
  join monitoring.monitor m using (monitor)
  where b.pending_file is not null and m.ingestion_revision > b.ingestion_revision)
""")
RECORD_BATCH = text("""
insert into monitoring.label_batch (monitor, batch, n_rows, n_matched, n_unknown, n_duplicates, n_quarantined,
  quarantine, pending_file, ingestion_revision, run_id)
select :monitor, :batch, :n_rows, :n_matched, :n_unknown, :n_duplicates, :n_quarantined, cast(:quarantine as jsonb),
  :pending_file, ingestion_revision, :run_id
from monitoring.monitor where monitor = :monitor
""")
RECORD_BATCH_WINDOWS = text("""
insert into monitoring.label_batch_window (monitor, batch, window_start, n_labels, lake_file)
select :monitor, :batch, w.*
from unnest(cast(:window_start as timestamptz[]), cast(:n_labels as bigint[]), cast(:lake_file as text[])) w
""")
RECORD_BATCH_FILES = text("""
insert into monitoring.label_batch_file (monitor, batch, path, revision)
select monitor, :batch, path, revision from monitoring.source_file
where monitor = :monitor and role = 'ground_truth' and path = any (cast(:path as text[]))
""")
LABEL_FILES = text("""
select window_start, lake_file from monitoring.label_batch_window
where monitor = :monitor and window_start = any (cast(:starts as timestamptz[])) and lake_file <> ''
order by window_start, batch
""")
READ_LABELS_AGAIN = text("""
delete from monitoring.label_batch_file f using monitoring.label_batch_window w
where w.monitor = :monitor and w.window_start = :window_start and w.lake_file = ''
  and f.monitor = w.monitor and f.batch = w.batch
""")
LATEST_BATCH = text("""
select window_start, max(batch) as batch from monitoring.label_batch_window
where monitor = :monitor and window_start = any (cast(:starts as timestamptz[])) group by window_start
""")
COMPLETE_STAGE = text("""
insert into monitoring.window_stage as s (monitor, window_start, window_end, stage, data_version, label_batch,
  config_version, code_version, run_id, inputs, output_version, completed_at)
values (:monitor, :window_start, :window_end, :stage, :data_version, :label_batch, :config_version, :code_version,
  :run_id, cast(:inputs as jsonb), :output_version, clock_timestamp())
on conflict (monitor, window_start, stage) do update set window_end = excluded.window_end,
  data_version = excluded.data_version, label_batch = excluded.label_batch, config_version = excluded.config_version,
  code_version = excluded.code_version, run_id = excluded.run_id, completed_at = excluded.completed_at,
  inputs = excluded.inputs, output_version = coalesce(excluded.output_version, s.output_version),
  attempts = 0, last_error = null, failed_at = null, failed_source_revision = null, failed_label_batch = null,
  failed_config_version = null
""")
FAIL_STAGE = text("""
insert into monitoring.window_stage as s (monitor, window_start, window_end, stage, run_id, attempts, last_error,
  failed_at, failed_source_revision, failed_label_batch, failed_config_version)
select m.monitor, :window_start, :window_end, :stage, :run_id, 1, :error, clock_timestamp(),
  coalesce((select max(revision) from monitoring.source_file_window w
            where w.monitor = m.monitor and w.role = 'predictions' and w.window_start = :window_start), 0),
  coalesce(:label_batch, (select max(batch) from monitoring.label_batch_window b
                          where b.monitor = m.monitor and b.window_start = :window_start), 0),
  m.config_version
from monitoring.monitor m where m.monitor = :monitor
on conflict (monitor, window_start, stage) do update set
  last_error = excluded.last_error, failed_at = excluded.failed_at, run_id = excluded.run_id,
  attempts = case when (s.failed_source_revision, s.failed_label_batch, s.failed_config_version) is not distinct from
                       (excluded.failed_source_revision, excluded.failed_label_batch, excluded.failed_config_version)
                  then s.attempts + 1 else 1 end,
  failed_source_revision = excluded.failed_source_revision, failed_label_batch = excluded.failed_label_batch,
  failed_config_version = excluded.failed_config_version
""")
STAGE_STATES = text("""
select window_start, stage, data_version, label_batch, config_version, code_version, run_id, completed_at, attempts,
       last_error, inputs, output_version
from monitoring.window_stage
where monitor = :monitor and window_start = any (cast(:starts as timestamptz[]))
""")
STALE_WINDOWS = text("""
select window_start, window_end, reason, stage, attempts from monitoring.stale_window w
where monitor = :monitor and attempts < :max_attempts
  and not exists (select from monitoring.stage_status s where s.monitor = w.monitor
                  and s.window_start = w.window_start and s.attempts >= :max_attempts)
order by window_start, stage
""")
LOCK_WINDOW = text("select pg_advisory_xact_lock(hashtextextended(:window, 0))")


@dataclass(frozen=True)
class StaleWindow:
    """A stage of a window that is older than what it is computed from. ``attempts`` failed since that last changed."""

    window: Window
    reason: StaleReason
    stage: Stage
    attempts: int


# -- monitors ----------------------------------------------------------------------------------------------------------


def know_stages(conn: Connection, stages: Sequence[tuple[str, str, bool]]) -> None:
    """Keeps the stages of a window in order: name, asset, whether a window without labels does without it."""
    columns = {
        "stage": [stage for stage, _, _ in stages],
        "position": list(range(1, len(stages) + 1)),
        "asset": [asset for _, asset, _ in stages],
        "needs_labels": [needs_labels for _, _, needs_labels in stages],
    }
    conn.execute(KNOW_STAGES, columns)


def declare_monitor(conn: Connection, monitor: Monitor, stage_configs: Mapping[str, str]) -> None:
    """Makes the monitor known, or its changed declaration. ``stage_configs``: digest of what each stage reads of it."""
    conn.execute(
        DECLARE_MONITOR,
        {
            "monitor": monitor.name,
            "description": monitor.description,
            "task": monitor.task,
            "window_size": monitor.window,
            "starts_on": monitor.start,
            "owner_team": monitor.owner.team,
            "owner_email": monitor.owner.email,
            "baselines": list(monitor.baselines),
            "segmentations": [",".join(key) for key in monitor.segment_keys],
            "has_ground_truth": monitor.ground_truth is not None,
            "label_coverage": monitor.labels.coverage,
            "label_max_delay": monitor.labels.max_delay,
            "config_version": monitor.config_version,
            "stage_configs": json.dumps(dict(stage_configs)),
        },
    )
    declaration = json.dumps(monitor.canonical())
    named = {"monitor": monitor.name, "config_version": monitor.config_version}
    conn.execute(KEEP_DECLARATION, named | {"declaration": declaration})


def lock_window(conn: Connection, monitor: str, window: Window) -> None:
    """Until the transaction ends nobody else works on this window: two runs of it at once take turns."""
    conn.execute(LOCK_WINDOW, {"window": f"monitoring:{monitor}:{window.start.isoformat()}"})


# -- source files ------------------------------------------------------------------------------------------------------


def known_files(conn: Connection, monitor: str, role: SourceRole) -> dict[str, FileVersion]:
    """Every file seen so far, unreadable ones too, by path."""
    rows = conn.execute(KNOWN_FILES, {"monitor": monitor, "role": role})
    return {path: FileVersion(*version) for path, *version in rows}


def unreadable_files(conn: Connection, monitor: str) -> dict[str, str]:
    """Why files of this monitor cannot be read, by path."""
    return {row.path: row.error for row in conn.execute(UNREADABLE_FILES, {"monitor": monitor})}


def never_read_files(conn: Connection, monitor: str) -> dict[str, str]:
    """Prediction files that nobody has been able to read, by path: which windows they hold rows of is not known."""
    return {row.path: row.error for row in conn.execute(NEVER_READ_FILES, {"monitor": monitor})}


def record_files(conn: Connection, monitor: str, role: SourceRole, files: Sequence[IndexedFile]) -> None:
    """New and changed files. Windows that they touch, or touched before, become stale.

    A version known already is passed over. Files that vanish are not reported here: what was taken in stays.
    """
    conn.execute(LOCK_MONITOR, {"monitor": monitor})
    known = known_files(conn, monitor, role)
    changed = [file for file in files if known.get(file.path) != file.version]
    if not changed:
        return
    revision = conn.execute(NEXT_SOURCE_REVISION, {"monitor": monitor}).scalar_one()
    common = {"monitor": monitor, "role": role, "revision": revision}
    conn.execute(RECORD_FILES, common | _file_columns(changed))
    conn.execute(TOUCH_WINDOWS_OF_UNREADABLE, common | {"path": [f.path for f in changed if f.error is not None]})
    readable = [f for f in changed if f.error is None]
    conn.execute(EMPTY_WINDOWS_OF_READABLE, common | {"path": [f.path for f in readable]})
    placed = [(f.path, start, n) for f in readable for start, n in f.windows.items()]
    conn.execute(
        RECORD_FILE_WINDOWS,
        common
        | {"path": [p[0] for p in placed], "window_start": [p[1] for p in placed], "n_rows": [p[2] for p in placed]},
    )


def _file_columns(files: Sequence[IndexedFile]) -> dict[str, list[Any]]:
    return {
        "path": [f.path for f in files],
        "size": [f.version.size for f in files],
        "modified_at": [f.version.modified_at for f in files],
        "read_as": [f.version.read_as for f in files],
        "n_rows": [f.n_rows for f in files],
        "n_unplaced": [f.n_unplaced for f in files],
        "unplaced_example": [f.unplaced_example for f in files],
        "error": [f.error for f in files],
    }


def mark_unreadable(conn: Connection, monitor: str, role: SourceRole, errors: Mapping[str, str]) -> None:
    """Files, by path, that turned out unusable after they were recorded; a new version of them begins anew."""
    for path, error in errors.items():
        conn.execute(MARK_UNREADABLE, {"monitor": monitor, "role": role, "path": path, "error": error})


def files_of_windows(
    conn: Connection, monitor: str, role: SourceRole, windows: Iterable[Window]
) -> dict[datetime, list[str]]:
    """Paths of the files that hold rows of each window, by window start; a window without rows has an empty list."""
    wanted = _starts(windows)
    found: dict[datetime, list[str]] = {start: [] for start in wanted}
    for start, path in conn.execute(FILES_OF_WINDOWS, {"monitor": monitor, "role": role, "starts": wanted}):
        found[start].append(path)
    return found


def files_of_window(conn: Connection, monitor: str, role: SourceRole, window: Window) -> list[str]:
    return files_of_windows(conn, monitor, role, [window])[window.start]


def source_revisions(conn: Connection, monitor: str, windows: Iterable[Window]) -> dict[datetime, int]:
    """Newest revision among the prediction files of each window (0: none).

    Read it before the files and give it to ``record_ingested``: what changes in between makes the window stale again.
    """
    wanted = _starts(windows)
    rows = conn.execute(SOURCE_REVISIONS, {"monitor": monitor, "starts": wanted})
    return dict.fromkeys(wanted, 0) | {row.window_start: row.revision for row in rows}


def windows_with_sources(conn: Connection, monitor: str) -> list[Window]:
    """Windows that the prediction files hold rows of, in order."""
    rows = conn.execute(WINDOWS_WITH_SOURCES, {"monitor": monitor})
    return [Window(start, start + LENGTH[size]) for start, size in rows]


# -- ingested windows --------------------------------------------------------------------------------------------------


def record_ingested(
    conn: Connection, monitor: str, taken: IngestedWindow, source_revision: int, run_id: str | None
) -> bool:
    """A window lies in the lake. True if that differs from what was there before."""
    place = {"monitor": monitor, "window_start": taken.window.start}
    if ingested(conn, monitor, [taken.window]).get(taken.window.start) == taken:
        conn.execute(CONSIDER_SOURCES, place | {"source_revision": source_revision})
        return False
    revision = conn.execute(NEXT_INGESTION_REVISION, {"monitor": monitor}).scalar_one()
    conn.execute(
        RECORD_INGESTED,
        place
        | {
            "window_end": taken.window.end,
            "n_rows": taken.n_rows,
            "n_duplicates": taken.n_duplicates,
            "n_quarantined": taken.n_quarantined,
            "last_event_at": taken.last_event,
            "data_version": taken.data_version,
            "source_revision": source_revision,
            "ingestion_revision": revision,
            "lake_files": list(taken.files),
            "versions": json.dumps(dict(taken.versions)),
            "contract": json.dumps(_contract_json(taken.contract)),
            "run_id": run_id,
        },
    )
    conn.execute(FORGET_QUARANTINE, place)
    reasons = {reason: count for reason, count in taken.quarantine.items() if count}
    conn.execute(RECORD_QUARANTINE, place | {"reason": list(reasons), "count": list(reasons.values())})
    return True


def ingested(conn: Connection, monitor: str, windows: Iterable[Window] | None = None) -> dict[datetime, IngestedWindow]:
    """What lies in the lake, by window start in order: of these windows, or of all."""
    starts = None if windows is None else _starts(windows)
    found = {}
    for row in conn.execute(INGESTED, {"monitor": monitor, "starts": starts}).mappings():
        found[row["window_start"]] = IngestedWindow(
            window=Window(row["window_start"], row["window_end"]),
            n_rows=row["n_rows"],
            n_duplicates=row["n_duplicates"],
            n_quarantined=row["n_quarantined"],
            data_version=row["data_version"],
            files=tuple(row["lake_files"]),
            versions=row["versions"],
            quarantine=row["quarantine"],
            contract=_contract(row["contract"]),
            last_event=row["last_event_at"],
        )
    return found


def _contract_json(contract: Contract) -> dict[str, Any]:
    return {
        "missing": list(contract.missing),
        "extra": list(contract.extra),
        "retyped": dict(contract.retyped),
        "invalid": dict(contract.invalid),
    }


def _contract(value: Mapping[str, Any]) -> Contract:
    return Contract(tuple(value["missing"]), tuple(value["extra"]), value["retyped"], value["invalid"])


# -- label batches -----------------------------------------------------------------------------------------------------


def unread_label_files(conn: Connection, monitor: str) -> list[str]:
    """Ground-truth files, oldest first, that are new or changed since a batch read them."""
    return list(conn.execute(UNREAD_LABEL_FILES, {"monitor": monitor}).scalars())


def next_batch(conn: Connection, monitor: str) -> int:
    """Number of the next batch. No one else gets one until the transaction ends: record it in the same."""
    conn.execute(LOCK_MONITOR, {"monitor": monitor})
    last = conn.execute(LAST_BATCH, {"monitor": monitor}).first()
    return 1 if last is None else last.batch + 1


def pending_label_files(conn: Connection, monitor: str) -> list[str]:
    """Lake files of the labels that match no prediction yet: what the last batch left over."""
    last = conn.execute(LAST_BATCH, {"monitor": monitor}).first()
    return [] if last is None or last.pending_file is None else [last.pending_file]


def pending_may_match(conn: Connection, monitor: str) -> bool:
    """Whether windows were taken in since the last batch that its pending labels may belong to."""
    return bool(conn.execute(PENDING_MAY_MATCH, {"monitor": monitor}).scalar())


def record_batch(
    conn: Connection, monitor: str, batch: LabelBatch, label_file_paths: Sequence[str], run_id: str | None
) -> None:
    """A label batch was taken in from these ground-truth files; the windows it touches become stale."""
    common = {"monitor": monitor, "batch": batch.batch}
    counts = ("n_rows", "n_matched", "n_unknown", "n_duplicates", "n_quarantined", "pending_file")
    figures = {name: getattr(batch, name) for name in counts}
    conn.execute(RECORD_BATCH, common | figures | {"quarantine": json.dumps(dict(batch.quarantine)), "run_id": run_id})
    starts = list(batch.files)
    windows = {
        "window_start": starts,
        "n_labels": [batch.windows.get(start, 0) for start in starts],
        "lake_file": [batch.files[start] for start in starts],
    }
    conn.execute(RECORD_BATCH_WINDOWS, common | windows)
    conn.execute(RECORD_BATCH_FILES, common | {"path": list(label_file_paths)})


def label_files(conn: Connection, monitor: str, windows: Iterable[Window]) -> dict[datetime, list[str]]:
    """Lake files of the labels of each window, in order of batch; a window without labels has an empty list."""
    wanted = _starts(windows)
    found: dict[datetime, list[str]] = {start: [] for start in wanted}
    for start, path in conn.execute(LABEL_FILES, {"monitor": monitor, "starts": wanted}):
        found[start].append(path)
    return found


def read_labels_again(conn: Connection, monitor: str, window: Window) -> None:
    """The next batch reads the files again that brought the window labels, where those are gone from the lake."""
    conn.execute(READ_LABELS_AGAIN, {"monitor": monitor, "window_start": window.start})


def latest_batch(conn: Connection, monitor: str, windows: Iterable[Window]) -> dict[datetime, int]:
    """Number of the newest batch that touched each window; 0 where none did."""
    wanted = _starts(windows)
    rows = conn.execute(LATEST_BATCH, {"monitor": monitor, "starts": wanted})
    return dict.fromkeys(wanted, 0) | {row.window_start: row.batch for row in rows}


# -- stages ------------------------------------------------------------------------------------------------------------


def complete_stage(
    conn: Connection,
    monitor: str,
    window: Window,
    stage: Stage,
    *,
    data_version: str,
    label_batch: int | None,
    config_version: str,
    code_version: str,
    run_id: str | None,
    inputs: Mapping[str, str | None],
    output_version: str | None,
) -> None:
    """The stage is done; failures are forgotten. ``label_batch`` None: it depends on no labels.

    ``inputs``: version of everything it read, None for what it looked for and did not find; the view ``stage_input``
    says which names there are. ``output_version``: of what it wrote; None: the same as before.
    """
    made = {
        "data_version": data_version,
        "label_batch": label_batch,
        "config_version": config_version,
        "code_version": code_version,
        "run_id": run_id,
        "inputs": json.dumps(dict(inputs)),
        "output_version": output_version,
    }
    conn.execute(COMPLETE_STAGE, _stage_key(monitor, window, stage) | made)


def fail_stage(
    conn: Connection,
    monitor: str,
    window: Window,
    stage: Stage,
    error: str,
    *,
    label_batch: int | None,
    run_id: str | None,
) -> None:
    """The stage failed once more; call it in its own transaction. Anything new to compute from resets the count."""
    what = {"error": error or "unknown error", "label_batch": label_batch, "run_id": run_id}
    conn.execute(FAIL_STAGE, _stage_key(monitor, window, stage) | what)


def stage_states(conn: Connection, monitor: str, windows: Iterable[Window]) -> dict[tuple[datetime, Stage], StageState]:
    """What each stage was last computed from, by (window start, stage); stages never tried are absent."""
    rows = conn.execute(STAGE_STATES, {"monitor": monitor, "starts": _starts(windows)}).mappings()
    return {
        (row["window_start"], row["stage"]): StageState(**{k: v for k, v in row.items() if k != "window_start"})
        for row in rows
    }


def stale_windows(conn: Connection, monitor: str, max_attempts: int = MAX_ATTEMPTS) -> list[StaleWindow]:
    """Stages older than what they are computed from, by window.

    A window that a stage of has failed ``max_attempts`` times is left out, with the stages that wait for that one.
    """
    rows = conn.execute(STALE_WINDOWS, {"monitor": monitor, "max_attempts": max_attempts})
    return [StaleWindow(Window(start, end), reason, stage, attempts) for start, end, reason, stage, attempts in rows]


def _stage_key(monitor: str, window: Window, stage: Stage) -> dict[str, Any]:
    return {"monitor": monitor, "window_start": window.start, "window_end": window.end, "stage": stage}


def _starts(windows: Iterable[Window]) -> list[datetime]:
    return [window.start for window in windows]
