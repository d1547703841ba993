"""What limits leave out is said: by `validate`, and by the materialization of the reference."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from monitoring_pipeline.cli.app import app
from monitoring_pipeline.engines import layout_builder
from monitoring_pipeline.graph.factory import build_monitor_graph
from monitoring_pipeline.graph.keys import asset_key
from monitoring_pipeline.monitors import Monitor
from monitoring_pipeline.stages import limits
from monitoring_pipeline.stages.limits import cut_by_declaration
from monitoring_pipeline_tests.front_door import QUIET, FrontDoor
from monitoring_pipeline_tests.toy import FEATURES, Task, Toy


def wide(door: FrontDoor, n_features: int, task: Task = "regression") -> tuple[Toy, Monitor]:
    """A toy with so many more numerical features ``f0`` …; ``f0`` has no spread."""
    it = Toy(door.base, task)
    rng = np.random.default_rng(1)

    def more(n: int) -> pd.DataFrame:
        return pd.DataFrame({f"f{i}": rng.normal(size=n) if i else np.zeros(n) for i in range(n_features)})

    before = it.rows(-5, 200)
    it.write_reference(pd.concat([before, more(200)], axis=1))
    it.write_log(pd.concat([it.rows(0, 50), more(50)], axis=1), "2024-03-01")
    it.write_labels(it.rows(0, 50), "2024-03-01")
    schema = it.declaration()["schema"] | {"numerical": [*FEATURES["numerical"], *(f"f{i}" for i in range(n_features))]}
    return it, it.declare(schema=schema)


def test_validate_says_which_features_a_limit_leaves_out(door: FrontDoor) -> None:
    it, monitor = wide(door, 210)
    answer = CliRunner().invoke(app, ["validate", str(it.yaml)])
    assert answer.exit_code == 0, answer.output
    pairs, errors = cut_by_declaration(monitor)
    assert pairs.startswith("12 of 212 numerical features are left out of what is compared pair by pair")
    assert "'f198', 'f199', 'f200', 'f201', 'f202' and 7 more" in pairs
    assert errors.startswith("115 of 215 features are left out of the errors by feature")
    assert f"note: {pairs}" in answer.output and f"note: {errors}" in answer.output


def test_within_the_limits_nothing_is_said(door: FrontDoor) -> None:
    it, monitor = wide(door, 5)
    assert cut_by_declaration(monitor) == ()
    assert "note" not in CliRunner().invoke(app, ["validate", str(it.yaml)]).output


def test_the_materialization_says_what_was_left_out(door: FrontDoor, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the features with a spread: f0 has none, and counts for nothing."""
    for module in (layout_builder, limits):
        monkeypatch.setattr(module, "MAX_SCALED", 4)
    _it, monitor = wide(door, 6, "binary")
    result = (
        build_monitor_graph(monitor)
        .resolve_implicit_global_asset_job_def()
        .execute_in_process(instance=door.instance, asset_selection=[asset_key(monitor, "reference")], run_config=QUIET)
    )
    (event,) = result.get_asset_materialization_events()
    said = str(event.materialization.metadata["left_out"].value)
    assert "3 of 8 numerical features are left out" in said and "'f3', 'f4', 'f5'" in said
