"""Verdicts beside the measurements they judge: rewritten in place when they change, never a revision of their own."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import isnan, nan
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, text

from monitoring_pipeline.alerting.verdict import FLAGGED, NOT_FLAGGED, NOT_JUDGED, ShareVerdict, Verdict, flags
from monitoring_pipeline.warehouse.contents import Contents
from monitoring_pipeline.warehouse.copying import array_literal, parse_sums, text_array_literal
from monitoring_pipeline.warehouse.headline_store import remember_headlines
from monitoring_pipeline.warehouse.partitions import ensure_months
from monitoring_pipeline.windows import Window

JUDGED = text("""
insert into monitoring.judgement (monitor, config_version, policy_version, null_version, code_version, run_id)
values (:monitor, :config_version, :policy_version, :null_version, :code_version, :run_id) returning judgement_id
""")
THRESHOLDS = Contents("monitoring.threshold_set", "threshold_set_id", {"thresholds": "float8[]", "sources": "text[]"})
WRITE = text("""
insert into monitoring.verdict as v (measurement_id, monitor, window_start, judgement_id, threshold_set_id, flags,
  share_value, share_threshold, share_source, share_flagged, share_n_reference, share_n_current, mature)
select n.measurement_id, :monitor, n.window_start, :judgement_id, n.threshold_set_id, cast(n.flags as bit varying),
       n.share_value, n.share_threshold, n.share_source, n.share_flagged, n.share_n_reference, n.share_n_current,
       n.mature
from unnest(cast(:measurement_id as bigint[]), cast(:window_start as timestamptz[]),
            cast(:threshold_set_id as integer[]), cast(:flags as text[]), cast(:share_value as float8[]),
            cast(:share_threshold as float8[]),
            cast(:share_source as text[]), cast(:share_flagged as boolean[]), cast(:share_n_reference as bigint[]),
            cast(:share_n_current as bigint[]), cast(:mature as boolean[]))
  n (measurement_id, window_start, threshold_set_id, flags, share_value, share_threshold, share_source, share_flagged,
     share_n_reference, share_n_current, mature)
on conflict (window_start, measurement_id) do update set judgement_id = excluded.judgement_id,
  threshold_set_id = excluded.threshold_set_id, flags = excluded.flags, share_value = excluded.share_value,
  share_threshold = excluded.share_threshold, share_source = excluded.share_source,
  share_flagged = excluded.share_flagged, share_n_reference = excluded.share_n_reference,
  share_n_current = excluded.share_n_current,
  mature = excluded.mature
where (v.threshold_set_id, v.flags, v.share_value, v.share_threshold, v.share_source, v.share_flagged,
  v.share_n_reference, v.share_n_current, v.mature) is distinct from
  (excluded.threshold_set_id, excluded.flags, excluded.share_value, excluded.share_threshold, excluded.share_source,
   excluded.share_flagged, excluded.share_n_reference, excluded.share_n_current, excluded.mature)
  or (select policy_version from monitoring.judgement j where j.judgement_id = v.judgement_id) is distinct from
     (select policy_version from monitoring.judgement j where j.judgement_id = excluded.judgement_id)
""")
STANDING = text("""
select v.measurement_id, j.policy_version, v.threshold_set_id, v.flags::text, v.share_value, v.share_threshold,
       v.share_source, v.share_flagged, v.share_n_reference, v.share_n_current, v.mature
from monitoring.verdict v join monitoring.judgement j using (judgement_id)
where v.monitor = :monitor and v.window_start = any (cast(:starts as timestamptz[]))
  and v.window_start >= :first and v.window_start <= :last
""")
LOAD = text("""
select v.measurement_id, t.thresholds::text, t.sources, v.flags::text as flags, v.share_value, v.share_threshold,
       v.share_source, v.share_flagged, v.share_n_reference, v.share_n_current, v.mature
from monitoring.verdict v join monitoring.threshold_set t using (threshold_set_id)
where v.monitor = :monitor and v.window_start = any (cast(:starts as timestamptz[]))
  and v.window_start >= :first and v.window_start <= :last
""")


@dataclass(frozen=True)
class Judgement:
    """Under which declaration and policy verdicts are reached. ``null_version``: of the null distributions, if any."""

    config_version: str
    policy_version: str
    null_version: str | None
    code_version: str
    run_id: str | None


@dataclass(frozen=True)
class Judged:
    """The verdict on one measurement of one window."""

    measurement_id: int
    window: Window
    verdict: Verdict


def open_judgement(conn: Connection, monitor: str, judgement: Judgement) -> int:
    """Keeps under what the verdicts that follow are reached; its number."""
    return conn.execute(JUDGED, {"monitor": monitor} | vars(judgement)).scalar_one()


def changes(
    conn: Connection, monitor: str, policy_version: str, judged: Sequence[Judged]
) -> tuple[list[Judged], list[Judged]]:
    """Which of these verdicts are new or differ from what stands, and which only stand under another policy."""
    wanted = _of(monitor, [one.window for one in judged])
    if wanted is None:
        return [], []
    stands = {row[0]: (row[1], tuple(row[2:])) for row in conn.execute(STANDING, wanted)}
    differing, restated = [], []
    for one in judged:
        policy, content = stands.get(one.measurement_id, (None, None))
        if content != _content(conn, one.verdict):
            differing.append(one)
        elif policy != policy_version:
            restated.append(one)
    return differing, restated


def write_verdicts(conn: Connection, monitor: str, judgement_id: int, judged: Sequence[Judged]) -> int:
    """Writes the verdicts that are new, differ from what stands or stand under another policy. Returns how many."""
    if not judged:
        return 0
    ensure_months(conn, "verdict", [one.window for one in judged])
    rows: dict[str, list[Any]] = {
        "measurement_id": [one.measurement_id for one in judged],
        "window_start": [one.window.start for one in judged],
    }
    content = (_content(conn, one.verdict) for one in judged)
    rows |= dict(zip(_CONTENT, map(list, zip(*content, strict=True)), strict=True))
    written = conn.execute(WRITE, rows | {"monitor": monitor, "judgement_id": judgement_id}).rowcount
    remember_headlines(conn, monitor, [one.window for one in judged])
    return written


def standing(conn: Connection, monitor: str, windows: Iterable[Window]) -> dict[int, Verdict]:
    """The verdicts of windows that start where one of ``windows`` does, by measurement."""
    wanted = _of(monitor, windows)
    return {} if wanted is None else {row.measurement_id: _verdict(row) for row in conn.execute(LOAD, wanted)}


def _of(monitor: str, windows: Iterable[Window]) -> dict[str, Any] | None:
    starts = sorted({window.start for window in windows})
    return {"monitor": monitor, "starts": starts, "first": starts[0], "last": starts[-1]} if starts else None


_CONTENT = (
    *("threshold_set_id", "flags", "share_value", "share_threshold", "share_source", "share_flagged"),
    *("share_n_reference", "share_n_current", "mature"),
)


def _content(conn: Connection, verdict: Verdict) -> tuple[Any, ...]:
    """The columns of a verdict that say what was judged, in the order of ``_CONTENT``."""
    share = verdict.share
    of_share: tuple[Any, ...] = (None,) * 6
    if share is not None:
        value = None if isnan(share.value) else share.value
        sizes = (share.n_reference, share.n_current)
        of_share = (value, share.threshold, share.source, _FLAG[share.flagged], *sizes)
    return (_thresholds_id(conn, verdict), _flags(verdict), *of_share, verdict.mature)


_FLAG = {FLAGGED: True, NOT_FLAGGED: False, NOT_JUDGED: None}
_BITS = np.array(["00", "10", "11"])  # whether it was judged, and whether it is flagged


def _flags(verdict: Verdict) -> str:
    return "".join(_BITS[verdict.flagged + 1].tolist())


def _flagged(bits: str) -> NDArray[np.int8]:
    """Inverse of ``_flags``."""
    is_one = np.frombuffer(bits.encode(), np.uint8).reshape(-1, 2) == np.uint8(ord("1"))
    return flags(is_one[:, 1], is_one[:, 0])


def _verdict(row: Any) -> Verdict:
    flagged = _flagged(row.flags)
    share = None
    if row.share_source is not None:
        value = nan if row.share_value is None else row.share_value
        flag = NOT_JUDGED if row.share_flagged is None else int(row.share_flagged)
        sizes = (row.share_n_reference, row.share_n_current)
        share = ShareVerdict(value, row.share_threshold, row.share_source, flag, *sizes)
    return Verdict(parse_sums(row.thresholds), tuple(row.sources), flagged, share, row.mature)


def _thresholds_id(conn: Connection, verdict: Verdict) -> int:
    digest = hashlib.sha256(verdict.threshold.tobytes() + "\0".join(verdict.source).encode()).hexdigest()[:16]

    def content() -> dict[str, str]:
        return {"thresholds": array_literal(verdict.threshold), "sources": text_array_literal(verdict.source)}

    return THRESHOLDS.number(conn, digest, content)
