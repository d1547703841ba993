"""Prometheus and Alertmanager from the system, a service of several workers, the exporter over a real Postgres.

What shifts goes pending, firing, is delivered, is resolved. The rules are the shipped ones with their times divided, so
that an afternoon takes a minute; nothing else changes.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from ruamel.yaml import YAML

from monitoring_pipeline import exporter
from monitoring_pipeline.warehouse import incident_store
from monitoring_pipeline.warehouse.database import Warehouse
from monitoring_pipeline.warehouse.embedded import free_port
from monitoring_pipeline.warehouse.incident_store import Incident
from monitoring_pipeline_tests.exporter.rows import Ledger

SHIPPED = Path(__file__).resolve().parents[2] / "prometheus"
WORKERS = 2
BATCH = 100

pytestmark = [pytest.mark.server, pytest.mark.slow]


class Service:
    """A real uvicorn with several workers, and callers that send batches until they are told to stop."""

    def __init__(self, place: Path) -> None:
        self.address = f"127.0.0.1:{free_port()}"
        self.shift = 0.0
        self.n_answered, self.workers = 0, set[int]()
        self._told, self._lock = threading.Event(), threading.Lock()
        self._pool = ThreadPoolExecutor(WORKERS + 1)
        host, port = self.address.split(":")
        target = "monitoring_pipeline_tests.prometheus.asgi_service:app"
        command = ["-m", "uvicorn", target, "--host", host, "--port", port, "--workers", str(WORKERS)]
        environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(place / "counters")}
        with (place / "service.log").open("w") as log:
            self.server = subprocess.Popen([sys.executable, *command, "--no-access-log"], env=environment, stdout=log,
                                           stderr=log, start_new_session=True)  # fmt: skip

    def answers(self) -> bool:
        assert self.server.poll() is None, "uvicorn did not come up"
        try:
            return httpx.get(f"http://{self.address}/metrics", timeout=5).status_code == 200
        except httpx.TransportError:
            return False

    def send(self) -> None:
        """Starts the callers."""
        self._callers = [self._pool.submit(self._call, seed) for seed in range(WORKERS + 1)]

    def _call(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        each_its_own = httpx.Limits(max_keepalive_connections=0)  # so that all workers get some
        with httpx.Client(base_url=f"http://{self.address}", limits=each_its_own, timeout=30) as client:
            while not self._told.is_set():
                answer = client.post("/predict", json=self._batch(rng)).raise_for_status().json()
                with self._lock:
                    self.n_answered += len(answer["scores"])
                    self.workers.add(answer["pid"])
                self._told.wait(0.1)

    def _batch(self, rng: np.random.Generator) -> list[dict[str, Any]]:
        """As in the reference, or with three numbers shifted and a category that it does not know."""
        known = ["AA", "B6", "7"]
        return [
            {"x0": x[0], "x1": x[1], "x2": x[2], "c0": c[0] if not self.shift else "new", "c1": c[1], "late": late}
            for x, c, late in zip(
                rng.normal(self.shift, 1, (BATCH, 3)).tolist(),
                rng.choice(known, (BATCH, 2)).tolist(),
                (rng.random(BATCH) < 0.5).tolist(),
                strict=True,
            )
        ]

    def stop_sending(self) -> int:
        """How many rows were answered altogether. Raises what a caller met."""
        self._told.set()
        for caller in self._callers:
            caller.result(60)
        return self.n_answered

    def stop(self) -> None:
        self._told.set()
        self.server.terminate()
        self.server.wait(30)
        self._pool.shutdown()


class Inbox:
    """Webhooks: what was delivered, by receiver."""

    def __init__(self) -> None:
        self.delivered: list[tuple[str, str, str]] = []  # receiver, alert, status
        self.summaries: dict[str, str] = {}
        inbox = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                for alert in body["alerts"]:
                    name = alert["labels"]["alertname"]
                    inbox.summaries[name] = alert["annotations"]["summary"]
                    inbox.delivered.append((self.path, name, alert["status"]))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: Any) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def port(self) -> int:
        return self.server.server_port


class Incidents:
    """The incidents of a monitor, as the pipeline writes them."""

    def __init__(self, warehouse: Warehouse) -> None:
        self._warehouse = warehouse
        ledger = Ledger(warehouse, "late15")
        ledger.version("v1")
        ledger.window(0, "v1")

    def become(self, state: str) -> None:
        """One incident, open or resolved."""
        began = datetime(2026, 3, 1, tzinfo=UTC)
        one = Incident(
            "2026-03-01-abcdef", "drift", "warning", state, began, began, began, ("c0",), ("*",), "c0 moved.", {},
            None if state == "open" else began, "feature drift", (), 1,
        )  # fmt: skip
        with self._warehouse.transaction() as connection:
            incident_store.revise(connection, "late15", None, [], [one])


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
def service(tmp_path: Path) -> Iterator[Service]:
    found = Service(tmp_path)
    yield found
    found.stop()


@pytest.fixture
def incidents(warehouse: Warehouse) -> Incidents:
    return Incidents(warehouse)


@pytest.fixture
def figures(warehouse: Warehouse, incidents: Incidents) -> Iterator[exporter.Exporter]:
    with exporter.start(warehouse, port=0, ttl=0.5) as started:
        yield started


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    found = Inbox()
    yield found
    found.server.shutdown()


@pytest.fixture
def prometheus(tmp_path: Path, service: Service, figures: exporter.Exporter, inbox: Inbox) -> Iterator[str]:
    """Address of a Prometheus that evaluates the rules and hands its alerts to an Alertmanager that has the routing."""
    manager, port = free_port(), free_port()
    (tmp_path / "rules").mkdir()
    for path in (SHIPPED / "rules").glob("*.yml"):
        (tmp_path / "rules" / path.name).write_text(hurried(path.read_text()))
    config = YAML(typ="safe").load(SHIPPED / "prometheus.yml")
    config["global"].update(scrape_interval="1s", evaluation_interval="1s")
    config["alerting"]["alertmanagers"] = [{"static_configs": [{"targets": [f"127.0.0.1:{manager}"]}]}]
    targets = {"prediction-service": service.address, "monitoring-exporter": f"127.0.0.1:{figures.port}"}
    config["scrape_configs"] = [
        {"job_name": name, "scrape_interval": "1s", "static_configs": [{"targets": [target]}]}
        for name, target in targets.items()
    ]
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
    eventually(service.answers, 120)  # whose workers load first
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


def states(address: str, alert: str) -> set[str]:
    """``pending``, ``firing``: of all columns and replicas it is raised for."""
    return {a["state"] for a in ask(address, "alerts")["alerts"] if a["labels"]["alertname"] == alert}


def eventually(found: Callable[[], Any], seconds: float = 60) -> Any:
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


def test_a_shift_is_pending_firing_delivered_resolved(
    prometheus: str, service: Service, incidents: Incidents, inbox: Inbox
) -> None:
    def value(expression: str) -> float | None:
        result = ask(prometheus, "query", query=expression)["result"]
        return float(result[0]["value"][1]) if result else None

    def delivered(receiver: str, alert: str, status: str) -> None:
        eventually(lambda: (receiver, alert, status) in inbox.delivered)

    service.send()
    eventually(lambda: value("min(model:column_values:30m >= 500)"))
    eventually(lambda: value('monitoring_open_incidents{severity="warning"} == 0') is not None)
    eventually(lambda: value("max(model:column_psi:30m)") is not None)  # the same group's later rules
    assert (value("max(model:column_psi:30m)") or 1) < 0.2
    quiet = ("LiveDriftPSI", "LiveDriftBroad", "IncidentWarning", "PredictionServiceDown", "MonitoringExporterDown")
    for alert in quiet:
        assert not states(prometheus, alert), alert
    delivered("/heartbeat", "Watchdog", "firing")

    service.shift = 2.0
    incidents.become("open")
    eventually(lambda: "pending" in states(prometheus, "LiveDriftPSI") | states(prometheus, "IncidentWarning"))
    eventually(lambda: states(prometheus, "LiveDriftPSI") == {"firing"})
    delivered("/page", "LiveDriftBroad", "firing")
    delivered("/ticket", "ColumnUnseenValues", "firing")
    delivered("/ticket", "IncidentWarning", "firing")
    assert inbox.summaries["IncidentWarning"] == "late15: one incident is open"
    # the whole of the longer window is shifted by now or soon
    eventually(lambda: value('model:column_unseen_share:30m{column="c0"} == 1'))

    service.shift = 0.0
    incidents.become("resolved")
    delivered("/page", "LiveDriftBroad", "resolved")
    delivered("/ticket", "IncidentWarning", "resolved")
    eventually(lambda: not states(prometheus, "LiveDriftPSI"))

    n_answered = service.stop_sending()
    assert len(service.workers) == WORKERS, "one worker took it all; the test says nothing of several"
    eventually(lambda: value("sum(model_predictions_total)") == n_answered)
    service.stop()
    delivered("/page", "PredictionServiceDown", "firing")
    assert value("sum(increase(prometheus_rule_evaluation_failures_total[5m]))") in (None, 0)
