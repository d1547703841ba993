"""Stored outcomes as the series that performance verdicts are made of: segments of a model version over a calendar."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection

from monitoring_pipeline.alerting.performance import (
    Calibration,
    PerformanceSettings,
    Subject,
    evidence_of,
    mature,
    rarer_of,
    subjects,
)
from monitoring_pipeline.monitors import Monitor
from monitoring_pipeline.profiles.outcome import OutcomeProfile
from monitoring_pipeline.profiles.profile import LabelledProfile
from monitoring_pipeline.stages.calibrations import Taught, taught_by
from monitoring_pipeline.stages.versions import reference_version
from monitoring_pipeline.warehouse import profile_store
from monitoring_pipeline.windows import Window

Key = tuple[str, str]  # model version, segment


@dataclass(frozen=True, eq=False)
class Series:
    """One subject of a model version in S ``segments`` over T windows: ``evidence`` (S, T, D), ``mature`` (S, T), and
    ``labelled`` (S, T) rows."""

    model_version: str
    subject: Subject
    segments: tuple[str, ...]
    calibration: Calibration
    evidence: NDArray[np.float64]
    mature: NDArray[np.bool_]
    labelled: NDArray[np.int64]


def series_of(
    conn: Connection, monitor: Monitor, windows: Sequence[Window], settings: PerformanceSettings, now: datetime,
    keep: bool,
) -> list[Series]:  # fmt: skip
    """Everything of these consecutive windows whose performance can be judged; none without labelled references.

    ``keep``: what references teach is stored for the next time.
    """
    known = profile_store.reference_versions(conn, monitor.name)
    if not known or not windows:
        return []
    span = Window(windows[0].start, windows[-1].end)
    found = _by_key(profile_store.load_outcomes(conn, monitor.name, span))
    old = np.array([now >= window.end + monitor.labels.max_delay for window in windows])
    made = []
    for version in sorted({version for version, _ in found}):
        compared = reference_version(monitor, version, known)
        taught = taught_by(conn, monitor.name, (compared, known[compared]), settings, keep)
        if taught is not None:
            made += series_of_version(found, taught, version, windows, old, settings)
    return made


def series_of_version(
    found: Mapping[Key, Mapping[datetime, LabelledProfile]], taught: Taught, version: str, windows: Sequence[Window],
    old: NDArray[np.bool_], settings: PerformanceSettings,
) -> list[Series]:  # fmt: skip
    """The series of one model version, as far as its reference has outcomes.

    ``taught`` by the reference that it is compared with. ``old`` (T,): whether all labels of a window are due.
    """
    at = [i for i, segment in enumerate(taught.segments) if (version, segment) in found]
    if not at:
        return []
    segments = tuple(taught.segments[i] for i in at)
    outcomes = [_aligned(found[version, segment], taught, windows) for segment in segments]
    predictions, labelled = (
        np.array([[getattr(o, name) for o in row] for row in outcomes], float)
        for name in ("n_predictions", "n_labelled")
    )
    made = []
    for subject, calibration, usual in zip(subjects(taught.layout), taught.calibrations, taught.usual, strict=True):
        evidence = np.stack([evidence_of(subject, row) for row in outcomes])
        grown = mature(predictions, labelled, rarer_of(subject, evidence), usual[at, None], old, settings)
        made.append(
            Series(version, subject, segments, calibration.of(at), evidence, grown, labelled.astype(np.int64))
        )  # fmt: skip
    return _with_macro_maturity(made)


def _with_macro_maturity(made: list[Series]) -> list[Series]:
    """A macro mean is mature when all of its classes are."""
    classes = [one.mature for one in made if one.subject.kind == "scores"]
    return [
        replace(one, mature=np.logical_and.reduce(classes)) if one.subject.kind == "macro" and classes else one
        for one in made
    ]


def _aligned(
    found: Mapping[datetime, LabelledProfile], taught: Taught, windows: Sequence[Window]
) -> list[OutcomeProfile]:
    """An outcome profile for each window, empty where there is none counted by the reference's bins."""
    empty = OutcomeProfile.empty(taught.layout)
    at = ((found.get(window.start)) for window in windows)
    return [one.outcome if one is not None and one.layout_id == taught.layout_id else empty for one in at]


def _by_key(profiles: Iterable[LabelledProfile]) -> dict[Key, dict[datetime, LabelledProfile]]:
    found: dict[Key, dict[datetime, LabelledProfile]] = {}
    for one in profiles:
        found.setdefault((one.model_version, one.segment), {})[one.window.start] = one
    return found
