"""Verdicts on columns: a fold over the monitor's windows, taken up where what it rests on has changed.

A verdict rests on the windows before it. So the first window whose profile, references or rules are not those it was
judged by, and all windows after it, are judged again in one transaction; nothing is kept in memory between runs.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import cast

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection

from monitoring_pipeline.alerting.drift.calibration import Calibrated, calibrate
from monitoring_pipeline.alerting.drift.judgement import ALARM, NOTICE, ColumnVerdicts, Earlier, judge_columns
from monitoring_pipeline.alerting.drift.methods import ColumnStatus
from monitoring_pipeline.alerting.drift.moved import contrast_names
from monitoring_pipeline.alerting.drift.plan import Plan
from monitoring_pipeline.alerting.policy import POLICY
from monitoring_pipeline.alerting.verdict import ThresholdSource
from monitoring_pipeline.measurements import MetricKeys, metric_keys
from monitoring_pipeline.monitors import Monitor
from monitoring_pipeline.stages.alarm_levels import level_of
from monitoring_pipeline.stages.drift_batches import Pool, Stored, batches, number_of, start_of
from monitoring_pipeline.stages.versions import reference_version
from monitoring_pipeline.warehouse import column_verdict_store as store
from monitoring_pipeline.warehouse import ledger, profile_store
from monitoring_pipeline.warehouse.column_verdict_store import (
    ColumnRow,
    JudgedWindow,
    ProfiledWindow,
    Standing,
    StoredNull,
)
from monitoring_pipeline.windows import Window

WINDOWS_AT_ONCE = 400  # judged together; more would only cost memory


@dataclass(frozen=True, eq=False)
class Judged:
    """Verdicts on some windows, with what they were made from."""

    calibrated: Calibrated
    verdicts: ColumnVerdicts


def plan_of(monitor: Monitor) -> Plan:
    """By what the monitor's columns are judged."""
    return Plan(monitor.alarms.drift, monitor.window, level_of(monitor, "drift"))


def null_version(monitor: Monitor, versions: Sequence[str], references: Mapping[str, str]) -> str:
    """12 hex digits over what verdicts on the columns of these model versions rest on beside the windows.

    Only the references they are compared with: that of a new version leaves the verdicts on others standing.
    """
    used = {reference_version(monitor, version, references) for version in versions} if references else set()
    read = sorted((name, references[name]) for name in used)
    content = [POLICY, monitor.alarms.model_dump(mode="json"), monitor.window, read]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:12]


def judge_again(conn: Connection, monitor: Monitor, judgement_id: Callable[[], int]) -> list[Window]:
    """Judges the columns of all windows whose verdicts do not stand. Returns these windows."""
    ledger.lock_verdicts(conn, monitor.name)
    references = profile_store.reference_versions(conn, monitor.name)
    sets = store.version_sets(conn, monitor.name)
    rest_on = {versions: null_version(monitor, versions, references) for versions in sets}
    kept = monitor.retention.verdicts or monitor.retention.measurements
    waiting = store.to_judge(conn, monitor.name, rest_on, None if kept is None else datetime.now(UTC) - kept)
    plan = plan_of(monitor)
    for at in range(0, len(waiting), WINDOWS_AT_ONCE):
        some = waiting[at : at + WINDOWS_AT_ONCE]
        judged = judge_windows(conn, monitor, plan, some, references)
        rows = [] if judged is None else column_rows(judged, some, monitor)
        counted = [_counted(one, plan, judged, monitor) for one in some]
        store.replace(conn, monitor.name, judgement_id(), counted, rows)
        if judged is not None:
            store.replace_nulls(conn, monitor.name, some[-1].window.start, stored_nulls(judged))
    return [one.window for one in waiting]


def imagined(conn: Connection, policy: Monitor, windows: Sequence[Window]) -> list[ColumnRow]:
    """The verdicts on the columns of these windows if ``policy`` had held from the first window on. Writes nothing."""
    references = profile_store.reference_versions(conn, policy.name)
    wanted = {window.start for window in windows}
    until = max(wanted, default=None)
    profiled = [one for one in store.to_judge(conn, policy.name, {}) if until and one.window.start <= until]
    judged = judge_windows(conn, policy, plan_of(policy), profiled, references) if profiled else None
    return [] if judged is None else column_rows(judged, [p for p in profiled if p.window.start in wanted], policy)


def status_by_name(row: ColumnRow | Standing) -> dict[str, ColumnStatus]:
    """The status of each column; a name that is a feature and the score has the verdict of the feature."""
    named = zip(row.keys.columns, row.keys.roles, row.status, row.sources, strict=True)
    by_role = sorted(named, key=lambda each: each[1] == "feature")
    return {name: ColumnStatus(int(status), cast("ThresholdSource", source)) for name, _, status, source in by_role}


def judge_windows(
    conn: Connection, monitor: Monitor, plan: Plan, some: Sequence[ProfiledWindow], references: dict[str, str]
) -> Judged | None:
    """Verdicts on the columns of these windows; None where there is nothing to compare with."""
    start, stop = (number_of(some[i].window.start, monitor.window) for i in (0, -1))
    first = start - plan.history
    stored = _stored(conn, monitor, references, first, stop + 1)
    made = batches(stored, monitor.window, first, stop + 1)
    if not made:
        return None
    calibrated = calibrate(made, plan)
    before = _earlier(conn, monitor, calibrated, first, start)
    return Judged(calibrated, judge_columns(made, calibrated, plan, start, before))


def column_rows(judged: Judged, some: Sequence[ProfiledWindow], monitor: Monitor) -> list[ColumnRow]:
    """A row for each window and pool that holds rows."""
    v, units = judged.verdicts, judged.calibrated.units
    places = _places(judged.calibrated)
    names = [contrast_names(unit) for unit in units]
    rows = []
    for one in some:
        t = number_of(one.window.start, monitor.window) - v.first
        for pool, (keys, at) in places.items():
            if not v.rows[at, t].any():
                continue
            contrast = v.contrast[at, t]
            moved = tuple(names[u][c] if c >= 0 else None for u, c in zip(at.tolist(), contrast.tolist(), strict=True))
            rows.append(
                ColumnRow(
                    one.window, *pool, keys, v.p_value[at, t], v.p_alarm[at, t], v.q_value[at, t],
                    v.season_known[at, t], v.status[at, t], moved, v.horizon[at, t], v.effect[at, t],
                    v.n[at, t].astype(np.int64), tuple(v.source[at, t].tolist()),
                )
            )  # fmt: skip
    return rows


def stored_nulls(judged: Judged) -> list[StoredNull]:
    """How much each pool's contrasts vary, as last learnt."""
    c, null = judged.calibrated, judged.verdicts.null
    names = [contrast_names(unit)[:-1] for unit in c.units]  # shape is no single contrast
    contrasts = np.array([name for of_unit in names for name in of_unit], object)
    columns = np.array([unit.column for unit in c.units], object)[c.units_of]
    pools = np.array([f"{unit.pool[0]}\0{unit.pool[1]}" for unit in c.units], object)[c.units_of]
    found = []
    for pool in dict.fromkeys(unit.pool for unit in c.units):
        at = np.flatnonzero(pools == f"{pool[0]}\0{pool[1]}")
        arrays = {name: getattr(null, name)[at] for name in store.NULL_ARRAYS}
        found.append(StoredNull(*pool, tuple(columns[at]), tuple(contrasts[at]), arrays, tuple(null.source[at])))
    return found


def _stored(conn: Connection, monitor: Monitor, references: dict[str, str], first: int, stop: int) -> Stored:
    span = start_of(first, monitor.window), start_of(stop, monitor.window)
    windows = store.window_counts(conn, monitor.name, *span)
    kept = store.reference_counts(conn, monitor.name)
    versions = {one.model_version for one in windows} if references else set()
    ids = {one.layout_id for one in kept}
    return Stored(
        kept,
        store.block_counts(conn, monitor.name),
        windows,
        {layout_id: profile_store.load_layout(conn, layout_id) for layout_id in ids},
        {version: reference_version(monitor, version, references) for version in versions},
    )


def _places(calibrated: Calibrated) -> dict[Pool, tuple[MetricKeys, NDArray[np.intp]]]:
    """Of each pool: the keys of its row and the positions of its units, features first."""
    of_pool: dict[Pool, list[int]] = defaultdict(list)
    for position, unit in enumerate(calibrated.units):
        of_pool[unit.pool].append(position)
    found = {}
    for pool, positions in of_pool.items():
        ordered = sorted(positions, key=lambda i: (calibrated.units[i].role, calibrated.units[i].column))
        units = [calibrated.units[i] for i in ordered]
        keys = metric_keys(
            "column", tuple(u.column for u in units), tuple(u.role for u in units), ("verdict",) * len(units)
        )
        found[pool] = (keys, np.array(ordered, np.intp))
    return found


def _earlier(conn: Connection, monitor: Monitor, calibrated: Calibrated, first: int, start: int) -> Earlier | None:
    """The stored p-values of the windows of numbers [first, start), in the order of the units."""
    span = start_of(first, monitor.window), start_of(start, monitor.window)
    rows = store.earlier_p_values(conn, monitor.name, *span)
    if not rows:
        return None
    position = {(*unit.pool, unit.role, unit.column): i for i, unit in enumerate(calibrated.units)}
    p_value = np.full((len(calibrated.units), start - first), np.nan)
    p_alarm = p_value.copy()
    for at, version, segment, keys, of_value, of_alarm in rows:
        t = number_of(at, monitor.window) - first
        found = [
            position.get((version, segment, role, name), -1)
            for role, name in zip(keys.roles, keys.columns, strict=True)
        ]
        here = np.array(found, np.intp)
        known = here >= 0
        p_value[here[known], t], p_alarm[here[known], t] = of_value[known], of_alarm[known]
    return Earlier(p_value, p_alarm)


def _counted(
    one: ProfiledWindow, plan: Plan, judged: Judged | None, monitor: Monitor
) -> JudgedWindow:  # fmt: skip
    counts = (0, 0, 0)
    if judged is not None:
        status = judged.verdicts.status[:, number_of(one.window.start, monitor.window) - judged.verdicts.first]
        counts = int((status >= 0).sum()), int((status == ALARM).sum()), int((status == NOTICE).sum())
    return JudgedWindow(one.window, one.version, one.null_version, plan.level, *counts)
