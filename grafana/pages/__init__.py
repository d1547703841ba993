"""One module a dashboard: what is asked, in which order, with which words. How things look is in ``kit``."""

from collections.abc import Callable
from typing import Any

from grafana.pages import column, fleet, incident, model, quality, retraining, segments, service, system

PAGES: dict[str, Callable[[], Any]] = {
    "fleet": fleet.build,
    "model": model.build,
    "incident": incident.build,
    "column": column.build,
    "segments": segments.build,
    "quality": quality.build,
    "retraining": retraining.build,
    "service": service.build,
    "system": system.build,
}
"""By the name of the JSON file."""
