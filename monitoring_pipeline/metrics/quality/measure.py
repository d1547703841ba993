"""Every quality figure of one window and segment, as rows with their verdicts."""

from __future__ import annotations

from monitoring_pipeline.metric_rows import QualityRow
from monitoring_pipeline.metrics.quality.columns import measure_columns
from monitoring_pipeline.metrics.quality.contract import measure_contract
from monitoring_pipeline.metrics.quality.facts import WindowFacts
from monitoring_pipeline.metrics.quality.window import measure_window
from monitoring_pipeline.monitors.declaration import Thresholds
from monitoring_pipeline.profiles.profile import EVERYTHING, Profile


def measure_quality(
    profile: Profile, reference: Profile | None, facts: WindowFacts, thresholds: Thresholds
) -> list[QualityRow]:
    """Quality of one window and segment. Without a ``reference``, or a column in it, what needs one is undefined or
    not judged.

    For the segment ``*`` the facts about whole windows come first: volume, freshness, duplicates, quarantine, the
    schema contract, label coverage. A segment gets what its own profile tells: its rows, and its columns.
    """
    whole = profile.segment == EVERYTHING
    rows = measure_window(profile, facts, thresholds) if whole else []
    if not whole:
        rows.append(
            QualityRow(profile.segment, "*", "rows", float(profile.n_rows), None, "default", None, profile.n_rows)
        )
    rows += measure_columns(profile, reference, thresholds)
    return rows + (measure_contract(profile, facts, thresholds) if whole else [])
