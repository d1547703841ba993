"""The asset graph of the demo's monitors, held to a committed snapshot. ``UPDATE_SNAPSHOT=1`` writes it anew."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from monitoring_pipeline.graph.factory import build_fleet
from monitoring_pipeline.monitors.loading import load_monitor

ROOT = Path(__file__).resolve().parents[2]
SNAPSHOT = Path(__file__).with_name("asset_graph.json")


def graph_of(name: str) -> dict[str, Any]:
    definitions = build_fleet([load_monitor(ROOT / "monitors" / f"{name}.yaml")])
    repository = definitions.get_repository_def()
    assets = {}
    for node in sorted(repository.asset_graph.asset_nodes, key=lambda n: n.key):
        assets[node.key.to_user_string()] = {
            "deps": sorted(key.to_user_string() for key in node.parent_keys),
            "group": node.group_name,
            "kinds": sorted(node.kinds),
            "partitions": type(node.partitions_def).__name__ if node.partitions_def else None,
            "single_run": node.backfill_policy == dg.BackfillPolicy.single_run(),
            "checks": sorted(key.name for key in node.check_keys),
        }
    return {
        "assets": assets,
        "jobs": sorted(job.name for job in repository.get_all_jobs() if not job.name.startswith("__")),
        "sensors": sorted(sensor.name for sensor in repository.sensor_defs),
        "schedules": sorted(schedule.name for schedule in repository.schedule_defs),
    }


def test_the_asset_graph_is_as_it_was_drawn() -> None:
    found = {name: graph_of(name) for name in ("arr_delay", "late15")}
    if os.environ.get("UPDATE_SNAPSHOT"):
        SNAPSHOT.write_text(json.dumps(found, indent=1) + "\n")
    assert found == json.loads(SNAPSHOT.read_text())


def test_a_broken_monitor_is_shown_and_the_others_load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "late15.yaml").write_text((ROOT / "monitors" / "late15.yaml").read_text())
    (tmp_path / "slip.yaml").write_text("name: slip\ntask: binary\nschem: {}\n")
    monkeypatch.setenv("MONITORS_DIR", str(tmp_path))
    from monitoring_pipeline.definitions import definitions

    nodes = {node.key.to_user_string(): node for node in definitions().get_repository_def().asset_graph.asset_nodes}
    assert "late15/drift" in nodes
    broken = nodes["slip/declaration"]
    assert broken.group_name == "broken_monitors"
    assert "slip.yaml:3: schem:" in (broken.description or "")


def test_the_second_file_of_a_name_is_shown_as_broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.yaml").write_text((ROOT / "monitors" / "late15.yaml").read_text())
    monkeypatch.setenv("MONITORS_DIR", str(tmp_path))
    from monitoring_pipeline.definitions import definitions

    keys = {node.key.to_user_string() for node in definitions().get_repository_def().asset_graph.asset_nodes}
    assert {"late15/drift", "b/declaration"} <= keys
