"""What steps print: kept for Dagster's pages where nobody looks on, left on the terminal where somebody does."""

from __future__ import annotations

import os
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dagster._core.storage.compute_log_manager import CapturedLogContext
from dagster._core.storage.local_compute_log_manager import LocalComputeLogManager

FOREGROUND = "MONITORING_FOREGROUND"  # set by the commands that run a graph on a terminal


class StepLogs(LocalComputeLogManager):
    """Dagster's own, below DAGSTER_HOME, but for runs in the foreground.

    There it would send the progress bar through a file, and keep four more processes for it, which answer Ctrl-C with a
    traceback each.
    """

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        """Nothing to configure."""
        return {}

    @classmethod
    def from_config_value(cls, inst_data: Any, config_value: Any) -> StepLogs:
        """Called by Dagster. Logs lie below ``DAGSTER_HOME/storage``; raises KeyError without that variable."""
        return cls(str(Path(os.environ["DAGSTER_HOME"]) / "storage"), inst_data=inst_data)

    @contextmanager
    def capture_logs(self, log_key: Sequence[str]) -> Generator[CapturedLogContext, None, None]:
        """Captures a step's output to files, except in the foreground, where it stays on the terminal."""
        if os.environ.get(FOREGROUND):
            yield CapturedLogContext(log_key)
        else:
            with super().capture_logs(log_key) as context:
                yield context
