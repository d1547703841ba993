"""Calibrated verdicts on a rollup: held against the reference's blocks, merged to the rollup's length.

Judged where the reference has at least ``LEAST_BLOCKS`` of these; elsewhere a rollup only describes. There are no
horizons, no season and no persistence: a rollup is merged already, and knows no earlier ones.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np
from sqlalchemy import Connection

from monitoring_pipeline.alerting.budget import levels, windows_a_month
from monitoring_pipeline.alerting.drift.calibration import calibrate as calibrate_columns
from monitoring_pipeline.alerting.drift.judgement import ABSTAINED, ALARM, judge_columns
from monitoring_pipeline.alerting.drift.moved import contrast_names
from monitoring_pipeline.alerting.drift.plan import Plan
from monitoring_pipeline.alerting.performance import PerformanceSettings, decide, judge
from monitoring_pipeline.alerting.performance.settings import DAY
from monitoring_pipeline.measurements import metric_keys
from monitoring_pipeline.monitors import Monitor
from monitoring_pipeline.profiles.outcome import OutcomeProfile
from monitoring_pipeline.profiles.parts import PARTS
from monitoring_pipeline.stages.calibrations import teach
from monitoring_pipeline.stages.drift_batches import Stored, batches, number_of, start_of
from monitoring_pipeline.stages.outcome_series import Series, series_of_version
from monitoring_pipeline.stages.rollup_shelf import Key, Merged, Shelf
from monitoring_pipeline.stages.rollup_spans import Span
from monitoring_pipeline.stages.versions import reference_version
from monitoring_pipeline.warehouse import column_verdict_store, profile_store
from monitoring_pipeline.warehouse.column_verdict_store import StoredCounts
from monitoring_pipeline.warehouse.rollup_store import RollupVerdict
from monitoring_pipeline.windows import LENGTH, Window

LEAST_BLOCKS = 5
HELD = 0.7  # share of a merged block's windows that the reference must hold
NOW = 1_000  # number of the one window that is judged; the merged blocks are numbered from 0
FEW_BLOCKS = "the reference holds fewer than five blocks of this length"
FEW_VALUES = "too few values to judge"


@dataclass(frozen=True)
class Blocks:
    """The blocks of all references: counts of columns, and outcomes by model version, segment and start."""

    counts: Sequence[StoredCounts]
    outcomes: Mapping[str, Mapping[str, Sequence[tuple[datetime, OutcomeProfile]]]]

    @classmethod
    def of(cls, conn: Connection, monitor: str) -> Blocks:
        """As they are stored."""
        outcomes: dict[str, dict[str, list[tuple[datetime, OutcomeProfile]]]] = defaultdict(lambda: defaultdict(list))
        for one in profile_store.load_block_outcomes(conn, monitor):
            outcomes[one.model_version][one.segment].append((one.window.start, one.outcome))
        return cls(column_verdict_store.block_counts(conn, monitor), outcomes)


def on_columns(shelf: Shelf, blocks: Blocks, span: Span, merged: Merged) -> list[RollupVerdict]:
    """The verdicts on the columns of a rollup, one for each model version and segment."""
    monitor = shelf.monitor
    plan = Plan(
        monitor.alarms.drift.model_copy(update={"horizons": (1,), "season": False, "persistence": None}),
        monitor.window,
        _level(monitor, span, monitor.alarms.shares.drift),
    )
    stored = _stored(shelf, blocks, len(span.windows), merged)
    made = batches(stored, monitor.window, NOW, NOW + 1)
    if not made:
        return []
    calibrated = calibrate_columns(made, plan)
    verdicts = judge_columns(made, calibrated, plan, NOW)
    held = np.concatenate([np.full(len(b.units), (b.blocks.sum(2) > 0).sum(1).max(initial=0)) for b in made])
    known = np.array([s.startswith("calibrated") for s in verdicts.source[:, 0]]) & (held >= LEAST_BLOCKS)
    by_key: dict[Key, list[int]] = defaultdict(list)
    for position, unit in enumerate(calibrated.units):
        by_key[unit.pool].append(position)
    names = [contrast_names(unit) for unit in calibrated.units]
    found = []
    for key, positions in by_key.items():
        at = np.array(sorted(positions, key=lambda i: (calibrated.units[i].role, calibrated.units[i].column)))
        units = [calibrated.units[i] for i in at]
        status, contrast = verdicts.status[at, 0], verdicts.contrast[at, 0]
        judged = known[at] & (status != ABSTAINED)
        keys = metric_keys(
            "column", tuple(u.column for u in units), tuple(u.role for u in units), ("verdict",) * len(units)
        )
        found.append(RollupVerdict(
            "drift", *key, keys, plan.level,
            tuple(np.where(judged, np.where(status == ALARM, "alarm", "quiet"), "abstained").tolist()),
            tuple(names[u][c] if j and c >= 0 else None for u, c, j in zip(at, contrast, judged, strict=True)),
            np.where(judged, verdicts.p_value[at, 0], np.nan), np.where(judged, verdicts.q_value[at, 0], np.nan),
            np.where(judged, verdicts.effect[at, 0], np.nan),
            tuple(str(s) if j else "none" for s, j in zip(verdicts.source[at, 0], judged, strict=True)),
            tuple(None if j else FEW_VALUES if k else FEW_BLOCKS for j, k in zip(judged, known[at], strict=True)),
        ))  # fmt: skip
    return found


def _level(monitor: Monitor, span: Span, share: float) -> float:
    seconds = (span.window.end - span.window.start).total_seconds()
    return levels(monitor.alarms.budget, share, windows_a_month(seconds))


def _stored(shelf: Shelf, blocks: Blocks, length: int, merged: Merged) -> Stored:
    monitor, part = shelf.monitor, PARTS["columns"]
    references = [
        StoredCounts(one.profile.window.start, *key, one.profile.layout_id, part.flatten(one.profile.columns)[0])
        for key, one in sorted(shelf.references.items())
    ]
    window = [
        StoredCounts(start_of(NOW, monitor.window), *key, one.layout_id, part.flatten(one.columns)[0])
        for key, one in sorted(merged.profiles.items())
    ]
    known = shelf.reference_versions
    layouts = {one.layout_id for one in references}
    return Stored(
        references,
        _merged_counts(blocks.counts, length, monitor),
        window,
        {layout_id: profile_store.load_layout(shelf.conn, layout_id) for layout_id in layouts},
        {version: reference_version(monitor, version, known) for version, _ in merged.profiles} if known else {},
    )


def _merged_counts(blocks: Sequence[StoredCounts], length: int, monitor: Monitor) -> list[StoredCounts]:
    by_key: dict[tuple[str, str, str], list[StoredCounts]] = defaultdict(list)
    for one in blocks:
        by_key[one.model_version, one.segment, one.layout_id].append(one)
    found = []
    for (version, segment, layout_id), some in sorted(by_key.items()):
        groups = _grouped([one.start for one in some], length, monitor)
        found += [
            StoredCounts(
                start_of(number, monitor.window),
                version,
                segment,
                layout_id,
                np.sum([some[i].counts for i in at], axis=0),
            )
            for number, at in groups
        ]
    return found


def _grouped(starts: Sequence[datetime], length: int, monitor: Monitor) -> list[tuple[int, list[int]]]:
    """Positions of the blocks that lie in each stretch of ``length`` windows from the first on; stretches of which the
    reference holds too little are left out."""
    if not starts:
        return []
    numbers = [number_of(start, monitor.window) for start in starts]
    groups: dict[int, list[int]] = defaultdict(list)
    for position, number in enumerate(numbers):
        groups[(number - min(numbers)) // length].append(position)
    return [(number, at) for number, at in sorted(groups.items()) if len(at) >= HELD * length]


@dataclass(frozen=True)
class OfPerformance:
    """The verdicts on the performance of a rollup, and whether the labels of each version and segment are complete."""

    verdicts: Sequence[RollupVerdict]
    mature: Mapping[Key, bool]


def on_performance(shelf: Shelf, blocks: Blocks, span: Span, merged: Merged, old: bool) -> OfPerformance:
    """``old``: all labels of the rollup are due."""
    settings = replace(
        PerformanceSettings.declared(shelf.monitor.alarms.performance, DAY, shelf.monitor.labels.coverage),
        horizons=(1,),
    )
    series = _series(shelf, blocks, span, merged, old, settings)
    level = _level(shelf.monitor, span, shelf.monitor.alarms.shares.performance)
    tests = [judge(one.calibration, one.evidence, one.mature, settings) for one in series]
    of_key: dict[Key, list[tuple]] = defaultdict(list)
    mature: dict[Key, bool] = {}
    for one, verdicts in zip(series, decide(tests, level), strict=True):
        for s, segment in enumerate(one.segments):
            key = (one.model_version, segment)
            mature[key] = mature.get(key, True) and bool(one.mature[s, 0])
            of_key[key].append(_subject(one, verdicts, s))
    found = []
    for key, rows in of_key.items():
        names, *columns = zip(*rows, strict=True)
        keys = metric_keys("realized", ("*",) * len(names), ("",) * len(names), names)
        status, moved, p, q, effect, source, reason = columns
        found.append(
            RollupVerdict("performance", *key, keys, level, status, moved, np.array(p), np.array(q), np.array(effect),
                          source, reason)
        )  # fmt: skip
    return OfPerformance(found, mature)


def _subject(one: Series, verdicts: object, s: int) -> tuple:
    """(subject, status, moved, p, q, effect, source, reason) of one series."""
    v = {name: getattr(verdicts, name)[s, 0] for name in ("status", "contrast", "p", "q", "effect", "source", "reason")}
    if not str(v["source"]).startswith("calibrated"):
        return one.subject.name, "abstained", None, np.nan, np.nan, np.nan, "none", str(v["reason"]) or FEW_BLOCKS
    judged = v["status"] != "abstained"
    numbers = (float(v[name]) if judged else np.nan for name in ("p", "q", "effect"))
    moved = str(v["contrast"]) if judged else None
    return (one.subject.name, str(v["status"]), moved, *numbers, str(v["source"]) if judged else "none",
            str(v["reason"]) or None)  # fmt: skip


def _series(
    shelf: Shelf, blocks: Blocks, span: Span, merged: Merged, old: bool, settings: PerformanceSettings
) -> list[Series]:
    known = shelf.reference_versions
    window = Window(span.window.start, span.window.start + LENGTH[shelf.monitor.window])
    found = {key: {window.start: one} for key, one in merged.labelled.items()}
    made: list[Series] = []
    for version in sorted({version for version, _ in found}) if known else []:
        reference = reference_version(shelf.monitor, version, known)
        of_length = {
            segment: [_sum([some[i][1] for i in at])
                      for _, at in _grouped([start for start, _ in some], len(span.windows), shelf.monitor)]
            for segment, some in blocks.outcomes.get(reference, {}).items()
        }  # fmt: skip
        own = {segment: one.labelled for (name, segment), one in shelf.references.items() if name == reference}
        taught = teach(own, of_length, settings)
        if taught is not None:
            made += series_of_version(found, taught, version, [window], np.array([old]), settings)
    return made


def _sum(outcomes: Sequence[OutcomeProfile]) -> OutcomeProfile:
    total = outcomes[0]
    for one in outcomes[1:]:
        total = total.merge(one)
    return total
