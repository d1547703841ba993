"""One module a dashboard: what is asked, in which order, with which words. How things look is in ``kit``."""

from collections.abc import Callable
from typing import Any

from grafana.pages import fleet

PAGES: dict[str, Callable[[], Any]] = {
    "fleet": fleet.build,
}
"""By the name of the JSON file."""
