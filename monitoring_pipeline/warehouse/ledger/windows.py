"""Windows that lie in the lake."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

from monitoring_pipeline.records import Contract, IngestedWindow
from monitoring_pipeline.warehouse.copying import text_array_literal
from monitoring_pipeline.windows import Window, starts_of

NEXT_INGESTION_REVISIONS = text("""
update monitoring.monitor set ingestion_revision = ingestion_revision + :n where monitor = :monitor
returning ingestion_revision
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
update monitoring.prediction_window p
set source_revision = greatest(p.source_revision, n.source_revision), pruned_at = null
from unnest(cast(:window_start as timestamptz[]), cast(:source_revision as bigint[])) n (window_start, source_revision)
where p.monitor = :monitor and p.window_start = n.window_start
""")
# What was computed of them before is gone.
FORGET_STAGES_OF_PRUNED = text("""
delete from monitoring.window_stage s using monitoring.prediction_window p
where p.monitor = :monitor and p.window_start = any (cast(:window_start as timestamptz[])) and p.pruned_at is not null
  and s.monitor = p.monitor and s.window_start = p.window_start and s.stage <> 'ingestion'
""")
RECORD_INGESTED = text("""
insert into monitoring.prediction_window (monitor, window_start, window_end, n_rows, n_duplicates, n_quarantined,
  last_event_at, data_version, source_revision, ingestion_revision, lake_files, versions, contract, run_id, rows_since)
select :monitor, n.window_start, n.window_end, n.n_rows, n.n_duplicates, n.n_quarantined, n.last_event_at,
  n.data_version, n.source_revision, n.ingestion_revision, cast(n.lake_files as text[]), cast(n.versions as jsonb),
  cast(n.contract as jsonb), :run_id, case when n.n_rows > 0 then now() end
from unnest(cast(:window_start as timestamptz[]), cast(:window_end as timestamptz[]), cast(:n_rows as bigint[]),
            cast(:n_duplicates as bigint[]), cast(:n_quarantined as bigint[]), cast(:last_event_at as timestamptz[]),
            cast(:data_version as text[]), cast(:source_revision as bigint[]), cast(:ingestion_revision as bigint[]),
            cast(:lake_files as text[]), cast(:versions as text[]), cast(:contract as text[]))
  n (window_start, window_end, n_rows, n_duplicates, n_quarantined, last_event_at, data_version, source_revision,
     ingestion_revision, lake_files, versions, contract)
on conflict (monitor, window_start) do update set window_end = excluded.window_end, n_rows = excluded.n_rows,
  n_duplicates = excluded.n_duplicates, n_quarantined = excluded.n_quarantined, last_event_at = excluded.last_event_at,
  data_version = excluded.data_version, source_revision = excluded.source_revision,
  ingestion_revision = excluded.ingestion_revision, lake_files = excluded.lake_files, versions = excluded.versions,
  contract = excluded.contract, run_id = excluded.run_id, ingested_at = now(), pruned_at = null,
  rows_since = coalesce(prediction_window.rows_since, excluded.rows_since)
""")
FORGET_QUARANTINE = text("""
delete from monitoring.window_quarantine
where monitor = :monitor and window_start = any (cast(:window_start as timestamptz[]))
""")
RECORD_QUARANTINE = text("""
insert into monitoring.window_quarantine (monitor, window_start, reason, count)
select :monitor, q.*
from unnest(cast(:window_start as timestamptz[]), cast(:reason as text[]), cast(:count as bigint[])) q
""")
LOCK_WINDOWS = text("select pg_advisory_xact_lock(hashtextextended(w, 0)) from unnest(cast(:windows as text[])) w")
LOCK_VERDICTS = text("select pg_advisory_xact_lock(hashtextextended(:monitor, 1))")


def lock_verdicts(conn: Connection, monitor: str) -> None:
    """Until the end of the transaction nobody else folds verdicts of this monitor."""
    conn.execute(LOCK_VERDICTS, {"monitor": f"monitoring:{monitor}:verdicts"})


def lock_windows(conn: Connection, monitor: str, windows: Iterable[Window]) -> None:
    """Until the transaction ends nobody else works on these windows: two runs of one at once take turns.

    All locks a transaction needs are taken here at once, in the order of time: two runs cannot wait for each other.
    """
    names = [f"monitoring:{monitor}:{start.isoformat()}" for start in sorted(starts_of(windows))]
    conn.execute(LOCK_WINDOWS, {"windows": names})


def lock_window(conn: Connection, monitor: str, window: Window) -> None:
    """``lock_windows`` of one."""
    lock_windows(conn, monitor, [window])


def record_windows(
    conn: Connection, monitor: str, taken: Sequence[tuple[IngestedWindow, int]], run_id: str | None
) -> list[bool]:
    """These windows lie in the lake, each read from sources of a revision. True where that differs from before.

    Retention that has been at one is over for it: all of its stages are to be done again.
    """
    starts = [one.window.start for one, _ in taken]
    conn.execute(FORGET_STAGES_OF_PRUNED, {"monitor": monitor, "window_start": starts})
    before = ingested(conn, monitor, [one.window for one, _ in taken])
    differs = [before.get(one.window.start) != one for one, _ in taken]
    same = [pair for pair, new in zip(taken, differs, strict=True) if not new]
    changed = [pair for pair, new in zip(taken, differs, strict=True) if new]
    if same:
        revised = {"window_start": [one.window.start for one, _ in same], "source_revision": [r for _, r in same]}
        conn.execute(CONSIDER_SOURCES, {"monitor": monitor} | revised)
    if changed:
        _record(conn, monitor, changed, run_id)
    return differs


def record_ingested(
    conn: Connection, monitor: str, taken: IngestedWindow, source_revision: int, run_id: str | None
) -> bool:
    """``record_windows`` of one."""
    return record_windows(conn, monitor, [(taken, source_revision)], run_id)[0]


def _record(conn: Connection, monitor: str, taken: Sequence[tuple[IngestedWindow, int]], run_id: str | None) -> None:
    last = conn.execute(NEXT_INGESTION_REVISIONS, {"monitor": monitor, "n": len(taken)}).scalar_one()
    windows = [one for one, _ in taken]
    starts = [one.window.start for one in windows]
    rows: dict[str, list[Any]] = {
        "window_start": starts,
        "window_end": [one.window.end for one in windows],
        "last_event_at": [one.last_event for one in windows],
        "source_revision": [revision for _, revision in taken],
        "ingestion_revision": list(range(last - len(taken) + 1, last + 1)),
        "lake_files": [text_array_literal(one.files) for one in windows],
        "versions": [json.dumps(dict(one.versions)) for one in windows],
        "contract": [json.dumps(_contract_json(one.contract)) for one in windows],
    }
    for name in ("n_rows", "n_duplicates", "n_quarantined", "data_version"):
        rows[name] = [getattr(one, name) for one in windows]
    conn.execute(RECORD_INGESTED, {"monitor": monitor, "run_id": run_id} | rows)
    conn.execute(FORGET_QUARANTINE, {"monitor": monitor, "window_start": starts})
    reasons = [(one.window.start, *q) for one in windows for q in one.quarantine.items() if q[1]]
    if reasons:
        columns = dict(zip(("window_start", "reason", "count"), map(list, zip(*reasons, strict=True)), strict=True))
        conn.execute(RECORD_QUARANTINE, {"monitor": monitor} | columns)


def ingested(conn: Connection, monitor: str, windows: Iterable[Window] | None = None) -> dict[datetime, IngestedWindow]:
    """What lies in the lake, by window start in order: of these windows, or of all."""
    starts = None if windows is None else starts_of(windows)
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
