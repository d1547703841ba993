"""The Dagster code location: every monitor's graph, merged. A monitor whose file is wrong is shown as such, not
dropped.
"""

from pathlib import Path

import dagster as dg

from monitoring_pipeline.errors import DeclarationError
from monitoring_pipeline.graph.broken import broken_monitor
from monitoring_pipeline.graph.factory import build_fleet
from monitoring_pipeline.graph.retention import retention_graph
from monitoring_pipeline.monitors import Monitor
from monitoring_pipeline.monitors.loading import load_monitor, monitor_files
from monitoring_pipeline.settings import Settings


@dg.definitions
def definitions() -> dg.Definitions:
    """Every declared monitor's graph. A declaration that cannot be used is an asset that says why."""
    named: dict[str, Path] = {}
    monitors: list[Monitor] = []
    broken: list[dg.Definitions] = []
    for path in monitor_files(Settings().monitors_dir):
        try:
            monitors.append(_load(path, named))
        except DeclarationError as error:
            broken.append(broken_monitor(path, error))
    return dg.Definitions.merge(build_fleet(monitors), *broken, retention_graph(monitors))


def _load(path: Path, named: dict[str, Path]) -> Monitor:
    """``named``: the files seen before, by the name they declare; two graphs of one name cannot be merged."""
    monitor = load_monitor(path)
    if monitor.name in named:
        raise DeclarationError(f"{path}: name: {monitor.name} is taken by {named[monitor.name]}; write another name")
    named[monitor.name] = path
    return monitor
