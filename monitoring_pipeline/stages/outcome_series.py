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
    calibrate,
    evidence_of,
    family_of,
    mature,
    rarer_of,
    stacked,
    subjects,
)
from monitoring_pipeline.monitors import Monitor
from monitoring_pipeline.profiles.outcome import OutcomeProfile
from monitoring_pipeline.profiles.profile import LabelledProfile
from monitoring_pipeline.stages.versions import reference_version
from monitoring_pipeline.warehouse import profile_store, reference_store
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
    conn: Connection, monitor: Monitor, windows: Sequence[Window], settings: PerformanceSettings, now: datetime
) -> list[Series]:
    """Everything of these consecutive windows whose performance can be judged; none without labelled references."""
    references = {key: one.labelled for key, one in reference_store.load_segments(conn, monitor.name).items()}
    if not references or not windows:
        return []
    known = profile_store.reference_versions(conn, monitor.name)
    span = Window(windows[0].start, windows[-1].end)
    found = _by_key(profile_store.load_labelled(conn, monitor.name, span))
    old = np.array([now >= window.end + monitor.labels.max_delay for window in windows])
    made = []
    for version in sorted({version for version, _ in found}):
        reference = reference_version(monitor, version, known)
        blocks = _blocks(conn, monitor.name, reference)
        made += series_of_version(found, references, blocks, (version, reference), windows, old, settings)
    return made


def series_of_version(
    found: Mapping[Key, Mapping[datetime, LabelledProfile]], references: Mapping[Key, LabelledProfile],
    blocks: Mapping[str, Sequence[OutcomeProfile]], versions: tuple[str, str], windows: Sequence[Window],
    old: NDArray[np.bool_], settings: PerformanceSettings,
) -> list[Series]:  # fmt: skip
    """The series of one model version, as far as its reference has outcomes.

    ``versions``: that version and the one whose reference it is compared with. ``blocks``: outcomes of the reference's
    blocks by segment, in order of time. ``old`` (T,): whether all labels of a window are due.
    """
    version, compared = versions
    segments = sorted(s for v, s in found if v == version and (compared, s) in references)
    whole = {segment: references[compared, segment].outcome for segment in segments}
    segments = [s for s in segments if whole[s].n_labelled]
    if not segments:
        return []
    outcomes = [_aligned(found[version, s], references[compared, s], windows) for s in segments]
    predictions, labelled = (
        np.array([[getattr(o, name) for o in row] for row in outcomes], float)
        for name in ("n_predictions", "n_labelled")
    )
    made = []
    for subject in subjects(whole[segments[0]].layout):
        evidence = np.stack([evidence_of(subject, row) for row in outcomes])
        usual = np.stack([_rarer_share(subject, whole[s]) for s in segments])[:, None]
        grown = mature(predictions, labelled, rarer_of(subject, evidence), usual, old, settings)
        calibration = stacked([_calibration(subject, whole[s], blocks.get(s, ()), settings) for s in segments])
        made.append(Series(version, subject, tuple(segments), calibration, evidence, grown, labelled.astype(np.int64)))
    return _with_macro_maturity(made)


def _with_macro_maturity(made: list[Series]) -> list[Series]:
    """A macro mean is mature when all of its classes are."""
    classes = [one.mature for one in made if one.subject.kind == "scores"]
    return [
        replace(one, mature=np.logical_and.reduce(classes)) if one.subject.kind == "macro" and classes else one
        for one in made
    ]


def _calibration(
    subject: Subject, reference: OutcomeProfile, blocks: Sequence[OutcomeProfile], settings: PerformanceSettings
) -> Calibration:
    family = family_of(subject, reference, settings)
    width = evidence_of(subject, [reference]).shape[1]
    return calibrate(family, evidence_of(subject, blocks) if blocks else np.zeros((0, width)), settings)


def _rarer_share(subject: Subject, reference: OutcomeProfile) -> NDArray[np.float64]:
    return rarer_of(subject, evidence_of(subject, [reference]))[0] / max(reference.n_labelled, 1)


def _aligned(
    found: Mapping[datetime, LabelledProfile], reference: LabelledProfile, windows: Sequence[Window]
) -> list[OutcomeProfile]:
    """An outcome profile for each window, empty where there is none counted by the reference's bins."""
    empty = OutcomeProfile.empty(reference.outcome.layout)
    at = ((found.get(window.start)) for window in windows)
    return [one.outcome if one is not None and one.layout_id == reference.layout_id else empty for one in at]


def _by_key(profiles: Iterable[LabelledProfile]) -> dict[Key, dict[datetime, LabelledProfile]]:
    found: dict[Key, dict[datetime, LabelledProfile]] = {}
    for one in profiles:
        found.setdefault((one.model_version, one.segment), {})[one.window.start] = one
    return found


def _blocks(conn: Connection, monitor: str, version: str) -> dict[str, list[OutcomeProfile]]:
    """The outcomes of the reference's blocks by segment, in order of time."""
    found: dict[str, list[OutcomeProfile]] = {}
    for labelled in profile_store.load_block_outcomes(conn, monitor, version):
        found.setdefault(labelled.segment, []).append(labelled.outcome)
    return found
