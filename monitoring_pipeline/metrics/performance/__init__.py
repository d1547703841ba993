"""How well a model did, once outcomes are known: metrics with 95 % intervals from outcome profiles.

Belongs here: classification, ranking, calibration and regression metrics, their intervals, and which way each is
better. Does not belong here: whether a model is degraded (``alerting``), estimates without labels and the decision to
retrain.
"""

from monitoring_pipeline.metrics.performance.confusion import classification_at
from monitoring_pipeline.metrics.performance.direction import higher_is_better
from monitoring_pipeline.metrics.performance.intervals import Estimate
from monitoring_pipeline.metrics.performance.measure import measure_outcome, measure_performance
from monitoring_pipeline.metrics.performance.ranking import average_precision, roc_auc

__all__ = [
    "Estimate",
    "average_precision",
    "classification_at",
    "higher_is_better",
    "measure_outcome",
    "measure_performance",
    "roc_auc",
]
