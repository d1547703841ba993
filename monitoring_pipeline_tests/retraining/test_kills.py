"""Two processes at once that carry decisions out, killed at random points: what must hold after each kill."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import pytest

from monitoring_pipeline.errors import UserError
from monitoring_pipeline.retraining import artifacts, promotion
from monitoring_pipeline.serving import read_champion
from monitoring_pipeline.settings import Settings
from monitoring_pipeline.stages import retraining
from monitoring_pipeline.stages.context import StageContext
from monitoring_pipeline.stages.reference import profile_reference
from monitoring_pipeline.warehouse.database import Warehouse
from monitoring_pipeline_tests.cli.conftest import ROOT
from monitoring_pipeline_tests.retraining.fakes import decide
from monitoring_pipeline_tests.retraining.shop import RETRAIN, Shop, at
from monitoring_pipeline_tests.toy import Toy

KILLS = 20
STATES = ("training", "trained", "compared")
LONGEST_WAIT = 0.06  # after the attempt came to the state: the next step, or the one after it
EASY = {"least_days": 5, "least_rows": 100, "margin": 0.3, "segments": False, "calibration": False}


class Workers:
    """Starts workers; each is known by its process id."""

    def __init__(self, shop: Shop) -> None:
        environment = os.environ | {
            "MONITORING_HOME": str(shop.settings.home),
            "DATABASE_URL": shop.settings.database_url or "",
            "PYTHONPATH": str(ROOT),
        }
        command = [sys.executable, "-m", "monitoring_pipeline_tests.retraining.killed", str(shop.toy.yaml)]
        self.process = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
        )

    def start(self) -> int:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())

    def close(self) -> None:
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def gone(pid: int, patience: float = 120) -> bool:
    """Waits for its end."""
    deadline = time.monotonic() + patience
    while alive(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not alive(pid)


def owner_in(shop: Shop, state: str) -> tuple[str, int]:
    """Waits for an attempt in this state; the process that works on it."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        for row in shop.query(f"select run_id from monitoring.retrain_attempt where state = '{state}'"):
            pid = int(str(row.run_id).rpartition("-")[2])
            if alive(pid):
                return state, pid
        time.sleep(0.005)
    raise AssertionError(f"no attempt came to {state}: there was not enough to do")


def check(shop: Shop) -> None:
    """One champion, loadable; a service that reads the pointer can load what it finds; no challenger without owner."""
    champions = shop.query("select * from monitoring.model_version_current where role = 'champion'")
    assert len(champions) == 1
    (champion,) = champions
    if champion.artifact_uri is not None:
        artifacts.load(shop.ctx, champion.model_version)
    try:
        pointer = read_champion(promotion.pointer_path(shop.ctx))
    except UserError:
        pass  # none is written yet
    else:
        artifacts.open_artifact(pointer.uri, pointer.sha256, pointer.format)
    assert not shop.query(
        "select 1 from monitoring.model_version_current v left join monitoring.retrain_attempt a using (attempt_id)"
        " where v.role = 'challenger' and a.state not in ('training', 'trained', 'compared', 'shadowing')"
    )
    (last,) = shop.query("select model_version from monitoring.promotion order by seq desc limit 1")
    assert last.model_version == champion.model_version


@pytest.mark.slow
def test_killed_at_random_points_there_is_always_one_champion(
    warehouse: Warehouse, settings: Settings, tmp_path: Path
) -> None:
    shop = Shop(warehouse, settings, Toy(tmp_path)).open(range(2), retrain=RETRAIN | {"promote": EASY})
    profile_reference(StageContext(shop.monitor, warehouse, settings, "run"))
    assert retraining.carry_out(shop.ctx) is None  # registers the first champion
    draw = random.Random(11)
    states: dict[str, int] = {}
    for number in range(KILLS + 4):
        decide(shop.ctx, at(10) + timedelta(hours=number))
    workers = Workers(shop)
    try:
        running = [workers.start(), workers.start()]
        for _ in range(KILLS):
            state, owner = owner_in(shop, draw.choice(STATES))
            time.sleep(draw.random() * LONGEST_WAIT)
            os.kill(owner, signal.SIGKILL)
            assert gone(owner)
            states[state] = states.get(state, 0) + 1
            check(shop)
            running = [pid for pid in running if pid != owner] + [workers.start()]
        assert set(states) == set(STATES), states  # the kills were spread
        assert all(gone(pid) for pid in running)  # who is left carries everything to its end
    finally:
        workers.close()
    check(shop)
    ended = {
        row.state: row.n for row in shop.query("select state, count(*) as n from monitoring.retrain_attempt group by 1")
    }
    assert set(ended) <= {"promoted", "failed", "kept", "inconclusive"} and ended["promoted"] > KILLS / 2
    assert not shop.query("select 1 from monitoring.model_version_current where role = 'challenger'")
    kept = {row.artifact_uri for row in shop.query("select artifact_uri from monitoring.model_version")}
    directory = Path(artifacts.model_directory(settings, "toy"))
    files = {path for path in directory.iterdir() if path.suffix == ".skops" or path.name.startswith(".")}
    assert {str(path) for path in files} <= kept
    (champion,) = shop.query("select model_version from monitoring.model_version_current where role = 'champion'")
    assert read_champion(promotion.pointer_path(shop.ctx)).model_version == champion.model_version
    undecided = shop.query(
        "select 1 from monitoring.retrain_decision_current where outcome in ('training', 'shadowing')"
    )
    assert not undecided
