"""What fills the database of the dashboards' tests: files with awkward names, and rows of retraining."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sqlalchemy import text

from monitoring_pipeline.warehouse import evidently_store, parity_store
from monitoring_pipeline.warehouse.database import Warehouse
from monitoring_pipeline.warehouse.evidently_store import ReportRow
from monitoring_pipeline.warehouse.parity_store import MadeFrom, ParityRow
from monitoring_pipeline.windows import Window
from monitoring_pipeline_tests.toy import START, Toy
from monitoring_pipeline_tests.toy import day as window_of

RENAMED = {"amount": "price$usd(raw)", "channel": 'it\'s "a", ü ${monitor} \\ 漢'}
SEGMENT = {"north": 'Nor\'th, $__timeFrom() "ö"', "south": "south"}
VERSION = "v'2 $x(1)"
ODD_COLUMNS: dict[str, Any] = {
    "schema": {
        "prediction_id": "id",
        "event_time": "at",
        "model_version": "version",
        "numerical": ["x", RENAMED["amount"]],
        "categorical": [RENAMED["channel"], "region"],
        "prediction": "predicted",
        "score": "score",
    },
    "baselines": ["training", "previous"],
}


def awkward(toy: Toy, days: int, labelled: bool = True) -> Toy:
    """Its files with these names; the last two days moved, two versions at once from the fourth day on."""
    reference = [_renamed(toy.rows(START - timedelta(days=n), 250)) for n in range(20, 0, -1)]
    toy.write_reference(pd.concat(reference))
    for day in range(days):
        rows = _renamed(toy.rows(day, 250, 1.5 if day >= days - 2 else 0.0))
        if day >= 3:
            rows.loc[::2, "version"] = VERSION
        toy.write_log(rows.drop(columns="returning"), f"{START + timedelta(days=day)}")
        if labelled:
            toy.write_labels(rows, f"{START + timedelta(days=day)}")
    return toy


def _renamed(rows: pd.DataFrame) -> pd.DataFrame:
    lost = np.random.default_rng(3).random(len(rows)) < 0.02
    named = rows.rename(columns=RENAMED).assign(region=rows["region"].map(SEGMENT))
    return named.assign(**{RENAMED["amount"]: named[RENAMED["amount"]].mask(lost)})


N_COLUMNS = 400


def wide(toy: Toy, days: int) -> Toy:
    """Its files with ``N_COLUMNS`` features in all, some of which move on the last day."""
    names = wide_schema()["numerical"]
    for day in range(-6, days):
        rows = toy.rows(START + timedelta(days=day), 60)
        noise = np.random.default_rng(day + 6).normal(2.0 if day == days - 1 else 0.0, 1, (60, len(names)))
        rows = pd.concat(
            [rows[["id", "at", "version", "score", "predicted", "y"]], pd.DataFrame(noise, columns=names)], axis=1
        )
        if day < 0:
            toy.write_reference(
                rows if day == -6 else pd.concat([pd.read_parquet(toy.base / "reference.parquet"), rows])
            )
        else:
            toy.write_log(rows, f"{START + timedelta(days=day)}")
            toy.write_labels(rows, f"{START + timedelta(days=day)}")
    return toy


def wide_schema() -> dict[str, Any]:
    """Features ``f000`` and so on."""
    return {**ODD_COLUMNS["schema"], "numerical": [f"f{n:03d}" for n in range(N_COLUMNS)], "categorical": []}


def add_parity_and_reports(warehouse: Warehouse, monitor: str) -> None:
    """A comparison of the first two windows, in which one column differs, and the report of a month."""
    made = MadeFrom(1e-6, "1", "0", "run of parity")
    month = Window(window_of(0).start, window_of(31).start)
    report = ReportRow("v1", "/reports/m.html", "/reports/m-performance.html", 500, 500, 400, sampled=True)
    with warehouse.transaction() as conn:
        for n in range(2):
            rows = [ParityRow("*", 100, 7, 3, ""), ParityRow("x", 100, 7, 3, "id-1: 1.0, again 2.0")]
            parity_store.replace(conn, monitor, window_of(n), rows, made)
        evidently_store.replace(conn, monitor, month, report, "0", "run of reports")


RETRAINING = Path(__file__).with_name("retraining.sql")


def add_retraining(warehouse: Warehouse, monitor: str, versions: tuple[str, str], start: object = START) -> None:
    """Decisions, an attempt, its comparison, a promotion, training metrics, a curve, trials of these versions."""
    given = {
        "monitor": monitor,
        "old": versions[0],
        "new": versions[1],
        "start": start,
        "segment": f"region={SEGMENT['north']}",
    }
    with warehouse.transaction() as conn:
        for statement in RETRAINING.read_text(encoding="utf-8").split(";\n"):
            if statement.strip():
                bound = statement.replace(":start", "cast(:start as timestamptz)")
                conn.execute(text(bound), {k: v for k, v in given.items() if f":{k}" in bound})
