"""The Dagster code location: every monitor's graph and retention of all, merged. A monitor whose file is wrong is shown
as such, not dropped.
"""

from pathlib import Path

import dagster as dg

from monitoring_pipeline.errors import DeclarationError
from monitoring_pipeline.graph.broken import broken_monitor
from monitoring_pipeline.graph.factory import build_monitor_graph
from monitoring_pipeline.graph.retention import retention_graph
from monitoring_pipeline.monitors import Monitor
from monitoring_pipeline.monitors.loading import load_monitor, monitor_files
from monitoring_pipeline.settings import Settings


def _graph(path: Path, named: dict[str, Path], monitors: list[Monitor]) -> dg.Definitions:
    """``named``: the files seen before, by the name they declare; two graphs of one name cannot be merged.

    The monitor is added to ``monitors`` if it can be loaded.
    """
    try:
        monitor = load_monitor(path)
        if monitor.name in named:
            raise DeclarationError(
                f"{path}: name: {monitor.name} is taken by {named[monitor.name]}; write another name"
            )
    except DeclarationError as error:
        return broken_monitor(path, error)
    named[monitor.name] = path
    monitors.append(monitor)
    return build_monitor_graph(monitor)


@dg.definitions
def definitions() -> dg.Definitions:
    named: dict[str, Path] = {}
    monitors: list[Monitor] = []
    graphs = [_graph(path, named, monitors) for path in monitor_files(Settings().monitors_dir)]
    return dg.Definitions.merge(*graphs, retention_graph(monitors))
