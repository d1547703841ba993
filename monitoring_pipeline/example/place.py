"""Where the example keeps what it needs and what it leaves behind, under the home."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

NAME = "late15_live"
MODEL: Final = "late15"


@dataclass(frozen=True)
class Place:
    """``landed`` is where the sources of the monitor ``late15_live`` point."""

    home: Path

    @property
    def root(self) -> Path:
        return self.home / "live"

    @property
    def reference(self) -> Path:
        return self.root / "reference.json"

    @property
    def spool(self) -> Path:
        return self.root / "spool"

    @property
    def counters(self) -> Path:
        """Where the workers add up their counts, as PROMETHEUS_MULTIPROC_DIR."""
        return self.root / "counters"

    @property
    def landed(self) -> Path:
        return self.home / "collected"

    def next_run(self) -> int:
        """How many live runs there were before. Each has days of its own: no other run has rows in its windows."""
        marker = self.root / "runs"
        self.root.mkdir(parents=True, exist_ok=True)
        before = int(marker.read_text()) if marker.is_file() else 0
        marker.write_text(str(before + 1))
        return before

    @property
    def monitor_file(self) -> Path:
        return self.home / "monitors" / f"{NAME}.yaml"
