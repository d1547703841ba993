"""Attempts are told to MLflow; what fails there fails nothing here.

The server is started by ``MONITORING_TEST_MLFLOW``, the path of an ``mlflow`` command of any environment; without it,
or without the extra ``mlflow``, that test is skipped.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from monitoring_pipeline.retraining import artifacts, mlflow_log, promotion
from monitoring_pipeline.retraining.context import Attempt
from monitoring_pipeline.settings import Settings
from monitoring_pipeline.stages import retraining
from monitoring_pipeline.warehouse import model_versions, training_store
from monitoring_pipeline.warehouse.database import Warehouse
from monitoring_pipeline.warehouse.model_versions import ModelVersion
from monitoring_pipeline_tests.retraining.fakes import QuickTrainer, decide, quick
from monitoring_pipeline_tests.retraining.shop import RETRAIN, Shop, at
from monitoring_pipeline_tests.toy import Toy

COMMAND = "MONITORING_TEST_MLFLOW"
NEW = "2024-03-13-1"


@pytest.fixture
def shop(warehouse: Warehouse, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    quick(QuickTrainer(), monkeypatch.setattr)
    promote = {"least_days": 5, "least_rows": 100, "margin": 0.3, "calibration": False}
    shop = Shop(warehouse, settings, Toy(tmp_path)).open(range(1), retrain=RETRAIN | {"promote": promote})
    monkeypatch.setattr(retraining, "publish", lambda ctx: None)
    return shop


def carried_out(shop: Shop) -> Attempt:
    decide(shop.ctx, at(12))
    done = retraining.carry_out(shop.ctx)
    assert done is not None
    return done


def test_without_an_address_mlflow_is_not_imported(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setattr(mlflow_log, "import_module", asked.append)
    assert carried_out(shop).state == "promoted" and asked == []


@pytest.mark.parametrize("is_installed", [False, True], ids=["no client", "no server"])
def test_an_attempt_does_not_fail_of_mlflow(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, is_installed: bool
) -> None:
    class Away:
        def MlflowClient(self) -> None:
            raise ConnectionError("refused")

    def no_client(name: str) -> None:
        raise ModuleNotFoundError(f"No module named {name!r}")

    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    for key, value in mlflow_log.PATIENCE.items():
        monkeypatch.setenv(key, value)
    monkeypatch.setattr(mlflow_log, "import_module", (lambda name: Away()) if is_installed else no_client)
    with caplog.at_level(logging.WARNING, "monitoring_pipeline.retraining.mlflow_log"):
        assert carried_out(shop).state == "promoted"
    expected = "MLflow was not told: ConnectionError: refused" if is_installed else "monitoring-pipeline[mlflow]"
    assert [expected in one.getMessage() for one in caplog.records] == [True]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """The address of a server of MLflow on loopback."""
    pytest.importorskip("mlflow", reason="the extra `mlflow` is not installed")
    command = os.environ.get(COMMAND)
    if not command:
        pytest.skip(f"{COMMAND} names no `mlflow` command that starts a server")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    store = ["--backend-store-uri", f"sqlite:///{tmp_path}/m.db", "--artifacts-destination", f"file://{tmp_path}/a"]
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    quiet = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    process = subprocess.Popen(
        [command, "server", "--host", "127.0.0.1", "--port", f"{port}", *store, "--serve-artifacts", "--workers", "1"],
        env=environment | quiet, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        wait_for(f"http://127.0.0.1:{port}/health", process)
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(20)


def wait_for(address: str, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + 90
    while time.monotonic() < end and process.poll() is None:
        try:
            urllib.request.urlopen(address, timeout=1).read()
            return
        except OSError:
            time.sleep(0.1)
    raise AssertionError("the server of MLflow did not start")


@pytest.mark.slow
def test_a_real_server_is_told(
    shop: Shop, server: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    made = training_store.Made("toy", NEW, None, None)
    curve = {"split": "train", "metric": "log_loss", "values": [0.7, 0.5, 0.4]}
    written = retraining.train_challenger

    def with_a_curve(*given: Any) -> ModelVersion:
        version = written(*given)
        shop.warehouse.run(lambda conn: training_store.write_curves(conn, made, [curve]))
        return version

    monkeypatch.setattr(retraining, "train_challenger", with_a_curve)
    assert carried_out(shop).state == "promoted"
    assert [one.getMessage() for one in caplog.records if "MLflow" in one.getMessage()] == []

    import mlflow

    client = mlflow.MlflowClient()
    (run,) = client.search_runs([client.get_experiment_by_name("toy").experiment_id])
    assert (run.info.run_name, run.info.status) == (NEW, "FINISHED")
    assert run.data.metrics["roc_auc"] == 0.75 and run.data.tags["outcome"] == "promoted"
    history = client.get_metric_history(run.info.run_id, "train/log_loss")
    assert [one.value for one in sorted(history, key=lambda one: one.step)] == [0.7, 0.5, 0.4]
    named = client.get_model_version_by_alias("toy", "champion")
    version = shop.warehouse.run(lambda conn: model_versions.model_versions(conn, "toy"))[NEW]
    assert named.run_id == run.info.run_id and named.tags["sha256"] == version.artifact_sha256
    (kept,) = client.list_artifacts(run.info.run_id, "model")
    here = client.download_artifacts(run.info.run_id, kept.path, str(tmp_path))
    assert artifacts.verified(here, version.artifact_sha256 or "")

    promotion.crown(shop.ctx, "v1", "rollback", "test", "test")
    assert mlflow_log.name_champion(shop.ctx, "v1") is None, "a version that MLflow does not know"
    assert not client.get_registered_model("toy").aliases
    assert mlflow_log.name_champion(shop.ctx, NEW) == named.version == "1"
