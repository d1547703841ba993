"""The embedded engine: DuckDB in this process.

Belongs here: how a scan becomes DuckDB's SQL and how its rows are streamed through the counters. Does not belong here:
counting itself (``engines``), which is the same for every engine.
"""

from monitoring_pipeline.engines.duckdb.engine import DuckDBEngine

__all__ = ["DuckDBEngine"]
