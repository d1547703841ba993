"""What the demo's closing words point at is there, from wherever it was run."""

from __future__ import annotations

from pathlib import Path

import pytest

from monitoring_pipeline.cli.demo import _from_here
from monitoring_pipeline.resources import data_dir


def test_files_are_named_as_they_can_be_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shipped = data_dir("monitors") / "late15.yaml"
    monkeypatch.chdir(tmp_path)
    assert Path(_from_here(shipped)) == shipped and shipped.is_file()
    monkeypatch.chdir(shipped.parents[1])
    assert _from_here(shipped) == "monitors/late15.yaml" and Path(_from_here(shipped)).is_file()
