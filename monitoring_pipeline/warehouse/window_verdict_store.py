"""Calibrated verdicts on performance, volume, coverage and freshness, and what they were last made from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, text

from monitoring_pipeline.alerting.performance.bounds import Judged
from monitoring_pipeline.warehouse.copying import copy_rows
from monitoring_pipeline.windows import Window

KEY = ("window_start", "kind", "model_version", "segment", "subject")
VALUES = (
    *("status", "contrast", "horizon", "effect", "p_value", "q_value", "value", "expected", "source", "reason"),
    *("cause", "mature", "clock"),
)
# What a verdict on these windows may rest on: rows, labels and which labels are due. Of windows that were taken in
# before that age, every age counts.
INPUTS = text("""
select md5(string_agg(w.window_start || ' ' || coalesce(g.output_version, '') || ' ' || w.n_rows || ' ' ||
                      (:now >= w.window_end + cast(:max_delay as interval)) || ' ' ||
                      coalesce((select count(*) from unnest(cast(:ages as interval[])) a
                                where :now >= w.window_end + a and w.rows_since <= w.window_end + a), 0),
                      ',' order by w.window_start))
       || (select coalesce(max(b.batch), 0) from monitoring.label_batch b where b.monitor = :monitor)
from monitoring.prediction_window w
left join monitoring.window_stage g
  on g.monitor = w.monitor and g.window_start = w.window_start and g.stage = 'ground_truth'
 and g.completed_at is not null
where w.monitor = :monitor
""")
TAKEN_IN = text("""
select window_start, window_end, n_rows, rows_since from monitoring.prediction_window
where monitor = :monitor order by window_start
""")
LAST_INPUTS = text("select inputs from monitoring.window_fold where monitor = :monitor")
KEEP_INPUTS = text("""
insert into monitoring.window_fold (monitor, inputs) values (:monitor, :inputs)
on conflict (monitor) do update set inputs = excluded.inputs
""")
STANDING = text("""
select window_start, kind, model_version, segment, subject, status, contrast, horizon, effect, p_value, q_value, value,
       expected, source, reason, cause, mature, clock
from monitoring.window_verdict v
join unnest(cast(:kinds as text[]), cast(:firsts as timestamptz[])) as f (kind, first) using (kind)
where v.monitor = :monitor and v.window_start >= f.first
""")
JOINED = text("""
select window_start, output_version from monitoring.window_stage
where monitor = :monitor and stage = 'ground_truth' and completed_at is not null
""")
# Labels that had come when windows had that age, of windows whose rows had come by then.
LABELS_AT_AGE = text("""
select w.window_start, least(coalesce(sum(l.n_labels), 0), w.n_rows) as n
from monitoring.prediction_window w
left join (monitoring.label_batch_window l join monitoring.label_batch b using (monitor, batch))
  on l.monitor = w.monitor and l.window_start = w.window_start
 and b.taken_in_at <= w.window_end + cast(:age as interval)
where w.monitor = :monitor and w.rows_since <= w.window_end + cast(:age as interval)
  and :now >= w.window_end + cast(:age as interval)
group by w.window_start, w.n_rows
""")
OF_FRESHNESS = text("""
select window_start, window_end, kind, model_version, segment, subject, status, contrast, horizon, effect, p_value,
       q_value, value, expected, source, reason, cause, mature, clock
from monitoring.window_verdict where monitor = :monitor and kind = 'freshness'
""")
OF_WINDOWS = text("""
select window_start, model_version, segment, subject, status, contrast, source, mature from monitoring.window_verdict
where monitor = :monitor and kind = 'performance' and window_start = any (cast(:starts as timestamptz[]))
""")
DELETE = text("""
delete from monitoring.window_verdict v
using unnest(cast(:window_start as timestamptz[]), cast(:kind as text[]), cast(:model_version as text[]),
             cast(:segment as text[]), cast(:subject as text[]))
  as d (window_start, kind, model_version, segment, subject)
where v.monitor = :monitor and (v.window_start, v.kind, v.model_version, v.segment, v.subject)
  = (d.window_start, d.kind, d.model_version, d.segment, d.subject)
""")


Place = tuple[datetime, str, str]  # window start, model version, segment


@dataclass(frozen=True)
class WindowVerdict:
    """One verdict. ``subject`` is empty for the whole; numbers that are not known are None."""

    window: Window
    kind: str
    model_version: str
    segment: str
    subject: str
    status: str
    contrast: str
    horizon: int
    effect: float | None
    p_value: float | None
    q_value: float | None
    value: float | None
    expected: float | None
    source: str
    reason: str
    cause: str
    mature: bool | None = None
    clock: datetime | None = None

    @property
    def key(self) -> tuple[datetime, str, str, str, str]:
        """What tells it from others of the monitor."""
        return self.window.start, self.kind, self.model_version, self.segment, self.subject


@dataclass(frozen=True)
class TakenIn:
    """A window that was taken in, and when its first rows were; None: it has none."""

    window: Window
    n_rows: int
    rows_since: datetime | None


def inputs(conn: Connection, monitor: str, max_delay: timedelta, ages: Sequence[timedelta], now: datetime) -> str:
    """Digest of everything that the monitor's verdicts may rest on; empty when nothing was taken in."""
    wanted = {"monitor": monitor, "max_delay": max_delay, "ages": list(ages), "now": now}
    return conn.execute(INPUTS, wanted).scalar() or ""


def last_inputs(conn: Connection, monitor: str) -> str | None:
    """The digest that the standing verdicts were made from."""
    found: str | None = conn.execute(LAST_INPUTS, {"monitor": monitor}).scalar()
    return found


def taken_in(conn: Connection, monitor: str) -> list[TakenIn]:
    """Every window that was taken in, in order."""
    rows = conn.execute(TAKEN_IN, {"monitor": monitor})
    return [TakenIn(Window(r.window_start, r.window_end), r.n_rows, r.rows_since) for r in rows]


def labels_at_age(conn: Connection, monitor: str, age: timedelta, now: datetime) -> dict[datetime, int]:
    """Labels by window start that had come when the window had this age; only windows that were there by then."""
    found = conn.execute(LABELS_AT_AGE, {"monitor": monitor, "age": age, "now": now})
    return {row.window_start: int(row.n) for row in found}


def joined(conn: Connection, monitor: str) -> dict[datetime, str]:
    """By window start: which version of its outcomes stands."""
    return {row.window_start: row.output_version for row in conn.execute(JOINED, {"monitor": monitor})}


def replace(
    conn: Connection,
    monitor: str,
    judgement_id: int,
    firsts: Mapping[str, datetime],
    verdicts: Iterable[WindowVerdict],
    made_from: str | None,
) -> list[datetime]:
    """Replaces the verdicts of these kinds on windows that start at the kind's moment of ``firsts`` or later by these;
    equal ones are not touched.

    ``made_from``: digest of what they rest on; None: they rest on the clock. Returns the starts of the windows with a
    changed verdict.
    """
    wanted_of = {"monitor": monitor, "kinds": list(firsts), "firsts": list(firsts.values())}
    standing = {
        tuple(getattr(r, name) for name in KEY): tuple(getattr(r, name) for name in VALUES)
        for r in conn.execute(STANDING, wanted_of)
    }
    wanted = {one.key: one for one in verdicts}
    fresh = [one for key, one in wanted.items() if standing.get(key) != tuple(getattr(one, name) for name in VALUES)]
    gone = [*(key for key in standing if key not in wanted), *(one.key for one in fresh if one.key in standing)]
    if gone:
        columns = dict(zip(KEY, map(list, zip(*gone, strict=True)), strict=True))
        conn.execute(DELETE, {"monitor": monitor} | columns)
    names = ("monitor", "window_start", "window_end", *KEY[1:], *VALUES, "judgement_id")
    copy_rows(conn, "monitoring.window_verdict", names, [_row(monitor, one, judgement_id) for one in fresh])
    if made_from is not None:
        conn.execute(KEEP_INPUTS, {"monitor": monitor, "inputs": made_from})
    return sorted({key[0] for key in gone} | {one.window.start for one in fresh})


def performance_of(conn: Connection, monitor: str, windows: Iterable[Window]) -> dict[Place, dict[str, Judged]]:
    """The verdict on each subject, by (window start, version, segment)."""
    found: dict[Place, dict[str, Judged]] = {}
    for r in conn.execute(OF_WINDOWS, {"monitor": monitor, "starts": [window.start for window in windows]}):
        of = found.setdefault((r.window_start, r.model_version, r.segment), {})
        of[r.subject] = Judged(r.status, r.contrast, r.source, r.mature)
    return found


def freshness(conn: Connection, monitor: str) -> dict[datetime, WindowVerdict]:
    """The verdicts on freshness by window start."""
    rows = conn.execute(OF_FRESHNESS, {"monitor": monitor}).mappings()
    return {
        row["window_start"]: WindowVerdict(
            Window(row["window_start"], row["window_end"]),
            **{name: row[name] for name in (*KEY[1:], *VALUES)},
        )
        for row in rows
    }


def _row(monitor: str, one: WindowVerdict, judgement_id: int) -> tuple[Any, ...]:
    values = (getattr(one, name) for name in VALUES)
    return (monitor, one.window.start, one.window.end, *one.key[1:], *values, judgement_id)
