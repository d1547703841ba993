"""The monitor as a Prometheus target: newest values of each monitor, and the monitor's own health.

Belongs here: turning rows into exposition text, caching between scrapes, the HTTP server. Does not belong here: which
rows those are (``warehouse.exposition``), live metrics of a prediction service (``serving``), judging anything.
"""

from monitoring_pipeline.exporter.collector import DEFAULT_METHODS, Collector, Snapshot
from monitoring_pipeline.exporter.server import DEFAULT_PORT, Exporter, serve, start

__all__ = ["DEFAULT_METHODS", "DEFAULT_PORT", "Collector", "Exporter", "Snapshot", "serve", "start"]
