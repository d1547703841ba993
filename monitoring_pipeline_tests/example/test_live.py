"""The live demo from its command to its verdict: real service, real flights, Prometheus, pipeline."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from monitoring_pipeline.demo.preparation import prepare

ROOT = Path(__file__).resolve().parents[2]
LIVE = """
from monitoring_pipeline.cli.live import live
from monitoring_pipeline.settings import Settings
live(Settings(), minutes=0.4)
"""


@pytest.mark.slow
@pytest.mark.server
def test_live_figures_are_the_pipelines(tmp_path: Path) -> None:
    """The command fails by itself where they differ by more than 1e-6."""
    prepare(tmp_path, fast=True)
    environment = os.environ | {
        "MONITORING_HOME": str(tmp_path),
        "MONITORS_DIR": str(ROOT / "monitors"),
        "COLUMNS": "120",
    }
    run = ["-m", "monitoring_pipeline.cli", "run", "late15", "--from", "2013-04-01", "--to", "2013-04-01"]
    subprocess.run([sys.executable, *run], env=environment, check=True, capture_output=True)
    done = subprocess.run([sys.executable, "-c", LIVE], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    sources = re.findall(r"^(.*): (\d+) figures, largest difference", done.stdout, re.MULTILINE)
    expected = ["/metrics", "Prometheus"] if shutil.which("prometheus") else ["/metrics"]
    assert [name for name, _ in sources] == expected * 2
    assert {int(n) for _, n in sources} == {46}, "25 features, the prediction and the score by PSI; 19 of them by KS"
    still = subprocess.run(
        ["pgrep", "-f", f"{tmp_path}|live-prometheus-"], capture_output=True, text=True
    ).stdout.split()
    assert not still, "everything has stopped"
