"""Decisions over measurements: what is drifted, violated or degraded, and by which threshold. Pure.

Belongs here: thresholds and where they are from, verdicts, whether a window's labels are complete. A verdict depends on
a measurement and the declaration alone, so that a changed threshold is applied without measuring anything again. Does
not belong here: computing a value from profiles (``metrics``), storing verdicts (``warehouse``), acting on them.
"""

from monitoring_pipeline.alerting.drift.methods import judge_drift
from monitoring_pipeline.alerting.maturity import is_mature
from monitoring_pipeline.alerting.performance import judge_performance
from monitoring_pipeline.alerting.policy import POLICY, policy_version
from monitoring_pipeline.alerting.quality import judge_quality
from monitoring_pipeline.alerting.verdict import (
    FLAGGED,
    NOT_FLAGGED,
    NOT_JUDGED,
    ShareVerdict,
    ThresholdSource,
    Verdict,
)

__all__ = [
    "FLAGGED",
    "NOT_FLAGGED",
    "NOT_JUDGED",
    "POLICY",
    "ShareVerdict",
    "ThresholdSource",
    "Verdict",
    "is_mature",
    "judge_drift",
    "judge_performance",
    "judge_quality",
    "policy_version",
]
