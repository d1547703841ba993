"""The collector: predictions and ground truth over HTTP, for services that are not written in Python.

Belongs here: the HTTP application, its API keys, the check of records against a monitor's declaration, the durable log
of accepted records and their way into the landing directory. Does not belong here: instrumenting a Python service
(``serving``), reading what has landed (``lake``), anything that needs Postgres: the collector works while it is away.
"""

from monitoring_pipeline.collector.keys import KeyStore
from monitoring_pipeline.collector.limits import Limits
from monitoring_pipeline.collector.server import serve

__all__ = ["KeyStore", "Limits", "serve"]
