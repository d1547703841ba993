"""From a client's POST to figures in Postgres: collector, landing directory, ``run``, views."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from sqlalchemy import text

from monitoring_pipeline.settings import Settings
from monitoring_pipeline.warehouse.database import Warehouse
from monitoring_pipeline_tests.collector.conftest import serving
from monitoring_pipeline_tests.toy import FEATURES, START, Toy

LANDED = "${MONITORING_HOME}/collected/toy"
STATUS = text(
    "select n_rows, n_duplicates, n_quarantined, n_labelled from monitoring.window_status where monitor = 'toy'"
)
DRIFT = text("""
select column_name, value, n_current from monitoring.drift_current
where baseline = 'training' and method = 'psi' and segment = '*' and model_version = 'v1'
""")
AUC = text("""
select value, n_labelled from monitoring.performance_current
where metric = 'roc_auc' and kind = 'realized' and segment = '*'
""")


def as_record(row: dict[str, Any]) -> dict[str, Any]:
    """A row of the toy as a client of another language would send it."""
    names = [name for group in FEATURES.values() for name in group]
    features = {name: None if isinstance(row[name], float) and math.isnan(row[name]) else row[name] for name in names}
    return {
        "prediction_id": row["id"],
        "event_time": pd.Timestamp(row["at"]).tz_localize("UTC").isoformat(),
        "model_version": row["version"],
        "features": features,
        "prediction": row["predicted"],
        "score": row["score"],
    }


@pytest.mark.slow
def test_from_post_to_postgres(tmp_path: Path) -> None:
    toy, home = Toy(tmp_path), tmp_path / "home"
    toy.write_reference()
    toy.declare(
        predictions={"path": f"{LANDED}/predictions/*.parquet"},
        ground_truth={"path": f"{LANDED}/ground_truth/*.parquet", "outcome": "y", "label_time": "known"},
    )
    rows = toy.rows(0, n=250)
    records = [as_record(row) for row in rows.to_dict("records")]
    labels = [{"prediction_id": i, "outcome": y} for i, y in zip(rows["id"], rows["y"].tolist(), strict=True)]
    for collector in serving(home, tmp_path):
        assert collector.labels(labels[:200]).status_code == 202
        for batch in (records[:150], records[150:], records[100:200]):  # the last: a client that saw no answer
            answer = collector.predictions(batch)
            assert answer.status_code == 202, answer.text
        collector.landed("predictions", 350)
        collector.landed("ground_truth", 200)

    with Warehouse.open(Settings(home=home)) as warehouse:
        command = ["-m", "monitoring_pipeline.cli", "--home", str(home), "--monitors", str(toy.yaml.parent)]
        day = f"{START}"
        subprocess.run([sys.executable, *command, "run", "toy", "--from", day, "--to", day], check=True,
                       env=os.environ | {"DO_NOT_TRACK": "1"}, timeout=240)  # fmt: skip
        with warehouse.transaction() as connection:
            status = connection.execute(STATUS).one()
            drift = {name: (value, n) for name, value, n in connection.execute(DRIFT)}
            auc, n_labelled = connection.execute(AUC).one()
    assert tuple(status) == (250, 100, 0, 200)
    assert set(drift) >= {"x", "amount", "channel", "region", "returning", "predicted", "score"}
    assert all(n <= 250 and value is not None for value, n in drift.values())
    assert n_labelled == 200
    labelled = rows.iloc[:200]
    assert auc == pytest.approx(rank_auc(labelled["score"].to_numpy(), labelled["y"].to_numpy()), abs=0.03)


def rank_auc(score: Any, outcome: Any) -> float:
    """Share of pairs in which the late one has the higher score."""
    differences = score[outcome == 1][:, None] - score[outcome == 0][None, :]
    return float(((differences > 0) + 0.5 * (differences == 0)).mean())
