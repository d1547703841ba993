"""The code location and the command line beside monitor files that cannot be read."""

from __future__ import annotations

from pathlib import Path

import pytest

from monitoring_pipeline.cli.environment import monitor_named
from monitoring_pipeline.settings import Settings
from monitoring_pipeline_tests.monitors.bad_files import GOOD, write_bad_files


def test_the_code_location_loads_beside_every_bad_monitor_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sound.yaml").write_text(GOOD)
    bad = write_bad_files(tmp_path)
    monkeypatch.setenv("MONITORS_DIR", str(tmp_path))
    from monitoring_pipeline.definitions import definitions

    nodes = list(definitions().get_repository_def().asset_graph.asset_nodes)
    assert "sound/drift" in {node.key.to_user_string() for node in nodes}
    broken = [node.description or "" for node in nodes if node.group_name == "broken_monitors"]
    assert len(broken) == len(bad)
    for path in bad:
        assert any(text.startswith(f"{path} cannot be used") for text in broken), path


def test_a_command_finds_its_monitor_beside_every_bad_monitor_file(tmp_path: Path) -> None:
    (tmp_path / "sound.yaml").write_text(GOOD)
    write_bad_files(tmp_path)
    assert monitor_named("sound", Settings(monitors_dir=tmp_path)).name == "sound"
