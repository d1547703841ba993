"""The reference by segment, with its outcomes: what a window's segment is compared with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from monitoring_pipeline.profiles.document import Reference
from monitoring_pipeline.profiles.profile import EVERYTHING, LabelledProfile, Profile
from monitoring_pipeline.warehouse import profile_store


@dataclass(frozen=True)
class ReferenceSegment:
    """One segment of a reference: its columns, and its predictions against outcomes."""

    profile: Profile
    labelled: LabelledProfile


def save_segments(
    conn: Connection, reference: Reference, profiles: Sequence[Profile], labelled: Sequence[LabelledProfile]
) -> None:
    """Add the segments and outcomes of a reference that was just saved, which holds the columns of ``*`` already."""
    segments = [p for p in profiles if p.segment != EVERYTHING]
    profile_store.save_parts(conn, reference.monitor, "reference", [*segments, *labelled])


def save_blocks(
    conn: Connection, reference: Reference, profiles: Sequence[Profile], labelled: Sequence[LabelledProfile]
) -> None:
    """Add the blocks of a reference that was just saved: profiles whose windows are time slices of it."""
    profile_store.save_parts(conn, reference.monitor, "block", [*profiles, *labelled])


def load_segments(conn: Connection, monitor: str) -> dict[tuple[str, str], ReferenceSegment]:
    """Every segment of every reference of the monitor, by (model version, segment)."""
    return {
        (profile.model_version, profile.segment): ReferenceSegment(profile, labelled)
        for profile, labelled in profile_store.load_reference_rows(conn, monitor)
        if labelled is not None
    }
