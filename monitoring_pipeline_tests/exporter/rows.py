"""Rows in the warehouse's tables, written as plainly as a test can."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import text

from monitoring_pipeline.warehouse.database import Warehouse

LENGTH = {"hour": timedelta(hours=1), "day": timedelta(days=1)}
STAMP = {"data_version": "d", "config_version": "c", "code_version": "v"}


class Ledger:
    """Puts rows about one monitor into the tables; windows are counted back from now: 0 is the last whole one."""

    def __init__(
        self, warehouse: Warehouse, monitor: str, size: str = "day", delay: timedelta = timedelta(days=7)
    ) -> None:
        self.warehouse, self.monitor, self.size = warehouse, monitor, size
        self.insert(
            "monitor", task="binary", window_size=size, starts_on="2020-01-01", baselines=["training", "previous"],
            has_ground_truth=True, label_coverage=0.95, label_max_delay=delay, config_version="c",
        )  # fmt: skip

    def insert(self, table: str, **values: Any) -> None:
        values = {"monitor": self.monitor, **values}
        names, marks = ", ".join(values), ", ".join(f":{name}" for name in values)
        with self.warehouse.transaction() as connection:
            connection.execute(text(f"insert into monitoring.{table} ({names}) values ({marks})"), values)

    def version(self, name: str, role: str = "champion") -> None:
        self.insert("known_version", model_version=name)
        self.insert("model_version", model_version=name, role=role)

    def end(self, back: int) -> datetime:
        now = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
        return (now.replace(hour=0) if self.size == "day" else now) - back * LENGTH[self.size]

    def span(self, back: int) -> dict[str, datetime]:
        return {"window_start": self.end(back) - LENGTH[self.size], "window_end": self.end(back)}

    def window(self, back: int, *versions: str, stages: str = "ingestion profile drift quality performance") -> None:
        """A window taken in and measured, each stage a second after the one before."""
        self.insert(
            "prediction_window", **self.span(back), n_rows=10, n_duplicates=0, n_quarantined=0, data_version="d",
            source_revision=0, ingestion_revision=1, lake_files=[], versions=json.dumps(dict.fromkeys(versions, 5)),
        )  # fmt: skip
        for place, stage in enumerate(stages.split()):
            self.insert(
                "window_stage", **self.span(back), stage=stage, data_version="d", label_batch=0, config_version="c",
                run_id="r", completed_at=self.end(back) + timedelta(minutes=10, seconds=place),
            )  # fmt: skip

    def failure(self, back: int, stage: str, why: str) -> None:
        self.insert(
            "window_stage", **self.span(back), stage=stage, attempts=1, last_error=why, failed_at=datetime.now(UTC)
        )

    def drift(
        self, back: int, version: str, column: str, value: float | None, drifted: bool | None, **other: Any
    ) -> None:
        self._metric(
            "drift_metric", back, version,
            {"baseline": "training", "segment": "*", "column_name": column, "role": "feature", "method": "psi",
             "value": value, "drifted": drifted, "n_reference": 1, "n_current": 1, **other},
        )  # fmt: skip

    def quality(self, back: int, version: str, column: str, metric: str, value: float, violated: bool | None) -> None:
        self._metric(
            "quality_metric", back, version,
            {"segment": "*", "column_name": column, "metric": metric, "value": value, "violated": violated, "n": 1},
        )  # fmt: skip

    def performance(self, back: int, version: str, metric: str, value: float | None, **other: Any) -> None:
        self._metric(
            "performance_metric", back, version,
            {"segment": "*", "metric": metric, "kind": "realized", "value": value, "degraded": None,
             "n_predictions": 10, "n_labelled": 8, "coverage": 0.8, "mature": False, **other},
        )  # fmt: skip

    def _metric(self, table: str, back: int, version: str, values: dict[str, Any]) -> None:
        known = {"computed_at": self.end(back), "as_known_at": self.end(back), "threshold_source": "default"}
        self.insert(table, model_version=version, **self.span(back), **STAMP, **{**known, **values})
