"""Label batches: which files they read, which windows they touched."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import datetime

from sqlalchemy import Connection, text

from monitoring_pipeline.records import LabelBatch
from monitoring_pipeline.warehouse.ledger.monitors import lock_monitor
from monitoring_pipeline.windows import Window, starts_of

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


def unread_label_files(conn: Connection, monitor: str) -> list[str]:
    """Ground-truth files, oldest first, that are new or changed since a batch read them."""
    return list(conn.execute(UNREAD_LABEL_FILES, {"monitor": monitor}).scalars())


def next_batch(conn: Connection, monitor: str) -> int:
    """Number of the next batch. No one else gets one until the transaction ends: record it in the same."""
    lock_monitor(conn, monitor)
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
    wanted = starts_of(windows)
    found: dict[datetime, list[str]] = {start: [] for start in wanted}
    for start, path in conn.execute(LABEL_FILES, {"monitor": monitor, "starts": wanted}):
        found[start].append(path)
    return found


def read_labels_again(conn: Connection, monitor: str, window: Window) -> None:
    """The next batch reads the files again that brought the window labels, where those are gone from the lake."""
    conn.execute(READ_LABELS_AGAIN, {"monitor": monitor, "window_start": window.start})


def latest_batch(conn: Connection, monitor: str, windows: Iterable[Window]) -> dict[datetime, int]:
    """Number of the newest batch that touched each window; 0 where none did."""
    wanted = starts_of(windows)
    rows = conn.execute(LATEST_BATCH, {"monitor": monitor, "starts": wanted})
    return dict.fromkeys(wanted, 0) | {row.window_start: row.batch for row in rows}
