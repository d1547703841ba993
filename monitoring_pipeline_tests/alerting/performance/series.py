"""Calibrated series for tests, from the benchmark's streams."""

from __future__ import annotations

import numpy as np

from benchmarks import detection_streams as streams
from monitoring_pipeline.alerting.budget import levels
from monitoring_pipeline.alerting.performance import (
    PerformanceSettings,
    calibrate,
    decide,
    errors,
    judge,
    scores,
    stacked,
)

SETTINGS = PerformanceSettings()
LEVEL = levels(1, 0.25, 30)
REFERENCE = 30


def scored(seed, n, kind="iid", windows=60, change=None, since=0, series=1, base=0.1, blocks=True):
    """(calibration, evidence (S, T, D)) of independent series; ``since`` counts from the first judged window."""
    random = np.random.default_rng(seed)
    drawn = [
        streams.labelled_scores(base, n, kind, REFERENCE + windows, random, change, REFERENCE + since)
        for _ in range(series)
    ]
    x = drawn[0][0]
    each = []
    for _, e in drawn:
        family = scores.against_reference(x, e[:REFERENCE].sum(0), SETTINGS)
        each.append(calibrate(family, e[: REFERENCE if blocks else 0], SETTINGS))
    return stacked(each), np.stack([e[REFERENCE:] for _, e in drawn])


def regressed(seed, n, kind="iid", windows=60, series=1, **changed):
    """The same of regressions."""
    random = np.random.default_rng(seed)
    changed = {**changed, "since": REFERENCE + changed.get("since", 0)}
    drawn = [streams.errors(kind, n, REFERENCE + windows, random, **changed) for _ in range(series)]
    each = [calibrate(errors.against_reference(e[:REFERENCE].sum(0), SETTINGS), e[:REFERENCE], SETTINGS) for e in drawn]
    return stacked(each), np.stack([e[REFERENCE:] for e in drawn])


def all_mature(evidence):
    return np.ones(evidence.shape[:2], bool)


def alarms(calibration, evidence, level=LEVEL):
    """(S, T) alarms, each series a monitor of its own."""
    p = judge(calibration, evidence, all_mature(evidence), SETTINGS).p
    return p <= level


def verdicts(calibration, evidence, level=LEVEL, **options):
    tests = judge(calibration, evidence, all_mature(evidence), SETTINGS, **options)
    return tests, decide([tests], level)[0]
