"""The durable prediction log: what was answered reaches the lake, whatever happens to the process or the sink.

Belongs here: what a row is and the values it may hold, the spool on local disk (framing, segments, rotation, adoption
of a dead worker's files), the thread that ships sealed segments, the sinks. Does not
belong here: counting, metrics of the service.
"""

from monitoring_pipeline.prediction_log.prediction_log import PredictionLog
from monitoring_pipeline.prediction_log.sinks import ParquetSink, SqlSink
from monitoring_pipeline.prediction_log.spool import PredictionLogError

__all__ = ["ParquetSink", "PredictionLog", "PredictionLogError", "SqlSink"]
