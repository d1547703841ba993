"""Fairness: the groups of protected columns in a window, from its stored profiles. Measured with its quality."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from monitoring_pipeline.engines.segments import OTHER, segment_columns
from monitoring_pipeline.errors import SourceError
from monitoring_pipeline.measurements import Measurement
from monitoring_pipeline.metrics.fairness import Group, measure_fairness
from monitoring_pipeline.monitors import Monitor
from monitoring_pipeline.monitors.protected import Protected
from monitoring_pipeline.profiles.layout import Layout
from monitoring_pipeline.profiles.outcome import OutcomeProfile
from monitoring_pipeline.profiles.profile import LabelledProfile, Profile, segment_label

MAX_GROUPS = 20
"""Groups of a column that are compared, the reference's largest first: all pairs of more would say nothing surely."""
Sizes = Mapping[tuple[str, str], int]


@dataclass(frozen=True)
class GroupSizes:
    """Rows of each (model version, segment) of the references, and the layout of each profile by its id."""

    rows: Sizes
    layouts: Mapping[str, Layout]


def measure_groups(
    monitor: Monitor, profiles: Sequence[Profile], labelled: Sequence[LabelledProfile], sizes: GroupSizes,
    reference_versions: Mapping[str, str],
) -> list[Measurement]:  # fmt: skip
    """The measurements of all protected columns of a window. ``reference_versions``: whose reference each model
    version of the window is held against."""
    found = []
    for version in sorted({p.model_version for p in profiles}):
        of = {p.segment: p for p in profiles if p.model_version == version and p.layout_id in sizes.layouts}
        outcomes = {p.segment: p.outcome for p in labelled if p.model_version == version}
        if not of:
            continue
        layout = sizes.layouts[next(iter(of.values())).layout_id]
        known = {segment: n for (v, segment), n in sizes.rows.items() if v == reference_versions[version]}
        for one in monitor.protected:
            names = group_segments(layout, one.column)
            there = sorted((s for s in names if s in of), key=lambda s: (-known.get(s, 0), s))
            reference = reference_group(one, names, known)
            kept = [s for i, s in enumerate(there) if i < MAX_GROUPS or s == reference]
            groups = [Group(s, of[s], outcomes.get(s) or OutcomeProfile.empty(layout.outcome)) for s in kept]
            found += measure_fairness(version, one.column, reference, groups, one.min_rows, len(there) - len(kept))
    return found


def group_segments(layout: Layout, column: str) -> list[str]:
    """The segments that the values of a column make, that of missing values and that of all others included."""
    (of,) = segment_columns(layout, (column,))
    return [segment_label((column,), (of.value(code),)) for code in range(of.radix)]


def reference_group(declared: Protected, names: Sequence[str], rows: Mapping[str, int]) -> str:
    """Segment of the declared reference group, else of the reference's largest with a name of its own."""
    if declared.reference is not None:
        return segment_label((declared.column,), (declared.reference,))
    unnamed = {segment_label((declared.column,), (value,)) for value in (None, OTHER)}
    return max(names, key=lambda s: (s not in unnamed and rows.get(s, 0) > 0, rows.get(s, 0), s))


def check_reference_groups(monitor: Monitor, layout: Layout, profiles: Sequence[Profile]) -> None:
    """Raises SourceError when the declared reference group of a protected column has no row in the reference."""
    there = {p.segment for p in profiles if p.n_rows}
    for i, one in enumerate(monitor.protected):
        if one.reference is None or segment_label((one.column,), (one.reference,)) in there:
            continue
        names = [s.partition("=")[2] for s in group_segments(layout, one.column) if s in there]
        raise SourceError(
            f"{monitor.name}: protected.{i}.reference: the reference has no row whose {one.column!r} is"
            f" {one.reference!r}; write one of {', '.join(names[:20])}"
        )
