"""Inside a prediction service: instrumentation, the durable prediction log, live metrics.

Belongs here: what runs in the process that serves a model, and beside it. It must stay light: importing this package
loads
NumPy and prometheus_client and nothing heavier; Arrow, SQLAlchemy and scikit-learn are imported by who needs them,
when. Does not belong here: computing drift (Prometheus' rules and the pipeline do), reading the lake.
"""

from monitoring_pipeline.prediction_log import ParquetSink, PredictionLog, PredictionLogError, SqlSink
from monitoring_pipeline.serving.champion import ChampionFollower, ChampionPointer, Serving, read_champion
from monitoring_pipeline.serving.middleware import MonitoringMiddleware
from monitoring_pipeline.serving.monitoring import Monitoring

__all__ = [
    "ChampionFollower",
    "ChampionPointer",
    "Monitoring",
    "MonitoringMiddleware",
    "ParquetSink",
    "PredictionLog",
    "PredictionLogError",
    "Serving",
    "SqlSink",
    "read_champion",
]
