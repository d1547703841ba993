"""Windows that lie in the lake."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

from monitoring_pipeline.records import Contract, IngestedWindow
from monitoring_pipeline.windows import Window, starts_of

NEXT_INGESTION_REVISION = text("""
update monitoring.monitor set ingestion_revision = ingestion_revision + 1 where monitor = :monitor
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
LOCK_WINDOW = text("select pg_advisory_xact_lock(hashtextextended(:window, 0))")
LOCK_VERDICTS = text("select pg_advisory_xact_lock(hashtextextended(:monitor, 1))")


def lock_verdicts(conn: Connection, monitor: str) -> None:
    """Until the end of the transaction nobody else folds verdicts of this monitor."""
    conn.execute(LOCK_VERDICTS, {"monitor": f"monitoring:{monitor}:verdicts"})


def lock_window(conn: Connection, monitor: str, window: Window) -> None:
    """Until the transaction ends nobody else works on this window: two runs of it at once take turns."""
    conn.execute(LOCK_WINDOW, {"window": f"monitoring:{monitor}:{window.start.isoformat()}"})


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
