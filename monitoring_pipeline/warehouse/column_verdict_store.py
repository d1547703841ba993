"""Verdicts on columns, the null distributions behind them, and from which window on they must be judged again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, text

from monitoring_pipeline.measurements import MetricKeys
from monitoring_pipeline.warehouse.copying import (
    Literal,
    copy_rows,
    like_first,
    parse_counts,
    text_array_literal,
)
from monitoring_pipeline.warehouse.measurement_store import keys_by_id, keys_id
from monitoring_pipeline.warehouse.packing import many_from_planes, unpack
from monitoring_pipeline.warehouse.partitions import ensure_months
from monitoring_pipeline.windows import Window

# The model versions of a window are one text, with a separator that no name holds.
VERSION_SETS = text("""
select distinct (select coalesce(string_agg(k, e'\x1f' order by k collate "C"), '')
                 from jsonb_object_keys(p.versions) k) as versions
from monitoring.prediction_window p where monitor = :monitor
""")
# All that is judged from the first window on whose profile, mature outcomes, references or rules are not those it was
# judged by. Each window is looked up by its key: a join over all of them takes their square where Postgres has no
# statistics yet, as while a new monitor's history is taken in.
TO_JUDGE = text("""
with profiled as (
  select s.window_start, s.window_end, known.output_version,
         j.null_version is not distinct from n.null_version
         and case when s.window_end < :kept_from  -- what is known of its labels is deleted with its verdicts
             then split_part(j.profile_version, ' ', 1) is not distinct from split_part(known.output_version, ' ', 1)
             else j.profile_version is not distinct from known.output_version end
         and (j.n_judged = 0 or s.window_end < :kept_from or exists (
           select from monitoring.column_verdict v where v.monitor = s.monitor and v.window_start = s.window_start))
         as judged, n.null_version
  from monitoring.window_stage s
  left join lateral (
    select g.output_version || ' ' || (
      select string_agg(distinct v.model_version || '/' || v.segment, ',') from monitoring.window_verdict v
      where v.monitor = s.monitor and v.window_start = s.window_start and v.kind = 'performance' and v.mature) as key
    from monitoring.window_stage g
    where g.monitor = s.monitor and g.window_start = s.window_start and g.stage = 'ground_truth'
      and g.completed_at is not null limit 1) grown on true
  cross join lateral (select s.output_version || coalesce(' ' || md5(grown.key), '') as output_version) known
  left join lateral (
    select * from monitoring.judged_window j where j.monitor = s.monitor and j.window_start = s.window_start limit 1
  ) j on true
  left join lateral (
    select (select coalesce(string_agg(k, e'\\x1f' order by k collate "C"), '') from jsonb_object_keys(p.versions) k)
      as versions
    from monitoring.prediction_window p
    where p.monitor = s.monitor and p.window_start = s.window_start limit 1) p on true
  left join unnest(cast(:versions as text[]), cast(:null_versions as text[])) n (versions, null_version)
    on n.versions = coalesce(p.versions, '')
  where s.monitor = :monitor and s.stage = 'profile' and s.completed_at is not null and s.output_version is not null)
select window_start, window_end, output_version, coalesce(null_version, '') as null_version from profiled
where window_start >= (select min(window_start) from profiled where not judged)
order by window_start
""")
COUNTS = text("""
select window_start, model_version, segment, layout_id, cast(counts as text) as counts, low, high
from monitoring.profile
where monitor = :monitor and scope = :scope and part = 'columns'
  and window_start >= :first and window_start < :stop
order by window_start, model_version, segment
""")
# Outcomes of windows and segments whose labels are complete enough.
TARGETS = text("""
select p.window_start, p.model_version, p.segment, p.layout_id, cast(p.counts as text) as counts, p.low, p.high,
       p.packed
from monitoring.profile p
where p.monitor = :monitor and p.scope = :scope and p.part = 'target'
  and p.window_start >= :first and p.window_start < :stop
  and (p.scope <> 'window' or (
    select bool_and(v.mature) from monitoring.window_verdict v
    where v.monitor = p.monitor and v.window_start = p.window_start and v.kind = 'performance'
      and v.model_version = p.model_version and v.segment = p.segment))
order by p.window_start, p.model_version, p.segment
""")
REFERENCE_COUNTS = text("""
select p.window_start, p.model_version, p.segment, p.layout_id, cast(p.counts as text) as counts, p.low, p.high,
       p.packed
from monitoring.reference_profile r
join monitoring.profile p
  on p.monitor = r.monitor and p.window_start = r.window_start and p.window_end = r.window_end and p.scope = 'reference'
 and p.model_version = r.model_version
where r.monitor = :monitor and p.part = :part
order by p.model_version, p.segment
""")
EARLIER = text("""
select window_start, model_version, segment, metric_keys_id,
       array_send(array_replace(p_value, null, p_value[1])) as p_value,
       array_send(array_replace(p_alarm, null, p_alarm[1])) as p_alarm
from monitoring.column_verdict
where monitor = :monitor and window_start >= :first and window_start < :stop
""")
HEADER = 20  # bytes of an array of one dimension as Postgres sends it, before each element with its length
ELEMENT = np.dtype([("length", ">i4"), ("value", ">f4")])
STANDING = text("""
select window_start, model_version, segment, metric_keys_id, array_replace(status, null, status[1])::text as status,
       sources, pinned
from monitoring.column_verdict
where monitor = :monitor and window_start = any (cast(:starts as timestamptz[]))
  and window_start >= :first and window_start <= :last
""")
FORGET = text("""
delete from monitoring.column_verdict where monitor = :monitor and window_start = any (cast(:starts as timestamptz[]))
""")
FORGET_JUDGED = text("""
delete from monitoring.judged_window where monitor = :monitor and window_start = any (cast(:starts as timestamptz[]))
""")
PIN = text("""
update monitoring.column_verdict set pinned = cast(:pinned as smallint[])
where monitor = :monitor and window_start = :start and model_version = :model_version and segment = :segment
  and pinned is distinct from cast(:pinned as smallint[])
""")
FORGET_NULLS = text("delete from monitoring.drift_null where monitor = :monitor")
ROW = (
    *("monitor", "window_start", "window_end", "model_version", "segment", "metric_keys_id", "p_value", "p_alarm"),
    *("q_value", "season_known", "status", "moved", "horizon", "effect", "n", "sources"),
)
JUDGED_ROW = (
    *("monitor", "window_start", "window_end", "profile_version", "null_version", "level", "n_judged", "n_alarms"),
    *("n_notices", "judgement_id"),
)
NULL_ARRAYS = ("s2", "noise", "df", "rho", "tail", "season_s2", "season_df")
NULL_ROW = (
    *("monitor", "model_version", "segment", "valid_from", "column_names", "contrasts"), *NULL_ARRAYS, "sources",
)  # fmt: skip

EarlierRow = tuple[datetime, str, str, MetricKeys, NDArray[np.float64], NDArray[np.float64]]
"""Window start, version, segment, keys, p_value and p_alarm."""
SEPARATOR = "\x1f"
VersionSet = tuple[str, ...]
"""Model versions of one window, sorted by their code points."""


@dataclass(frozen=True)
class ProfiledWindow:
    """A window with a profile, and mature outcomes if any, of this version, and what its verdicts are to rest on
    beside it."""

    window: Window
    version: str
    null_version: str


@dataclass(frozen=True)
class StoredCounts:
    """The counts of part ``columns`` of one profile, as they lie in the row."""

    start: datetime
    model_version: str
    segment: str
    layout_id: str
    counts: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class ColumnRow:
    """The verdicts on the columns of one (window, model version, segment); arrays of shape (C,) in the order of
    ``keys``. ``moved``: name of what moved, None for nothing.
    """

    window: Window
    model_version: str
    segment: str
    keys: MetricKeys
    p_value: NDArray[np.float64]
    p_alarm: NDArray[np.float64]
    q_value: NDArray[np.float64]
    season_known: NDArray[np.bool_]
    status: NDArray[np.int8]
    moved: tuple[str | None, ...]
    horizon: NDArray[np.int16]
    effect: NDArray[np.float64]
    n: NDArray[np.int64]
    sources: tuple[str, ...]


@dataclass(frozen=True)
class JudgedWindow:
    """What the verdicts of a window rest on, and how many of them there are of each kind."""

    window: Window
    profile_version: str
    null_version: str
    level: float
    n_judged: int
    n_alarms: int
    n_notices: int


@dataclass(frozen=True, eq=False)
class StoredNull:
    """How much the contrasts of one (model version, segment) vary; arrays of shape (N,)."""

    model_version: str
    segment: str
    columns: tuple[str, ...]
    contrasts: tuple[str, ...]
    arrays: Mapping[str, NDArray[np.float64]]
    sources: tuple[str, ...]


@dataclass(frozen=True)
class Standing:
    """The stored verdicts on the columns of ``keys``: ``status`` and ``sources`` in their order. ``pinned``: whether
    pinned thresholds decide any of them.
    """

    keys: MetricKeys
    status: tuple[int, ...]
    sources: tuple[str, ...]
    pinned: bool = False


def to_judge(
    conn: Connection, monitor: str, null_versions: Mapping[VersionSet, str], kept_from: datetime | None = None
) -> list[ProfiledWindow]:
    """The windows whose columns are to be judged, in order; none when all verdicts stand.

    ``null_versions``: by the model versions of a window, what its verdicts are to rest on beside the windows; a window
    whose versions are not in it is to be judged.
    ``kept_from``: verdicts on windows that end before are deleted and not missed; None: all are kept.
    """
    by_text = {SEPARATOR.join(versions): made for versions, made in null_versions.items()}
    which = {"monitor": monitor, "versions": list(by_text), "null_versions": list(by_text.values())}
    rows = conn.execute(TO_JUDGE, which | {"kept_from": kept_from or "-infinity"})
    return [ProfiledWindow(Window(r.window_start, r.window_end), r.output_version, r.null_version) for r in rows]


def version_sets(conn: Connection, monitor: str) -> list[VersionSet]:
    """Which model versions ever stood together in a window."""
    rows = conn.execute(VERSION_SETS, {"monitor": monitor})
    return [tuple(row.versions.split(SEPARATOR)) if row.versions else () for row in rows]


def window_counts(conn: Connection, monitor: str, first: datetime, stop: datetime) -> list[StoredCounts]:
    """Of the windows that start in [first, stop)."""
    return _counts(conn.execute(COUNTS, {"monitor": monitor, "scope": "window", "first": first, "stop": stop}))


def block_counts(conn: Connection, monitor: str) -> list[StoredCounts]:
    """Of all blocks of all references."""
    everything = {"first": "-infinity", "stop": "infinity"}
    return _counts(conn.execute(COUNTS, {"monitor": monitor, "scope": "block"} | everything))


def reference_counts(conn: Connection, monitor: str, part: str = "columns") -> list[StoredCounts]:
    """Of each reference and its segments."""
    return _counts(conn.execute(REFERENCE_COUNTS, {"monitor": monitor, "part": part}))


def target_counts(
    conn: Connection, monitor: str, scope: str, first: datetime | str = "-infinity", stop: datetime | str = "infinity"
) -> list[StoredCounts]:
    """Of the outcome's own column: of blocks, or of the windows that start in [first, stop) and are mature."""
    return _counts(conn.execute(TARGETS, {"monitor": monitor, "scope": scope, "first": first, "stop": stop}))


def earlier_p_values(conn: Connection, monitor: str, first: datetime, stop: datetime) -> list[EarlierRow]:
    """Of the windows that start in [first, stop)."""
    rows = conn.execute(EARLIER, {"monitor": monitor, "first": first, "stop": stop}).all()
    keys = keys_by_id(conn, {row.metric_keys_id for row in rows})
    return [
        (start, version, segment, keys[number], _sent(p_value), _sent(p_alarm))
        for start, version, segment, number, p_value, p_alarm in rows
    ]


def replace(
    conn: Connection, monitor: str, judgement_id: int, judged: Sequence[JudgedWindow], rows: Iterable[ColumnRow]
) -> None:
    """Replaces the verdicts on the columns of these windows."""
    starts = [one.window.start for one in judged]
    ensure_months(conn, "column_verdict", [one.window for one in judged])
    for statement in (FORGET, FORGET_JUDGED):
        conn.execute(statement, {"monitor": monitor, "starts": starts})
    copy_rows(conn, "monitoring.column_verdict", ROW, [_row(conn, monitor, one) for one in rows])
    copy_rows(conn, "monitoring.judged_window", JUDGED_ROW, [
        (monitor, one.window.start, one.window.end, one.profile_version, one.null_version, one.level, one.n_judged,
         one.n_alarms, one.n_notices, judgement_id)
        for one in judged
    ])  # fmt: skip


def replace_nulls(conn: Connection, monitor: str, valid_from: datetime, nulls: Sequence[StoredNull]) -> None:
    """Replaces what is known of how much contrasts vary."""
    conn.execute(FORGET_NULLS, {"monitor": monitor})
    copy_rows(conn, "monitoring.drift_null", NULL_ROW, [
        (monitor, one.model_version, one.segment, valid_from, text_array_literal(one.columns),
         text_array_literal(one.contrasts), *(one.arrays[name] for name in NULL_ARRAYS),
         text_array_literal(one.sources))
        for one in nulls
    ])  # fmt: skip


def standing(conn: Connection, monitor: str, windows: Iterable[Window]) -> dict[tuple[datetime, str, str], Standing]:
    """The calibrated status of each column, by (window start, version, segment)."""
    starts = sorted({window.start for window in windows})
    if not starts:
        return {}
    wanted = {"monitor": monitor, "starts": starts, "first": starts[0], "last": starts[-1]}
    rows = conn.execute(STANDING, wanted).all()
    keys = keys_by_id(conn, {row.metric_keys_id for row in rows})
    return {
        (row.window_start, row.model_version, row.segment): Standing(
            keys[row.metric_keys_id],
            tuple(parse_counts(row.status).tolist()),
            _repeated(row.sources, len(keys[row.metric_keys_id])),
            row.pinned is not None,
        )
        for row in rows
    }


def pin(
    conn: Connection,
    monitor: str,
    start: datetime,
    model_version: str,
    segment: str,
    pinned: Sequence[int | None] | None,
) -> None:
    """Keeps what pinned thresholds say of the columns of one row; None where none is pinned."""
    values = None if pinned is None else "{" + ",".join("NULL" if p is None else str(p) for p in pinned) + "}"
    which = {"monitor": monitor, "start": start, "model_version": model_version, "segment": segment}
    conn.execute(PIN, which | {"pinned": values})


def _sent(array: memoryview) -> NDArray[np.float64]:
    """A ``real[]`` without nulls as ``array_send`` writes it."""
    elements = np.frombuffer(array, ELEMENT, offset=HEADER) if len(array) > HEADER else np.zeros(0, ELEMENT)
    return elements["value"].astype(np.float64)


def _counts(found: Iterable[Any]) -> list[StoredCounts]:
    rows = list(found)
    counts = list(map(_packed, rows))
    of_planes: dict[int, list[int]] = {}
    for i, row in enumerate(rows):
        if counts[i] is None:
            of_planes.setdefault(len(row.low), []).append(i)
    for at in of_planes.values():  # hundreds of windows with the same bins at once
        for i, each in zip(at, many_from_planes([(rows[i].low, rows[i].high) for i in at]), strict=True):
            counts[i] = each
    return [
        StoredCounts(row.window_start, row.model_version, row.segment, row.layout_id, each)
        for row, each in zip(rows, counts, strict=True) if each is not None
    ]  # fmt: skip


def _packed(row: Any) -> NDArray[np.int64] | None:
    """The counts of a row; None for those in planes."""
    packed = getattr(row, "packed", None)
    if packed is not None:
        return unpack(packed)[0]
    return parse_counts(row.counts) if row.low is None else None


def _row(conn: Connection, monitor: str, one: ColumnRow) -> tuple[Any, ...]:
    return (
        monitor, one.window.start, one.window.end, one.model_version, one.segment, keys_id(conn, one.keys),
        _reals(one.p_value), _reals(one.p_alarm), _reals(one.q_value), _booleans(one.season_known),
        _integers(one.status), text_array_literal(one.moved), _integers(one.horizon), _reals(one.effect),
        _integers(one.n), text_array_literal(one.sources[:1] if len(set(one.sources)) == 1 else one.sources),
    )  # fmt: skip


def _reals(values: NDArray[np.float64]) -> Literal:
    """With the fewest digits that read back as the same 4-byte number."""
    return like_first(list(map(str, values.astype(np.float32))))


def _integers(values: NDArray[np.integer]) -> Literal:
    return like_first(list(map(str, values.tolist())))


def _booleans(values: NDArray[np.bool_]) -> Literal:
    return like_first(["t" if value else "f" for value in values.tolist()])


def _repeated(sources: Sequence[str], n: int) -> tuple[str, ...]:
    """One source stands for all columns."""
    return tuple(sources) * n if len(sources) == 1 else tuple(sources)
