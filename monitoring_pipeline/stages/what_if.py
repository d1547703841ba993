"""What would be flagged under another policy: judged from stored measurements, written nowhere."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from monitoring_pipeline.alerting.verdict import FLAGGED, Verdict
from monitoring_pipeline.measurements import WHOLE_ROWS
from monitoring_pipeline.monitors import Monitor, Window
from monitoring_pipeline.stages.context import StageContext
from monitoring_pipeline.stages.incidents_under import imagined, statuses, subjects
from monitoring_pipeline.stages.judging import WINDOWS_A_READ, read, verdict_on
from monitoring_pipeline.warehouse import verdict_store
from monitoring_pipeline.warehouse.measurement_store import Kept

SHARE = "drifted_columns_share"


@dataclass(frozen=True)
class Difference:
    """One metric of one column over the windows judged: how often it is flagged now, and would be.

    ``appear`` and ``vanish`` are the windows that would be flagged in addition, and no longer.
    """

    family: str
    baseline: str
    segment: str
    column_name: str
    metric: str
    now: int
    then: int
    appear: tuple[Window, ...]
    vanish: tuple[Window, ...]


def differences(stages: StageContext, windows: Sequence[Window], policy: Monitor) -> list[Difference]:
    """What ``policy`` would judge otherwise than the verdicts that stand, the most changed first."""
    moment = datetime.now(UTC)
    found = stages.warehouse.run(lambda conn: imagined(conn, policy, windows, moment))
    columns, performance = statuses(found.columns), subjects(found.windows)
    flags: dict[tuple, list[tuple[Window, bool, bool]]] = defaultdict(list)
    for at in range(0, len(windows), WINDOWS_A_READ):
        some = windows[at : at + WINDOWS_A_READ]
        of = read(stages, some)
        standing = _standing(stages, some)
        for window, kept in of.kept.items():
            for one in kept:
                m = one.measurement
                place = (window.start, m.model_version, m.segment)
                was, would = (
                    standing.get(one.measurement_id),
                    verdict_on(policy, one, columns.get(place, {}), performance.get(place, {}), moment),
                )
                for key, now, then in _flags(one, was, would):
                    flags[key].append((window, now, then))
    changed = [_difference(key, seen) for key, seen in flags.items() if any(now != then for _, now, then in seen)]
    return sorted(changed, key=lambda d: (-len(d.appear) - len(d.vanish), d.family, d.column_name, d.metric, d.segment))


def _standing(stages: StageContext, windows: Sequence[Window]) -> dict[int, Verdict]:
    return stages.warehouse.run(lambda conn: verdict_store.standing(conn, stages.monitor.name, windows))


def _flags(kept: Kept, was: Verdict | None, would: Verdict) -> Iterator[tuple[tuple[str, ...], bool, bool]]:
    """Every metric that is flagged now or would be: its key, now, then."""
    m = kept.measurement
    place = (m.family, m.baseline, m.segment)
    for i in range(len(m.value)):
        now, then = was is not None and was.flagged[i] == FLAGGED, would.flagged[i] == FLAGGED
        if now or then:
            yield (*place, m.keys.columns[i], m.keys.metrics[i]), bool(now), bool(then)
    shares = [verdict.share for verdict in (was, would) if verdict is not None and verdict.share is not None]
    if any(share.flagged == FLAGGED for share in shares):
        now = was is not None and was.share is not None and was.share.flagged == FLAGGED
        yield (*place, WHOLE_ROWS, SHARE), now, would.share is not None and would.share.flagged == FLAGGED


def _difference(key: tuple[str, ...], seen: Sequence[tuple[Window, bool, bool]]) -> Difference:
    family, baseline, segment, column_name, metric = key
    return Difference(
        family,
        baseline,
        segment,
        column_name,
        metric,
        now=sum(now for _, now, _ in seen),
        then=sum(then for _, _, then in seen),
        appear=tuple(window for window, now, then in seen if then and not now),
        vanish=tuple(window for window, now, then in seen if now and not then),
    )
