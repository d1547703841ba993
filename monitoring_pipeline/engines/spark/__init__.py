"""The engine for logs that outgrow one machine: Spark.

Belongs here: how a scan is cut into tasks, how tasks are sent to a cluster, how their counts are added up. Does not
belong here: counting itself; each task counts its rows with the embedded engine, so that the results are equal.
"""

from monitoring_pipeline.engines.spark.engine import SparkEngine

__all__ = ["SparkEngine"]
