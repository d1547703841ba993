"""A standalone Spark on loopback: a master and two workers, each a process of its own."""

from __future__ import annotations

import importlib.util
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MASTER = "org.apache.spark.deploy.master.Master"
WORKER = "org.apache.spark.deploy.worker.Worker"


def spark_home() -> Path | None:
    """Where pyspark lies, found without importing it; None when it is not installed."""
    found = importlib.util.find_spec("pyspark")
    return Path(found.origin).parent if found and found.origin else None


@contextmanager
def cluster(directory: Path, workers: int = 2) -> Iterator[str]:
    """Its URL. Every process of it is gone at the end."""
    home = spark_home()
    assert home is not None
    port = _free_port()
    environment = {
        **os.environ,
        "SPARK_HOME": str(home),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "PYSPARK_PYTHON": sys.executable,
        "SPARK_NO_DAEMONIZE": "1",
    }
    started: list[subprocess.Popen[bytes]] = []

    def start(name: str, *arguments: str) -> None:
        log = (directory / f"{name}.log").open("wb")
        command = [str(home / "bin" / "spark-class"), *arguments]
        started.append(
            subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True, cwd=directory)
        )

    url = f"spark://127.0.0.1:{port}"
    try:
        start("master", MASTER, "--host", "127.0.0.1", "--port", str(port), "--webui-port", "0")
        _wait_for(directory / "master.log", "I have been elected leader")
        for number in range(workers):
            place = directory / f"worker{number}"
            place.mkdir()
            options = ["--host", "127.0.0.1", "--webui-port", "0", "-c", "1", "-m", "1g", "-d", str(place)]
            start(f"worker{number}", WORKER, *options, url)
        for number in range(workers):
            _wait_for(directory / f"worker{number}.log", "Successfully registered with master")
        yield url
    finally:
        for process in reversed(started):
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def _wait_for(log: Path, words: str, seconds: float = 60) -> None:
    until = time.monotonic() + seconds
    while words not in log.read_text(errors="replace"):
        if time.monotonic() > until:
            raise TimeoutError(f"{log.name} does not say {words!r}:\n{log.read_text(errors='replace')[-2000:]}")
        time.sleep(0.1)
