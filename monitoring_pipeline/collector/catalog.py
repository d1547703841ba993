"""The catalog: the monitors that may be written to, kept in step with their files while the collector runs."""

from __future__ import annotations

import logging
import threading
import time
from pathlib import Path

from monitoring_pipeline.errors import DeclarationError
from monitoring_pipeline.monitors import Monitor
from monitoring_pipeline.monitors.loading import load_monitor, monitor_files

logger = logging.getLogger(__name__)
Stamp = tuple[int, int, int]


class Catalog:
    """A file that is broken after a change keeps the monitor it declared before: a slip in YAML loses no records."""

    def __init__(self, directory: Path, refresh_seconds: float = 2.0) -> None:
        """Raises DeclarationError when there is no such directory."""
        self._directory, self._refresh = directory, refresh_seconds
        self._lock = threading.Lock()
        self._next = 0.0
        self._stamps: dict[Path, Stamp] = {}
        self._monitors: dict[Path, Monitor] = {}
        self.broken: dict[Path, str] = {}
        self._read()

    def get(self, name: str) -> Monitor | None:
        """The monitor of this name; None when it is not declared."""
        self.refresh()
        return next((m for m in self._monitors.values() if m.name == name), None)

    def names(self) -> list[str]:
        """Names of all declared monitors."""
        return sorted(m.name for m in self._monitors.values())

    def refresh(self) -> None:
        """Reads changed files, at most every ``refresh_seconds``."""
        if time.monotonic() < self._next or not self._lock.acquire(blocking=False):
            return
        try:
            self._read()
        except DeclarationError as error:
            logger.error("%s; the monitors read before stay", error)
            self.broken = {**self.broken, self._directory: str(error)}
            self._next = time.monotonic() + self._refresh
        finally:
            self._lock.release()

    def _read(self) -> None:
        stamps: dict[Path, Stamp] = {}
        monitors, broken = dict(self._monitors), dict(self.broken)
        for path in monitor_files(self._directory):
            try:
                stat = path.stat() if path.exists() else path.lstat()
            except FileNotFoundError:  # removed since it was listed
                continue
            except OSError:  # such as a link to itself; reading it says what is wrong
                stat = path.lstat()
            # st_ctime: a file that is made readable keeps its time of change and its size.
            stamps[path] = (stat.st_mtime_ns, stat.st_ctime_ns, stat.st_size)
            if stamps[path] == self._stamps.get(path):
                continue
            broken.pop(path, None)
            try:
                monitors[path] = load_monitor(path)
            except DeclarationError as error:
                broken[path] = str(error)
                logger.error("%s", error)
        self._monitors = {path: monitor for path, monitor in monitors.items() if path in stamps}
        self.broken = {path: why for path, why in broken.items() if path in stamps}
        self._stamps = stamps
        self._next = time.monotonic() + self._refresh
