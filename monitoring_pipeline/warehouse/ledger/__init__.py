"""The ledger: which source files were seen, which windows were taken in, which stages were computed from what.

Functions take the connection of the caller's transaction first. Windows are named by their start; times are aware and
UTC. Counters of a monitor (revisions, batches) are handed out under a lock on its row: who commits later has more.
"""

from monitoring_pipeline.warehouse.ledger.files import (
    files_of_windows,
    known_files,
    mark_unreadable,
    never_read_files,
    note_missed,
    record_files,
    source_revisions,
    sources_of_windows,
    unreadable_files,
    windows_with_sources,
)
from monitoring_pipeline.warehouse.ledger.labels import (
    label_files,
    latest_batch,
    next_batch,
    pending_label_files,
    pending_may_match,
    read_labels_again,
    record_batch,
    unread_label_files,
)
from monitoring_pipeline.warehouse.ledger.monitors import (
    declarations,
    declare_monitor,
    know_stages,
    lock_monitor,
    monitor_names,
)
from monitoring_pipeline.warehouse.ledger.stages import (
    Completed,
    complete_stage,
    complete_stages,
    current_windows,
    fail_stage,
    stage_states,
)
from monitoring_pipeline.warehouse.ledger.windows import (
    ingested,
    lock_verdicts,
    lock_window,
    lock_windows,
    record_ingested,
    record_windows,
)

__all__ = [
    "Completed",
    "complete_stage",
    "complete_stages",
    "current_windows",
    "declarations",
    "declare_monitor",
    "fail_stage",
    "files_of_windows",
    "ingested",
    "know_stages",
    "known_files",
    "label_files",
    "latest_batch",
    "lock_monitor",
    "lock_verdicts",
    "lock_window",
    "lock_windows",
    "mark_unreadable",
    "monitor_names",
    "never_read_files",
    "next_batch",
    "note_missed",
    "pending_label_files",
    "pending_may_match",
    "read_labels_again",
    "record_batch",
    "record_files",
    "record_ingested",
    "record_windows",
    "source_revisions",
    "sources_of_windows",
    "stage_states",
    "unread_label_files",
    "unreadable_files",
    "windows_with_sources",
]
