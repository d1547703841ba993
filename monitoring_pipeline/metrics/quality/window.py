"""Figures about whole windows: volume, freshness, duplicates, quarantine, label coverage."""

from __future__ import annotations

from statistics import median

from monitoring_pipeline.metric_rows import ROW_COLUMN, QualityRow, ThresholdSource
from monitoring_pipeline.metrics.quality.facts import WindowFacts
from monitoring_pipeline.monitors.declaration import Thresholds
from monitoring_pipeline.profiles.profile import Profile

LEAST_PAST = 2  # windows needed before the usual volume means anything


def measure_window(profile: Profile, facts: WindowFacts, thresholds: Thresholds) -> list[QualityRow]:
    """Rows of column ``*``. Shares are of the rows received: kept, duplicate and quarantined together."""
    segment, n, received = profile.segment, facts.n_rows, facts.n_received
    rows = [
        QualityRow(segment, ROW_COLUMN, "rows", float(n), None, "default", None, n),
        _volume(segment, facts, thresholds),
        QualityRow(segment, ROW_COLUMN, "freshness_seconds", facts.freshness_seconds, None, "default", None, n),
        _share(segment, "duplicate_share", facts.n_duplicates, received, thresholds, None),
        _share(segment, "quarantined_share", facts.n_quarantined, received, thresholds, _reasons(facts)),
    ]
    if facts.coverage is not None:
        threshold, source = declared(thresholds, "label_coverage")
        violated = facts.coverage < threshold if facts.mature else None
        rows.append(
            QualityRow(segment, ROW_COLUMN, "label_coverage", float(facts.coverage), threshold, source, violated, n)
        )
    return rows


def declared(thresholds: Thresholds, name: str) -> tuple[float, ThresholdSource]:
    """A threshold of the monitor and whether its declaration says it."""
    return getattr(thresholds, name), "declared" if name in thresholds.model_fields_set else "default"


def _volume(segment: str, facts: WindowFacts, thresholds: Thresholds) -> QualityRow:
    """Rows over the median of the usual; the threshold shown is the bound on the side the ratio lies."""
    low, high = thresholds.volume_ratio
    source: ThresholdSource = "declared" if "volume_ratio" in thresholds.model_fields_set else "default"
    usual = median(facts.usual_rows) if len(facts.usual_rows) >= LEAST_PAST else 0
    if usual <= 0:
        return QualityRow(segment, ROW_COLUMN, "volume_ratio", None, low, source, None, facts.n_rows)
    ratio = facts.n_rows / usual
    violated = not low <= ratio <= high
    threshold = low if ratio < 1 else high
    detail = f"{facts.n_rows} rows, usually {usual:g}" if violated else None
    return QualityRow(segment, ROW_COLUMN, "volume_ratio", ratio, threshold, source, violated, facts.n_rows, detail)


def _share(
    segment: str, metric: str, count: int, received: int, thresholds: Thresholds, detail: str | None
) -> QualityRow:
    threshold, source = declared(thresholds, metric)
    value = count / received if received else None
    violated = None if value is None else value > threshold
    return QualityRow(segment, ROW_COLUMN, metric, value, threshold, source, violated, received, detail)


def _reasons(facts: WindowFacts) -> str | None:
    found = sorted(((n, reason) for reason, n in facts.quarantine.items() if n), key=lambda x: (-x[0], x[1]))
    return ", ".join(f"{reason}: {n}" for n, reason in found) or None
