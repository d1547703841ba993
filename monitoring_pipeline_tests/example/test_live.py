"""The live demo from its command to its verdict: real service, real flights, Prometheus, pipeline."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from monitoring_pipeline.demo.preparation import prepare
from monitoring_pipeline.example.figures import read
from monitoring_pipeline.example.place import Place

ROOT = Path(__file__).resolve().parents[2]
N = 300
# The command but for the two months it replays first, which have tests of their own, and with fewer flights.
COMMAND = f"""
from monitoring_pipeline.cli import demo, live, main
from monitoring_pipeline.example import traffic
demo._run_all = lambda *_: None
demo._report = lambda *_: ""
live.N_USUAL = {N}
whole = traffic.flights_between
traffic.flights_between = lambda *days: whole(*days)[::3]
main()
"""

pytestmark = [pytest.mark.slow, pytest.mark.server]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home in which the demo has been prepared and has its reference."""
    home = tmp_path_factory.mktemp("live home")
    prepare(home, fast=True)
    run = ["-m", "monitoring_pipeline.cli", "run", "late15", "--from", "2013-04-01", "--to", "2013-04-01"]
    subprocess.run([sys.executable, *run], env=environment(home), check=True, capture_output=True)
    return home


def environment(home: Path) -> dict[str, str]:
    own = {"MONITORING_HOME": str(home), "MONITORS_DIR": str(ROOT / "monitors"), "PYTHONPATH": str(ROOT)}
    return os.environ | own | {"PYTHONWARNINGS": "ignore", "COLUMNS": "120"}


def start(home: Path, minutes: float) -> subprocess.Popen[str]:
    """In a process group of its own, as a shell starts what is typed."""
    arguments = ["demo", "--fast", "--no-ui", "--live", "--live-minutes", str(minutes)]
    return subprocess.Popen([sys.executable, "-c", COMMAND, *arguments], env=environment(home), text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)  # fmt: skip


def still_running(home: Path) -> str:
    """Service, workers, Prometheus, Postgres: the command lines of those that are left."""
    return subprocess.run(["pgrep", "-af", f"{home}|live-prometheus-"], capture_output=True, text=True).stdout


def answered(home: Path) -> int:
    """Predictions the running service has counted; 0 before it listens."""
    port = re.search(r"example\D+serve\D+--port\D+(\d+)", still_running(home))
    try:
        return read(httpx.get(f"http://127.0.0.1:{port[1]}/metrics", timeout=10).text).n_predictions if port else 0
    except httpx.TransportError:
        return 0


def test_ctrl_c_stops_everything_in_the_middle(home: Path) -> None:
    command = start(home, minutes=2)
    while command.poll() is None and answered(home) < 20:
        time.sleep(0.2)
    os.killpg(command.pid, signal.SIGINT)
    began = time.monotonic()
    out, err = command.communicate(timeout=60)
    assert command.returncode == 130, err
    assert time.monotonic() - began < 25
    assert "Traceback" not in err and "Service " in out and "largest difference" not in out
    assert not still_running(home)
    landed = list((Place(home).landed / "late15_live" / "predictions").glob("*.parquet"))
    assert landed, "what was answered has landed all the same"


def test_live_figures_are_the_pipelines(home: Path) -> None:
    """The command fails by itself where they differ by more than 1e-6. A run that was interrupted is none of it."""
    command = start(home, minutes=0.2)
    out, err = command.communicate(timeout=280)
    assert command.returncode == 0, err
    sources = re.findall(r"^(.*): (\d+) values, largest difference", out, re.MULTILINE)
    expected = ["/metrics", "Prometheus"] if shutil.which("prometheus") else ["/metrics"]
    assert [name for name, _ in sources] == expected * 2
    assert {int(n) for _, n in sources} == {46}, "25 features, the prediction and the score by PSI; 19 of them by KS"
    days = re.findall(r"as of (2013-12-\d\d): (\d+) predictions", out.replace(",", ""))
    first = 10 + 2 * (int((Place(home).root / "runs").read_text()) - 1)
    assert days == [(f"2013-12-{first}", f"{N}"), (f"2013-12-{first + 1}", f"{-(-944 // 3)}")], "days of this run alone"
    assert not still_running(home)
