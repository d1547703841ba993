"""The Dagster code location: every monitor's graph, merged. A monitor whose file is wrong is shown as such, not
dropped.
"""

from pathlib import Path

import dagster as dg

from monitoring_pipeline.errors import DeclarationError
from monitoring_pipeline.graph.broken import broken_monitor
from monitoring_pipeline.graph.factory import build_monitor_graph
from monitoring_pipeline.monitors.loading import load_monitor, monitor_files
from monitoring_pipeline.settings import Settings


def _graph(path: Path) -> dg.Definitions:
    try:
        return build_monitor_graph(load_monitor(path))
    except DeclarationError as error:
        return broken_monitor(path, error)


@dg.definitions
def definitions() -> dg.Definitions:
    return dg.Definitions.merge(*(_graph(path) for path in monitor_files(Settings().monitors_dir)))
