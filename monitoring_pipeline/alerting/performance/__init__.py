"""Performance verdicts: whether a model does worse than its reference, calibrated on how much windows vary.

Belongs here: the few contrasts that are judged (``scores``: auc, level, slope; ``errors``: bias, scale; ``predicted``:
error), their null from the reference's blocks, p-values, verdicts, causes, when labels may be judged; and verdicts of
metrics against declared bounds (``bounds``). Does not belong here: metrics themselves (``metrics.performance``),
storing, incidents.

Shapes: S series (segments), T windows in order without gaps, D counts, J contrasts, H horizons. In order:

1.  ``settings = PerformanceSettings().for_windows(seconds)``
2.  for each of ``subjects(layout.outcome)`` and each segment, once per model version:
    ``family = family_of(subject, reference.outcome, settings)``
    ``calibration = calibrate(family, evidence_of(subject, [block.outcome for block in blocks]), settings)``, blocks in
    order of time, or ``np.zeros((0, D))`` without any
    then ``calibration = stacked(of_each_segment)``: S series of one subject
    ``calibration_notice(Line(*family.line[0]), family.x[0], labelled, settings)``: once per version, for ``scores``
3.  for each subject: ``evidence`` (S, T, D) of ``evidence_of(subject, outcomes)``, a window without rows as
    ``OutcomeProfile.empty``; ``mature`` (S, T) of ``mature(predictions, labelled, rarer_of(subject, evidence),
    usual_share, old, settings)``, for ``macro`` that of all classes together
4.  ``tests = judge(calibration, evidence, mature, settings, uncovered=…, declared=…, origin=…)``, ``origin`` being the
    start of the first window divided by the length of a window
5.  ``verdicts = decide([tests of each subject], level)``: all subjects and segments of a
    window are one family; (S, T) arrays of status, q, p, contrast, horizon, effect, source, reason, for each subject
6.  ``causes(calibration, evidence, mature, tests, verdicts, level, settings)`` (S, T)

Judging needs history: the verdict of window t rests on evidence of the 28 windows up to it, and, where the reference
teaches no null, on all windows before it.
"""

from monitoring_pipeline.alerting.performance.bounds import judge_performance
from monitoring_pipeline.alerting.performance.calibration import Calibration, calibrate, stacked
from monitoring_pipeline.alerting.performance.cause import causes
from monitoring_pipeline.alerting.performance.evidence import (
    Subject,
    evidence_of,
    family_of,
    rarer_of,
    score_axis,
    subjects,
)
from monitoring_pipeline.alerting.performance.judgement import Tests, Verdicts, decide, judge
from monitoring_pipeline.alerting.performance.line import Line, calibration_notice, fit_line
from monitoring_pipeline.alerting.performance.maturity import mature
from monitoring_pipeline.alerting.performance.settings import ContrastSettings, NullSettings, PerformanceSettings

__all__ = [
    "Calibration",
    "ContrastSettings",
    "Line",
    "NullSettings",
    "PerformanceSettings",
    "Subject",
    "Tests",
    "Verdicts",
    "calibrate",
    "calibration_notice",
    "causes",
    "decide",
    "evidence_of",
    "family_of",
    "fit_line",
    "judge",
    "judge_performance",
    "mature",
    "rarer_of",
    "score_axis",
    "stacked",
    "subjects",
]
