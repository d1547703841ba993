"""Streams judged by our own method: counts by bins, alarms of columns."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmarks.detection.streams import Counts, Stream, binned
from monitoring_pipeline.alerting.budget import levels, windows_a_month
from monitoring_pipeline.alerting.drift.calibration import calibrate
from monitoring_pipeline.alerting.drift.judgement import ALARM, ColumnVerdicts, judge_columns
from monitoring_pipeline.alerting.drift.plan import Plan
from monitoring_pipeline.alerting.drift.units import Batch, Unit
from monitoring_pipeline.monitors.alarms import Alarms, DriftAlarms
from monitoring_pipeline.windows import WindowSize

Flags = NDArray[np.bool_]
Column = tuple[Counts, Counts, Counts, Counts]  # blocks, windows, and the missing rows of both


def plan_for(per_day: int, drift: DriftAlarms | None = None) -> Plan:
    """The default settings: drift's share of a budget of one false incident a month."""
    alarms = Alarms()
    size: WindowSize = "day" if per_day == 1 else "hour"
    windows = windows_a_month(86_400 / per_day)
    return Plan(drift or alarms.drift, size, levels(alarms.budget, alarms.shares.drift, windows))


def alarmed(
    stream: Stream, plan: Plan, *, timed: bool = True, segments: int = 0, random: np.random.Generator | None = None
) -> Flags:
    """(T, C) alarmed columns, those of ``segments`` segments after those of all rows. ``timed``: whether the reference
    is known by blocks."""
    batches, order = batches_of(stream, timed=timed, segments=segments, random=random)
    return (judged(batches, plan, stream.setting.blocks).status == ALARM)[np.argsort(order)].T


def judged(batches: list[Batch], plan: Plan, start: int) -> ColumnVerdicts:
    """Calibrated and judged from window ``start`` on."""
    return judge_columns(batches, calibrate(batches, plan), plan, start)


def batches_of(
    stream: Stream, *, timed: bool = True, segments: int = 0, random: np.random.Generator | None = None
) -> tuple[list[Batch], NDArray[np.intp]]:
    """Batches, and the column that each of their units is: number of the segment × columns + number of the column.

    The reference's blocks stand at 0, 1, … and the windows after them.
    """
    columns = _columns(stream)
    pools = [("1", "*"), *(("1", f"s{i}") for i in range(segments))]
    every = [columns, *(_thinned(columns, segments, random) if segments and random is not None else [])]
    groups: dict[tuple[bool, int], list[tuple[int, Unit, Column]]] = {}
    for s, (pool, its) in enumerate(zip(pools, every, strict=True)):
        for c, column in enumerate(its):
            numerical = c < stream.setting.numerical
            unit = Unit(pool, f"c{c}", "feature", "numerical" if numerical else "categorical")
            groups.setdefault((numerical, column[0].shape[1]), []).append((s * len(its) + c, unit, column))
    batches = [_batch([u for _, u, _ in g], [x for _, _, x in g], timed=timed) for g in groups.values()]
    return batches, np.array([at for g in groups.values() for at, _, _ in g])


def _columns(stream: Stream) -> list[Column]:
    before, after = stream.reference, stream.windows
    counts = [binned(before.numbers[:, c], after.numbers[:, c]) for c in range(stream.setting.numerical)]
    counts += list(zip(before.names, after.names, strict=True))
    return [(x, y, before.missing[:, c], after.missing[:, c]) for c, (x, y) in enumerate(counts)]


def _thinned(columns: list[Column], segments: int, random: np.random.Generator) -> list[list[Column]]:
    """Each row belongs to one segment by chance, so that segments share the effects of days; their sizes differ by up
    to a factor of three."""
    sizes = np.linspace(1, 3, segments)
    found: list[list[Column]] = [[] for _ in range(segments)]
    for column in columns:
        parts = [random.multinomial(counts, sizes / sizes.sum()) for counts in column]
        for s in range(segments):
            found[s].append((parts[0][..., s], parts[1][..., s], parts[2][..., s], parts[3][..., s]))
    return found


def _batch(units: list[Unit], columns: list[Column], *, timed: bool) -> Batch:
    blocks, windows, blocks_missing, windows_missing = (
        np.stack([column[i] for column in columns]).astype(float) for i in range(4)
    )
    n_blocks = blocks.shape[1]
    kept = n_blocks if timed else 0
    return Batch(
        units[0].kind, tuple(units), blocks.sum(axis=1), blocks_missing.sum(axis=1),
        blocks[:, :kept], blocks_missing[:, :kept], np.arange(kept),
        np.concatenate((np.zeros_like(blocks), windows), axis=1),
        np.concatenate((np.zeros_like(blocks_missing), windows_missing), axis=1), 0,
    )  # fmt: skip


def incidents(flags: Flags, apart: int = 2) -> int:
    """Runs of windows with any alarm; runs at most ``apart`` windows apart are one."""
    at = np.flatnonzero(flags.any(axis=1))
    return 0 if not len(at) else 1 + int((np.diff(at) > apart).sum())
