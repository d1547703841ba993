"""Where the example keeps what it needs and what it leaves behind, under the home."""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from monitoring_pipeline.errors import UserError

NAME = "late15_live"
MODEL: Final = "late15"


@dataclass(frozen=True)
class Place:
    """``landed`` is where the sources of the monitor ``late15_live`` point."""

    home: Path

    @property
    def root(self) -> Path:
        """Directory of the live demo."""
        return self.home / "live"

    @property
    def reference(self) -> Path:
        """The reference document of the service."""
        return self.root / "reference.json"

    @property
    def spool(self) -> Path:
        """The service's spool."""
        return self.root / "spool"

    @property
    def counters(self) -> Path:
        """Where the workers add up their counts, as PROMETHEUS_MULTIPROC_DIR."""
        return self.root / "counters"

    def champion(self, monitor: str) -> Path:
        """The file that says which version of the monitor's model is to answer."""
        return self.home / "models" / monitor / "champion.json"

    @property
    def landed(self) -> Path:
        """Where predictions and outcomes are shipped."""
        return self.home / "collected"

    def next_run(self) -> int:
        """How many live runs there were before. Each has days of its own: no other run has rows in its windows."""
        marker = self.root / "runs"
        self.root.mkdir(parents=True, exist_ok=True)
        said = marker.read_text() if marker.is_file() else "0"
        if not said.isdecimal():
            raise UserError(f"{marker} is not a number; remove {self.root} and {self.landed / NAME} to start over")
        temporary = marker.with_suffix(".tmp")
        temporary.write_text(str(int(said) + 1))
        temporary.replace(marker)
        return int(said)

    @contextmanager
    def occupied(self) -> Iterator[None]:
        """Held by the service that runs here: a second one would clear the counters of the first. Raises UserError."""
        with ExitStack() as held:
            try:
                self.root.mkdir(parents=True, exist_ok=True)
                lock = held.enter_context((self.root / "lock").open("w"))
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                # Counts of an earlier run go: Prometheus takes a fall for a restart.
                shutil.rmtree(self.counters, ignore_errors=True)
                for directory in (self.spool, self.landed, self.counters):
                    directory.mkdir(parents=True, exist_ok=True)
            except BlockingIOError as error:
                raise UserError(f"an example service already uses {self.root}; stop it first") from error
            except OSError as error:
                raise UserError(f"{error.filename or self.root}: {error.strerror}; the service writes there") from error
            yield

    @property
    def monitor_file(self) -> Path:
        """Path of the live monitor's declaration."""
        return self.home / "monitors" / f"{NAME}.yaml"
