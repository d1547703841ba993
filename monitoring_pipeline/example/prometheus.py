"""A Prometheus of our own for the length of one phase: the shipped recording rules over the example service."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from monitoring_pipeline.errors import UserError
from monitoring_pipeline.example.figures import Figures
from monitoring_pipeline.resources import data_dir
from monitoring_pipeline.warehouse.embedded import free_port

SERIES = {"psi": "model:column_psi:5m", "kolmogorov_smirnov": "model:column_ks:5m"}
CONFIG = """
global: {{scrape_interval: 1s, evaluation_interval: 2s}}
rule_files: ['{rules}']
scrape_configs:
- job_name: prediction-service
  static_configs: [{{targets: ['{target}']}}]
"""


def absent() -> str | None:
    """Why there can be no Prometheus here, or None."""
    found = shutil.which("prometheus")
    return None if found else "there is no `prometheus` on the PATH (Debian: apt-get install prometheus)"


class Prometheus:
    """Scrapes ``target`` (host:port) each second from its start; what it counted before then is no concern of it.

    The rules are the shipped ones; they are only evaluated more often, so that nobody waits two minutes for a figure.
    """

    def __init__(self, target: str) -> None:
        self._place = Path(tempfile.mkdtemp(prefix="live-prometheus-"))
        rules = (data_dir("prometheus") / "rules" / "columns.yml").read_text()
        often = re.sub(r"^(\s+)interval: \S+$", r"\1interval: 2s", rules, flags=re.MULTILINE)
        (self._place / "rules.yml").write_text(often)
        (self._place / "prometheus.yml").write_text(CONFIG.format(rules=self._place / "rules.yml", target=target))
        self.url = f"http://127.0.0.1:{free_port()}"
        command = [
            "prometheus",
            f"--config.file={self._place / 'prometheus.yml'}",
            f"--storage.tsdb.path={self._place / 'data'}",
            f"--web.listen-address={self.url.removeprefix('http://')}",
            "--log.level=error",
        ]
        # A session of its own: the terminal's Ctrl-C reaches only us, and we stop it.
        self._child = subprocess.Popen(command, start_new_session=True)

    def wait_until_scraping(self, seconds: float = 30.0) -> None:
        """Returns once the counters' level before the traffic is known. Raises UserError."""
        self._wait(lambda: len(self._query("model_column_missing_total offset 1s")) > 0, seconds, "does not scrape")

    def drift(self, monitor: str, n_values: int, seconds: float = 30.0) -> Figures:
        """The recorded figures once the rules have seen ``n_values`` predictions. Raises UserError."""
        seen = f'max(model:column_rows:5m{{monitor="{monitor}"}})'

        def complete() -> bool:
            return any(round(float(r["value"][1])) == n_values for r in self._query(seen))

        self._wait(complete, seconds, f"has not seen {n_values:,} predictions")
        time.sleep(2.5)  # the rules of a group are evaluated one after the other, figures after counts
        return {
            (method, r["metric"]["column"]): float(r["value"][1])
            for method, series in SERIES.items()
            for r in self._query(f'{series}{{monitor="{monitor}"}}')
        }

    def _query(self, expression: str) -> list[dict[str, Any]]:
        try:
            answer = httpx.get(f"{self.url}/api/v1/query", params={"query": expression}, timeout=10)
            return answer.json()["data"]["result"] if answer.status_code == 200 else []
        except httpx.TransportError:
            return []

    def _wait(self, done: Callable[[], bool], seconds: float, what: str) -> None:
        end = time.monotonic() + seconds
        while not done():
            if self._child.poll() is not None:
                raise UserError(f"Prometheus ended with exit code {self._child.returncode}; see its output above")
            if time.monotonic() > end:
                raise UserError(
                    f"Prometheus {what} within {seconds:g} s; is the machine too busy for a scrape a second?"
                )
            time.sleep(0.3)

    def stop(self) -> None:
        """Stops the server and forgets its data. Interrupted, it stops it at once."""
        try:
            self._child.terminate()
            self._child.wait(10)
        except subprocess.TimeoutExpired:
            pass
        finally:
            self._child.kill()
            self._child.wait()
            shutil.rmtree(self._place, ignore_errors=True)
