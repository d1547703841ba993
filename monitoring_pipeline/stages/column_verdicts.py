"""Verdicts on columns: a fold over the monitor's windows, taken up where what it rests on has changed.

A verdict rests on the windows before it. So the first window whose profile, references or rules are not those it was
judged by, and all windows after it, are judged again in one transaction; nothing is kept in memory between runs.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, cast

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
from monitoring_pipeline.profiles.parts.columns import profiled_columns, target_columns
from monitoring_pipeline.stages.alarm_levels import level_of
from monitoring_pipeline.stages.drift_batches import Pool, Stored, batches, number_of, start_of
from monitoring_pipeline.stages.versions import reference_version
from monitoring_pipeline.warehouse import column_verdict_store as store
from monitoring_pipeline.warehouse import ledger, profile_store
from monitoring_pipeline.warehouse.column_verdict_store import (
    ColumnRow,
    EarlierRow,
    JudgedWindow,
    ProfiledWindow,
    Standing,
    StoredNull,
)
from monitoring_pipeline.windows import Window

WINDOWS_AT_ONCE = 400  # judged together; more would only cost memory
TARGET_PART = 0.1
"""Part of drift's budget that the outcome's own column spends. It is a family of its own: its labels come later than
the rows, and must not change what was said of the other columns."""


@dataclass(frozen=True, eq=False)
class Judged:
    """Verdicts on some windows, with what they were made from."""

    calibrated: Calibrated
    verdicts: ColumnVerdicts


def plan_of(monitor: Monitor, target: bool = False) -> Plan:
    """By what the monitor's columns are judged, or the outcome's own column (``target``)."""
    part = 1.0 if monitor.ground_truth is None else TARGET_PART if target else 1 - TARGET_PART
    return Plan(monitor.alarms.drift, monitor.window, level_of(monitor, "drift") * part)


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
    for at in range(0, len(waiting), WINDOWS_AT_ONCE):
        some = waiting[at : at + WINDOWS_AT_ONCE]
        judged = judge_windows(conn, monitor, some, references)
        rows = column_rows(judged, some, monitor)
        counted = [_counted(one, judged, monitor) for one in some]
        store.replace(conn, monitor.name, judgement_id(), counted, rows)
        if judged:
            store.replace_nulls(conn, monitor.name, some[-1].window.start, stored_nulls(judged))
    return [one.window for one in waiting]


def imagined(conn: Connection, policy: Monitor, windows: Sequence[Window]) -> list[ColumnRow]:
    """The verdicts on the columns of these windows if ``policy`` had held from the first window on. Writes nothing."""
    references = profile_store.reference_versions(conn, policy.name)
    wanted = {window.start for window in windows}
    until = max(wanted, default=None)
    profiled = [one for one in store.to_judge(conn, policy.name, {}) if until and one.window.start <= until]
    judged = judge_windows(conn, policy, profiled, references) if profiled else []
    return column_rows(judged, [p for p in profiled if p.window.start in wanted], policy)


def status_by_name(row: ColumnRow | Standing) -> dict[str, ColumnStatus]:
    """The status of each column; a name that is a feature and the score has the verdict of the feature."""
    named = zip(row.keys.columns, row.keys.roles, row.status, row.sources, strict=True)
    by_role = sorted(named, key=lambda each: each[1] == "feature")
    return {name: ColumnStatus(int(status), cast("ThresholdSource", source)) for name, _, status, source in by_role}


def judge_windows(
    conn: Connection, monitor: Monitor, some: Sequence[ProfiledWindow], references: dict[str, str]
) -> list[Judged]:
    """Verdicts on the columns of these windows, and on the outcome's own as far as its labels are complete: each a
    family of its own, left out where there is nothing to compare with."""
    start, stop = (number_of(some[i].window.start, monitor.window) for i in (0, -1))
    families = [False] if monitor.ground_truth is None else [False, True]
    first = start - plan_of(monitor).history  # alike for both
    earlier = store.earlier_p_values(
        conn, monitor.name, start_of(first, monitor.window), start_of(start, monitor.window)
    )
    judged = (
        _judge_family(conn, monitor, (first, start, stop), references, earlier, target) for target in families
    )  # fmt: skip
    return [one for one in judged if one is not None]


def _judge_family(
    conn: Connection, monitor: Monitor, span: tuple[int, int, int], references: dict[str, str],
    earlier: Sequence[EarlierRow], target: bool,
) -> Judged | None:  # fmt: skip
    """``span``: numbers of the first window that is read, of the first and of the last that is judged."""
    plan = plan_of(monitor, target)
    first, start, stop = span
    stored = _stored(conn, monitor, references, first, stop + 1, target)
    made = batches(stored, monitor.window, first, stop + 1, target_columns if target else profiled_columns)
    if not made:
        return None
    calibrated = calibrate(made, plan)
    before = _earlier(earlier, monitor, calibrated, first, start)
    verdicts = judge_columns(made, calibrated, plan, start, before)
    if target:  # by the level of the others
        verdicts = replace(verdicts, q_value=np.minimum(verdicts.q_value * (1 - TARGET_PART) / TARGET_PART, 1.0))
    return Judged(calibrated, verdicts)


def column_rows(judged: Sequence[Judged], some: Sequence[ProfiledWindow], monitor: Monitor) -> list[ColumnRow]:
    """A row for each window and pool that holds rows."""
    places = _places(judged)
    names = [[contrast_names(unit) for unit in one.calibrated.units] for one in judged]
    rows = []
    for window in some:
        number = number_of(window.window.start, monitor.window)
        for pool, (keys, found) in places.items():
            cells = [(judged[f].verdicts, at, number - judged[f].verdicts.first, names[f]) for f, at in found]
            if any(v.rows[at, t].any() for v, at, t, _ in cells):
                rows.append(_row(window, pool, keys, cells))
    return rows


Cell = tuple[ColumnVerdicts, NDArray[np.intp], int, list[tuple[str, ...]]]  # of a family: units, window, contrasts


def _row(window: ProfiledWindow, pool: Pool, keys: MetricKeys, cells: Sequence[Cell]) -> ColumnRow:
    def of(name: str) -> NDArray[Any]:
        return np.concatenate([getattr(v, name)[at, t] for v, at, t, _ in cells])

    moved = tuple(
        names[u][c] if c >= 0 else None
        for v, at, t, names in cells
        for u, c in zip(at.tolist(), v.contrast[at, t].tolist(), strict=True)
    )
    return ColumnRow(
        window.window, *pool, keys, of("p_value"), of("p_alarm"), of("q_value"), of("season_known"), of("status"),
        moved, of("horizon"), of("effect"), of("n").astype(np.int64), tuple(of("source").tolist()),
    )  # fmt: skip


def stored_nulls(judged: Sequence[Judged]) -> list[StoredNull]:
    """How much each pool's contrasts vary, as last learnt."""
    found: dict[Pool, StoredNull] = {}
    for family in judged:
        for one in _nulls_of(family):
            pool = (one.model_version, one.segment)
            found[pool] = one if pool not in found else _both(found[pool], one)
    return list(found.values())


def _both(a: StoredNull, b: StoredNull) -> StoredNull:
    arrays = {name: np.concatenate((a.arrays[name], b.arrays[name])) for name in a.arrays}
    names = (*a.columns, *b.columns), (*a.contrasts, *b.contrasts)
    return StoredNull(a.model_version, a.segment, *names, arrays, (*a.sources, *b.sources))


def _nulls_of(judged: Judged) -> list[StoredNull]:
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


def _stored(
    conn: Connection, monitor: Monitor, references: dict[str, str], first: int, stop: int, target: bool
) -> Stored:
    span = start_of(first, monitor.window), start_of(stop, monitor.window)
    if target:
        windows = store.target_counts(conn, monitor.name, "window", *span)
        kept = store.reference_counts(conn, monitor.name, "target") if windows else []
        blocks = store.target_counts(conn, monitor.name, "block") if windows else []
    else:
        windows, kept = store.window_counts(conn, monitor.name, *span), store.reference_counts(conn, monitor.name)
        blocks = store.block_counts(conn, monitor.name)
    versions = {one.model_version for one in windows} if references else set()
    ids = {one.layout_id for one in kept}
    return Stored(
        kept,
        blocks,
        windows,
        {layout_id: profile_store.load_layout(conn, layout_id) for layout_id in ids},
        {version: reference_version(monitor, version, references) for version in versions},
    )


def _places(judged: Sequence[Judged]) -> dict[Pool, tuple[MetricKeys, list[tuple[int, NDArray[np.intp]]]]]:
    """Of each pool: the keys of its row, and of each family the positions of its units, features first."""
    of_pool: dict[Pool, dict[int, list[int]]] = defaultdict(lambda: defaultdict(list))
    for family, one in enumerate(judged):
        for position, unit in enumerate(one.calibrated.units):
            of_pool[unit.pool][family].append(position)
    found = {}
    for pool, families in of_pool.items():
        ordered = {f: _ordered(judged[f], positions) for f, positions in families.items()}
        units = [judged[f].calibrated.units[i] for f, positions in ordered.items() for i in positions]
        keys = metric_keys(
            "column", tuple(u.column for u in units), tuple(u.role for u in units), ("verdict",) * len(units)
        )
        found[pool] = (keys, [(f, np.array(positions, np.intp)) for f, positions in ordered.items()])
    return found


def _ordered(judged: Judged, positions: Sequence[int]) -> list[int]:
    units = judged.calibrated.units
    return sorted(positions, key=lambda i: (units[i].role, units[i].column))


def _earlier(
    rows: Sequence[EarlierRow], monitor: Monitor, calibrated: Calibrated, first: int, start: int
) -> Earlier | None:
    """The stored p-values of the windows of numbers [first, start), in the order of the units."""
    if not rows:
        return None
    position = {(*unit.pool, unit.role, unit.column): i for i, unit in enumerate(calibrated.units)}
    p_value = np.full((len(calibrated.units), start - first), np.nan)
    p_alarm = p_value.copy()
    places: dict[tuple[str, str, int], tuple[NDArray[np.intp], NDArray[np.intp]]] = {}
    for at, version, segment, keys, of_value, of_alarm in rows:
        t = number_of(at, monitor.window) - first
        pool = version, segment, id(keys)  # as few as there are segments
        if pool not in places:
            named = zip(keys.roles, keys.columns, strict=True)
            here = np.array([position.get((version, segment, role, name), -1) for role, name in named], np.intp)
            places[pool] = here[here >= 0], np.flatnonzero(here >= 0)
        into, of = places[pool]
        p_value[into, t], p_alarm[into, t] = of_value[of], of_alarm[of]
    return Earlier(p_value, p_alarm)


def _counted(one: ProfiledWindow, judged: Sequence[Judged], monitor: Monitor) -> JudgedWindow:
    number = number_of(one.window.start, monitor.window)
    status = [family.verdicts.status[:, number - family.verdicts.first] for family in judged]
    codes = np.concatenate(status) if status else np.zeros(0, np.int8)
    counts = int((codes >= 0).sum()), int((codes == ALARM).sum()), int((codes == NOTICE).sum())
    return JudgedWindow(one.window, one.version, one.null_version, plan_of(monitor).level, *counts)
