"""The command line as a user's shell starts it: a process of its own, with a home and a database of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
import pytest

from monitoring_pipeline.settings import Settings
from monitoring_pipeline_tests.front_door import query, views

ROOT = Path(__file__).parents[2]


@dataclass
class Shell:
    """Runs ``monitoring-pipeline`` with this environment. ``url`` None: the embedded server of the home."""

    base: Path
    url: str | None
    home: str = "home"
    extra: dict[str, str] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(("MONITOR", "DAGSTER", "DATABASE_URL"))}
        own = {"MONITORING_HOME": str(self.base / self.home), "MONITORS_DIR": str(self.base / "monitors")}
        quiet = {"PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore", "DO_NOT_TRACK": "1", "COLUMNS": "250"}
        return inherited | own | quiet | ({"DATABASE_URL": self.url} if self.url else {}) | self.extra

    @property
    def monitors(self) -> Path:
        return self.base / "monitors"

    def start(self, *arguments: str, start_new_session: bool = False) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "monitoring_pipeline.cli", *arguments],
            env=self.environment,
            cwd=self.base,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=start_new_session,
        )

    def __call__(self, *arguments: str, timeout: float = 240) -> subprocess.CompletedProcess[str]:
        """Waits for the end, and kills after ``timeout`` seconds."""
        process = self.start(*arguments)
        try:
            out, err = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
            raise AssertionError(f"no end after {timeout:.0f} s:\n{out}\n{err}") from None
        return subprocess.CompletedProcess(arguments, process.returncode, out, err)

    def query(self, sql: str) -> pd.DataFrame:
        return query(self.url or "", sql)

    def views(self) -> dict[str, list[tuple[object, ...]]]:
        return views(self.url or "")


@pytest.fixture
def shell(settings: Settings, tmp_path: Path) -> Shell:
    """A shell on a migrated, empty database of the shared server."""
    return Shell(tmp_path, settings.database_url)


@pytest.fixture
def other_shell(warehouse_url: str, tmp_path: Path) -> Shell:
    """A second one before the same files, with another home and database: for what an undisturbed run makes of them."""
    return Shell(tmp_path, warehouse_url, home="other home")
