"""What references teach about performance: made once for each reference and set of rules, and stored."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

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
    rarer_of,
    stacked,
    subjects,
)
from monitoring_pipeline.alerting.policy import POLICY
from monitoring_pipeline.profiles.layout import OutcomeLayout
from monitoring_pipeline.profiles.outcome import OutcomeProfile
from monitoring_pipeline.profiles.profile import LabelledProfile
from monitoring_pipeline.warehouse import fold_store, profile_store

FORMAT = 1  # raise it when what is stored means something else


@dataclass(frozen=True, eq=False)
class Taught:
    """By the reference of one model version about its S ``segments`` that have labelled rows, in order: for each of
    the subjects of ``layout``, in their order, a calibration of S series and the ``usual`` (S,) share of its rarer
    class."""

    layout_id: str
    layout: OutcomeLayout
    segments: tuple[str, ...]
    calibrations: tuple[Calibration, ...]
    usual: tuple[NDArray[np.float64], ...]


def taught_by(
    conn: Connection, monitor: str, reference: tuple[str, str], settings: PerformanceSettings, keep: bool
) -> Taught | None:
    """By the ``reference`` of a model version, in its version of ``profile_store.reference_versions``; None where it
    has no labelled rows. Stored when it is made, if ``keep``."""
    model_version, reference_version = reference
    rules = json.dumps([FORMAT, POLICY, reference_version, repr(settings)])
    made_from = hashlib.sha256(rules.encode()).hexdigest()[:16]
    stored = fold_store.calibration(conn, monitor, model_version, made_from)
    if stored is not None:
        return _read(conn, stored)
    made = teach(
        profile_store.load_reference_outcomes(conn, monitor, model_version), _blocks(conn, monitor, model_version),
        settings,
    )  # fmt: skip
    if keep and made is not None:
        content = {"made_from": made_from, "calibration": _written(made)}
        fold_store.keep_calibration(conn, monitor, model_version, content)
    return made


def teach(
    reference: Mapping[str, LabelledProfile], blocks: Mapping[str, Sequence[OutcomeProfile]],
    settings: PerformanceSettings,
) -> Taught | None:  # fmt: skip
    """From the outcomes of a reference and of its blocks in order of time, both by segment."""
    whole = {segment: one.outcome for segment, one in sorted(reference.items()) if one.outcome.n_labelled}
    if not whole:
        return None
    segments = tuple(whole)
    of = subjects(whole[segments[0]].layout)
    return Taught(
        reference[segments[0]].layout_id,
        whole[segments[0]].layout,
        segments,
        tuple(stacked([_calibration(one, whole[s], blocks.get(s, ()), settings) for s in segments]) for one in of),
        tuple(np.array([_rarer_share(one, whole[s]) for s in segments]) for one in of),
    )


def _calibration(
    subject: Subject, reference: OutcomeProfile, blocks: Sequence[OutcomeProfile], settings: PerformanceSettings
) -> Calibration:
    family = family_of(subject, reference, settings)
    width = evidence_of(subject, [reference]).shape[1]
    return calibrate(family, evidence_of(subject, blocks) if blocks else np.zeros((0, width)), settings)


def _rarer_share(subject: Subject, reference: OutcomeProfile) -> float:
    return float(rarer_of(subject, evidence_of(subject, [reference]))[0] / max(reference.n_labelled, 1))


def _blocks(conn: Connection, monitor: str, model_version: str) -> dict[str, list[OutcomeProfile]]:
    """The outcomes of the reference's blocks by segment, in order of time."""
    found: dict[str, list[OutcomeProfile]] = {}
    for labelled in profile_store.load_block_outcomes(conn, monitor, model_version):
        found.setdefault(labelled.segment, []).append(labelled.outcome)
    return found


def _written(taught: Taught) -> str:
    content = {
        "layout_id": taught.layout_id,
        "segments": taught.segments,
        "calibrations": [one.to_json() for one in taught.calibrations],
        "usual": [one.tolist() for one in taught.usual],
    }
    return json.dumps(content, separators=(",", ":"))


def _read(conn: Connection, stored: str) -> Taught:
    content = json.loads(stored)
    return Taught(
        content["layout_id"],
        profile_store.load_layout(conn, content["layout_id"]).outcome,
        tuple(content["segments"]),
        tuple(Calibration.from_json(one) for one in content["calibrations"]),
        tuple(np.array(one) for one in content["usual"]),
    )
