"""Which engine counts: ``MONITORING_ENGINE``."""

from __future__ import annotations

from monitoring_pipeline.engines.duckdb import DuckDBEngine
from monitoring_pipeline.engines.engine import Engine
from monitoring_pipeline.settings import Settings


def engine_of(settings: Settings) -> Engine:
    """The engine that ``settings.engine`` names. Raises UserError when it cannot be used as it is installed."""
    if settings.engine == "spark":
        from monitoring_pipeline.engines.spark import SparkEngine  # pyspark is an extra

        return SparkEngine(settings)
    return DuckDBEngine(settings)
