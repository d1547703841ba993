"""Prometheus and Alertmanager from the system, on loopback: a shift goes pending, firing, delivered, resolved.

The rules are the shipped ones with their times divided, so that an afternoon takes a minute; nothing else changes.
"""

from __future__ import annotations

import json
import re
import socket
import subprocess
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, start_http_server
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString
from ruamel.yaml import YAML

from monitoring_pipeline.metrics.drift.psi import psi

SHIPPED = Path(__file__).resolve().parents[2] / "prometheus"
EDGES = (0.0, 1.0, 2.0)
REFERENCE = (0, 500, 500, 0)
LABELS = {"monitor": "m", "model_version": "1", "column": "x"}

pytestmark = [pytest.mark.server, pytest.mark.slow]


class Service(Collector):
    """A prediction service as Prometheus sees it: 100 predictions at a scrape, of the shares it is told."""

    def __init__(self) -> None:
        self.shares = np.array([0.0, 0.5, 0.5, 0.0])
        self.counts = np.zeros(4)
        registry = CollectorRegistry()
        registry.register(self)
        self.predictions = Counter("model_predictions", "", ["monitor", "model_version"], registry=registry).labels(
            "m", "1"
        )
        bucket = Gauge("model_reference_value_bucket", "", [*LABELS, "le", "prev_le"], registry=registry)
        texts = ["-Inf", *map(floatToGoString, EDGES), "+Inf"]
        for i, total in enumerate(np.cumsum(REFERENCE)):
            bucket.labels(*LABELS.values(), texts[i + 1], texts[i]).set(total)
        Gauge("model_reference_count", "", [*LABELS], registry=registry).labels(*LABELS.values()).set(sum(REFERENCE))
        Gauge("model_reference_missing", "", [*LABELS], registry=registry).labels(*LABELS.values()).set(0)
        self.server, _ = start_http_server(0, "127.0.0.1", registry)
        self.address = f"127.0.0.1:{self.server.server_port}"

    def describe(self) -> Iterator[HistogramMetricFamily]:
        return iter(())

    def collect(self) -> Iterator[HistogramMetricFamily]:
        self.counts += 100 * self.shares
        self.predictions.inc(100)
        values = HistogramMetricFamily("model_column_value", "", labels=[*LABELS])
        les = [*map(floatToGoString, EDGES), "+Inf"]
        values.add_metric([*LABELS.values()], list(zip(les, np.cumsum(self.counts), strict=True)), sum_value=None)
        yield values


class Inbox:
    """Webhooks: what was delivered, by receiver."""

    def __init__(self) -> None:
        self.delivered: list[tuple[str, str, str]] = []  # receiver, alert, status
        inbox = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                for alert in body["alerts"]:
                    inbox.delivered.append((self.path, alert["labels"]["alertname"], alert["status"]))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: Any) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def port(self) -> int:
        return self.server.server_port


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def hurried(rules: str) -> str:
    """The shipped rules in a minute: pieces of 5 s scraped each second, 30 m of 10 s, alerts after 3 s."""
    rules = (
        rules.replace("[314s999ms]", "[5s999ms]").replace("[29m59s999ms:5m]", "[9s999ms:5s]").replace("[5m]", "[5s]")
    )
    rules = re.sub(r"^(\s+)interval: \S+$", r"\1interval: 1s", rules, flags=re.MULTILINE)
    return re.sub(r"^(\s+)for: \S+$", r"\1for: 3s", rules, flags=re.MULTILINE)


def hurried_routing(routing: str, inbox: int) -> str:
    routing = routing.replace("127.0.0.1:9095", f"127.0.0.1:{inbox}")
    return re.sub(r"(group_wait|group_interval): \S+", r"\1: 1s", routing)


@pytest.fixture
def service() -> Iterator[Service]:
    found = Service()
    yield found
    found.server.shutdown()


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    found = Inbox()
    yield found
    found.server.shutdown()


@pytest.fixture
def prometheus(tmp_path: Path, service: Service, inbox: Inbox) -> Iterator[str]:
    """Address of a Prometheus that evaluates the rules and hands its alerts to an Alertmanager that has the routing."""
    manager, port = free_port(), free_port()
    (tmp_path / "rules").mkdir()
    for name in ("columns.yml", "drift.yml", "meta.yml"):
        (tmp_path / "rules" / name).write_text(hurried((SHIPPED / "rules" / name).read_text()))
    config = YAML(typ="safe").load(SHIPPED / "prometheus.yml")
    config["global"].update(scrape_interval="1s", evaluation_interval="1s")
    config["alerting"]["alertmanagers"] = [{"static_configs": [{"targets": [f"127.0.0.1:{manager}"]}]}]
    config["scrape_configs"] = [job for job in config["scrape_configs"] if job["job_name"] == "prediction-service"]
    config["scrape_configs"][0]["static_configs"] = [{"targets": [service.address]}]
    YAML().dump(config, tmp_path / "prometheus.yml")
    (tmp_path / "alertmanager.yml").write_text(hurried_routing((SHIPPED / "alertmanager.yml").read_text(), inbox.port))
    commands = [
        [
            "prometheus-alertmanager", f"--config.file={tmp_path / 'alertmanager.yml'}",
            f"--storage.path={tmp_path / 'am'}",
            f"--web.listen-address=127.0.0.1:{manager}", "--cluster.listen-address=",
        ],
        [
            "prometheus", f"--config.file={tmp_path / 'prometheus.yml'}", f"--storage.tsdb.path={tmp_path / 'tsdb'}",
            f"--web.listen-address=127.0.0.1:{port}", "--rules.alert.resend-delay=1s",
        ],
    ]  # fmt: skip
    with (tmp_path / "log").open("w") as log:
        running = [subprocess.Popen(command, stdout=log, stderr=log) for command in commands]
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            for process in running:
                process.terminate()
            for process in running:
                process.wait(10)


def ask(address: str, path: str, **parameters: str) -> Any:
    with urllib.request.urlopen(f"{address}/api/v1/{path}?{urllib.parse.urlencode(parameters)}", timeout=5) as answer:
        return json.load(answer)["data"]


def state_of(address: str, alert: str) -> str | None:
    return next((a["state"] for a in ask(address, "alerts")["alerts"] if a["labels"]["alertname"] == alert), None)


def eventually(found: Callable[[], Any], seconds: float = 25) -> Any:
    """Its first answer that is not empty. Fails after so many seconds."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if result := found():
                return result
        except OSError:
            pass  # not listening yet
        time.sleep(0.2)
    pytest.fail(f"waited {seconds} s in vain")


def test_a_shift_is_pending_firing_delivered_resolved(prometheus: str, service: Service, inbox: Inbox) -> None:
    def value(expression: str) -> float | None:
        result = ask(prometheus, "query", query=expression)["result"]
        return float(result[0]["value"][1]) if result else None

    eventually(lambda: value("model:column_values:30m >= 500"))
    assert value("model:column_psi:30m") == pytest.approx(0, abs=1e-12)
    assert state_of(prometheus, "LiveDriftPSI") is None
    eventually(lambda: ("/heartbeat", "Watchdog", "firing") in inbox.delivered)

    service.shares = np.array([0.0, 0.1, 0.5, 0.4])
    eventually(lambda: state_of(prometheus, "LiveDriftPSI") == "pending")
    eventually(lambda: state_of(prometheus, "LiveDriftPSI") == "firing")
    eventually(lambda: ("/page", "LiveDriftBroad", "firing") in inbox.delivered)
    # all of the window is shifted by now or soon: the figure is the pipeline's
    shifted = float(psi(np.array([0.0, 0.5, 0.5, 1e-4])[1:], service.shares[1:]))
    eventually(lambda: abs((value("model:column_psi:30m") or 0) - shifted) < 1e-9)

    service.shares = np.array([0.0, 0.5, 0.5, 0.0])
    eventually(lambda: state_of(prometheus, "LiveDriftPSI") is None)
    eventually(lambda: ("/page", "LiveDriftBroad", "resolved") in inbox.delivered)
    assert value("sum(increase(prometheus_rule_evaluation_failures_total[5m]))") in (None, 0)
