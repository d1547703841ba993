"""Every quality metric of one window and segment, as one measurement."""

from __future__ import annotations

from monitoring_pipeline.measurements import WHOLE_ROWS, Measurement
from monitoring_pipeline.metrics.quality.columns import measure_columns
from monitoring_pipeline.metrics.quality.contract import measure_contract, measure_extra
from monitoring_pipeline.metrics.quality.facts import WindowFacts
from monitoring_pipeline.metrics.quality.rows import Rows
from monitoring_pipeline.metrics.quality.window import measure_window
from monitoring_pipeline.profiles.profile import EVERYTHING, Profile


def measure_quality(
    profile: Profile, reference: Profile | None, facts: WindowFacts, *, about_window: bool = True
) -> Measurement:
    """Quality of one window and segment. Without a ``reference``, or a column in it, ``reference_value`` is NaN.

    For the segment ``*`` the metrics of whole windows come first: volume, freshness, duplicates, quarantine, label
    coverage, extra columns. They stand with one model version: ``about_window=False`` leaves them out for the others.
    Then each column's values and, for ``*``, its contract. A segment gets what its own profile tells.
    """
    rows, whole = Rows(), profile.segment == EVERYTHING
    if not whole:
        rows.add(WHOLE_ROWS, "rows", float(profile.n_rows), profile.n_rows)
    elif about_window:
        measure_window(rows, facts)
        measure_extra(rows, facts)
    measure_columns(rows, profile, reference)
    if whole:
        measure_contract(rows, profile, facts)
    return rows.measurement(profile.model_version, profile.segment)
