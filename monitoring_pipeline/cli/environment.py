"""What a command needs around it: settings, the open warehouse, Dagster's home."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING

from monitoring_pipeline.errors import DeclarationError, UserError
from monitoring_pipeline.resources import data_file
from monitoring_pipeline.settings import Settings

if TYPE_CHECKING:
    from monitoring_pipeline.monitors import Monitor
    from monitoring_pipeline.warehouse.database import Warehouse

# Range runs write one event a window and asset; batched, an event costs a third. The ledger, not the event log, is the
# truth.
EVENT_BATCH_SIZE = "500"


@contextmanager
def open_warehouse(settings: Settings | None = None) -> Iterator[Warehouse]:
    """The metrics database; an embedded server that this process is the last to use is stopped at the end."""
    from monitoring_pipeline.warehouse.database import Warehouse

    with Warehouse.open(settings or Settings()) as warehouse:
        yield warehouse


@contextmanager
def dagster_environment(settings: Settings) -> Iterator[Warehouse]:
    """The warehouse, and the variables Dagster reads: its home, its database, its event batches."""
    with open_warehouse(settings) as warehouse:
        dagster_home = settings.private("dagster")
        write_whole(dagster_home / "dagster.yaml", data_file("dagster.yaml").read_bytes())
        os.environ.update(
            DAGSTER_HOME=str(dagster_home),
            MONITORING_DAGSTER_URL=warehouse.dagster_url,
            DAGSTER_EVENT_BATCH_SIZE=os.environ.get("DAGSTER_EVENT_BATCH_SIZE", EVENT_BATCH_SIZE),
            DO_NOT_TRACK="1",
        )
        yield warehouse


def write_whole(path: Path, content: bytes) -> None:
    """The file is the old one or the new one to whoever reads it: several services start at once on one home."""
    with NamedTemporaryFile(dir=path.parent, prefix=path.name, delete=False) as made:
        made.write(content)
    Path(made.name).replace(path)


def monitor_named(name: str, settings: Settings) -> Monitor:
    """The monitor of that name, whatever mistakes the files of others hold. Raises UserError that lists the names."""
    from monitoring_pipeline.monitors.loading import load_monitor, load_monitors, monitor_files

    monitors: dict[str, Monitor] = {}
    broken: dict[str, str] = {}
    for path in monitor_files(settings.monitors_dir):
        try:
            monitor = load_monitor(path)
        except DeclarationError as error:
            broken[path.stem] = str(error)
            continue
        if monitor.name == name and name in monitors:
            load_monitors(settings.monitors_dir)  # says which two files declare the name
        monitors[monitor.name] = monitor
    if name not in monitors and name in broken:
        raise UserError(broken[name])
    if name not in monitors:
        known = ", ".join(monitors) or f"none; `monitoring-pipeline init` drafts one into {settings.monitors_dir}"
        unusable = "".join(f"\n{error}" for error in broken.values())
        raise UserError(f"there is no monitor named {name!r} in {settings.monitors_dir}. There are: {known}{unusable}")
    return monitors[name]


def file_of(monitor: Monitor, settings: Settings) -> Path | None:
    """The file that declares the monitor; None when none in the directory of monitors does."""
    from monitoring_pipeline.monitors.loading import load_monitor, monitor_files

    for path in monitor_files(settings.monitors_dir):
        try:
            if load_monitor(path).name == monitor.name:
                return path
        except DeclarationError:
            continue  # another monitor's mistake
    return None
