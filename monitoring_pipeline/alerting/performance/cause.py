"""What an alarm of performance is likely to mean.

slope fell, or the AUC for no other reason    concept: what the score means has changed
the same with a moved level                   concept and level
level alone                                   base rate or calibration: recalibrate
the AUC fell, the slope did not, and at least half of the fall is what this window's scores and the reference's line
lead to expect                                harder mix: the rows are harder to tell apart, the model is as it was

Regression and classifiers without scores name what moved: bias, larger errors, more errors.
"""

from __future__ import annotations

import numpy as np

from monitoring_pipeline.alerting.budget import Floats
from monitoring_pipeline.alerting.performance.calibration import Calibration
from monitoring_pipeline.alerting.performance.judgement import Tests, Verdicts
from monitoring_pipeline.alerting.performance.scores import Scores, auc_of, sides_of
from monitoring_pipeline.alerting.performance.settings import PerformanceSettings
from monitoring_pipeline.alerting.rolling import rolling
from monitoring_pipeline.alerting.status import Flags, Texts

CONCEPT = "concept"
CONCEPT_AND_LEVEL = "concept and level"
LEVEL = "base rate or calibration"
HARDER_MIX = "harder mix"
BY_CONTRAST = {"macro_auc": CONCEPT, "bias": "bias", "scale": "larger errors", "error": "more errors"}
TEXT = "<U24"


def causes(
    calibration: Calibration,
    evidence: Floats,
    mature: Flags,
    tests: Tests,
    verdicts: Verdicts,
    level: float,
    settings: PerformanceSettings,
) -> Texts:
    """(S, T) the cause of each alarm or notice, empty elsewhere. Arguments as given to ``judge`` and ``decide``."""
    found = np.zeros(tests.p.shape, TEXT)
    spoken = np.isin(verdicts.status, ("alarm", "notice"))
    family = calibration.family
    if not isinstance(family, Scores):
        for contrast in family.names:
            found[spoken & (verdicts.contrast == contrast)] = BY_CONTRAST[contrast]
        return found
    at = np.nonzero(spoken)
    p = tests.by_contrast[at[0], at[1], tests.horizon[at]] * tests.tried[at[0], None]
    most = tests.contrast[at][:, None] == np.arange(p.shape[1])
    auc, moved, slope = ((np.nan_to_num(p, nan=1.0) <= level) | most).T
    fell = tests.effect[at[0], at[1], tests.horizon[at], 0]
    mixed = _expected_fall(family, np.where(mature[..., None], evidence, 0.0), tests, at)
    harder = auc & ~slope & (mixed <= settings.mix_share * fell)
    concept = np.where(moved, CONCEPT_AND_LEVEL, CONCEPT)
    found[at] = np.where(harder, HARDER_MIX, np.where(auc | slope, concept, LEVEL))
    return found


def _expected_fall(family: Scores, evidence: Floats, tests: Tests, at: tuple[np.ndarray, ...]) -> Floats:
    """(N,) how far the AUC of these merges would lie from the reference's if P(positive | score) were the line."""
    fall = np.zeros(len(at[0]))
    labelled = sides_of(evidence)[0]
    for i, h in enumerate(tests.horizons):
        here = tests.horizon[at] == i
        if not here.any():
            continue
        s, t = at[0][here], at[1][here]
        n, p = rolling(labelled, h)[s, t], family.expected[s]
        fall[here] = auc_of(n * p, n * (1 - p)) - family.expected_auc[s]
    return fall
