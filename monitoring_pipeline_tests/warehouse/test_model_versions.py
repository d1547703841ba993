"""Registered versions: one champion at a time, every change a revision."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from monitoring_pipeline.stages.declaring import declare
from monitoring_pipeline.warehouse.database import Warehouse
from monitoring_pipeline.warehouse.model_versions import ModelVersion, champion, model_versions, register_version

from . import samples as s

FIRST = ModelVersion(
    "1",
    "champion",
    s.T0,
    s.window(-9).start,
    s.window(-1).end,
    "logistic",
    {"C": 1.5},
    {"roc_auc": 0.7},
    "m/1.bin",
    "ab" * 32,
)


def test_a_new_champion_retires_the_former_and_history_stays(any_warehouse: Warehouse) -> None:
    second = ModelVersion("2", "challenger")
    with any_warehouse.transaction() as conn:
        declare(conn, s.monitor())
        assert champion(conn, s.NAME) is None
        assert register_version(conn, s.NAME, FIRST, run_id="r")
        assert register_version(conn, s.NAME, second, run_id="r")
        assert not register_version(conn, s.NAME, FIRST, run_id="again")
        assert model_versions(conn, s.NAME) == {"1": FIRST, "2": second}
        register_version(conn, s.NAME, replace(second, role="champion"), run_id="r")
        assert champion(conn, s.NAME) == "2"
        assert model_versions(conn, s.NAME)["1"] == replace(FIRST, role="retired")
        roles = conn.execute(
            text("select model_version, role from monitoring.model_version order by revision_id")
        ).all()
    assert roles == [("1", "champion"), ("2", "challenger"), ("1", "retired"), ("2", "champion")]


@pytest.mark.parametrize(
    "nonsense",
    [
        replace(FIRST, artifact_sha256="no digest"),
        replace(FIRST, train_start=FIRST.train_end),
        replace(FIRST, role="king"),
    ],
)
def test_nonsense_is_refused(warehouse: Warehouse, nonsense: ModelVersion) -> None:
    with warehouse.transaction() as conn:
        declare(conn, s.monitor())
    with pytest.raises(IntegrityError), warehouse.transaction() as conn:
        register_version(conn, s.NAME, nonsense, run_id=None)
