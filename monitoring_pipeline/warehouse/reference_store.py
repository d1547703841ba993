"""The reference by segment, with its outcomes: what a window's segment is compared with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, text

from monitoring_pipeline.profiles.document import Reference
from monitoring_pipeline.profiles.profile import LabelledProfile, Profile
from monitoring_pipeline.warehouse import profile_store
from monitoring_pipeline.warehouse.copying import copy_rows, parse_counts, parse_sums
from monitoring_pipeline.windows import Window

FORGET = text("delete from monitoring.reference_segment where monitor = :monitor and model_version = :model_version")
LOAD = text("""
select s.model_version, s.segment, s.layout_id, s.n_rows, r.window_start, r.window_end,
       cast(s.counts as text) as counts, cast(s.sums as text) as sums,
       cast(s.outcome_counts as text) as outcome_counts, cast(s.outcome_sums as text) as outcome_sums,
       cast(s.target_counts as text) as target_counts, cast(s.target_sums as text) as target_sums
from monitoring.reference_segment s join monitoring.reference_profile r using (monitor, model_version)
where s.monitor = :monitor order by s.model_version, s.segment
""")
COLUMNS = (
    *("monitor", "model_version", "segment", "layout_id", "n_rows", "counts", "sums"),
    *("n_labelled", "outcome_counts", "outcome_sums", "target_counts", "target_sums"),
)


@dataclass(frozen=True)
class ReferenceSegment:
    """One segment of a reference: its columns, and its predictions against outcomes."""

    profile: Profile
    labelled: LabelledProfile


def save_segments(
    conn: Connection, reference: Reference, profiles: Sequence[Profile], labelled: Sequence[LabelledProfile]
) -> None:
    """Replace the segments of a model version's reference, which must be saved already."""
    version = reference.model_version
    conn.execute(FORGET, {"monitor": reference.monitor, "model_version": version})
    outcomes = {p.segment: p for p in labelled}
    rows = []
    for profile in profiles:
        found = outcomes[profile.segment]
        target = (None, None) if found.target is None else profile_store.flatten((found.target,))
        rows.append(
            (
                *(reference.monitor, version, profile.segment, profile.layout_id, profile.n_rows),
                *profile_store.flatten(profile.columns),
                *(found.outcome.n_labelled, *profile_store.flatten_outcome(found.outcome), *target),
            )
        )
    copy_rows(conn, "monitoring.reference_segment", COLUMNS, rows)


def load_segments(conn: Connection, monitor: str) -> dict[tuple[str, str], ReferenceSegment]:
    """Every segment of every reference of the monitor, by (model version, segment)."""
    found = {}
    for row in conn.execute(LOAD, {"monitor": monitor}).mappings().all():
        layout = profile_store.load_layout(conn, row["layout_id"])
        window = Window(row["window_start"], row["window_end"])
        key = (row["model_version"], row["segment"])
        columns = profile_store.unflatten(
            profile_store.profiled_columns(layout), parse_counts(row["counts"]), parse_sums(row["sums"])
        )
        outcome = profile_store.unflatten_outcome(
            layout, parse_counts(row["outcome_counts"]), parse_sums(row["outcome_sums"])
        )
        target = None
        if row["target_counts"] is not None:
            of = profile_store.target_columns(layout)
            (target,) = profile_store.unflatten(of, parse_counts(row["target_counts"]), parse_sums(row["target_sums"]))
        found[key] = ReferenceSegment(
            Profile(window, *key, layout.layout_id, row["n_rows"], columns),
            LabelledProfile(window, *key, layout.layout_id, 0, outcome, target),
        )
    return found
