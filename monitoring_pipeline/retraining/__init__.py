"""Retraining: when, on what and how a challenger is trained, whether it is better, and which model is in service.

Belongs here: the pure policy (declaration, rows, clock to a decision), leak-free training sets, trainers and their
child process, searches, artifacts, champion against challenger, attempts and promotions. Does not belong here: what
happens to a window (``stages``), Dagster (``graph``), verdicts and incidents (``alerting``), SQL text (``warehouse``).

A trainer of one's own imports what it is given and returns from here.
"""

from monitoring_pipeline.retraining.contract import Curve, TrainedModel, TrainingSet, TrainRequest

__all__ = ["Curve", "TrainRequest", "TrainedModel", "TrainingSet"]
