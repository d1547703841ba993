"""A toy monitor whose days are taken in with their labels, and attempts at retraining it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
from sqlalchemy import text

from monitoring_pipeline.monitors import Monitor
from monitoring_pipeline.retraining.context import Attempt, RetrainContext
from monitoring_pipeline.settings import Settings
from monitoring_pipeline.stages.context import StageContext
from monitoring_pipeline.stages.declaring import declare
from monitoring_pipeline.stages.ground_truth import take_in_labels
from monitoring_pipeline.stages.ingestion import ingest
from monitoring_pipeline.warehouse.database import Warehouse
from monitoring_pipeline_tests import toy
from monitoring_pipeline_tests.toy import START, Toy

RETRAIN: dict[str, Any] = {
    "enabled": True,
    "estimator": {"class": "sklearn.linear_model.LogisticRegression"},
    "guards": {"min_labels": 50},
    "promote": {"compare_on": "2d"},
}


@dataclass
class Shop:
    """``declared``: changes of the toy's declaration. Days count from 0; a day is ``n_rows`` rows."""

    warehouse: Warehouse
    settings: Settings
    toy: Toy
    n_rows: int = 40
    monitor: Monitor = field(init=False)

    def open(self, days: Sequence[int], reference_days: int = 0, **declared: Any) -> Shop:
        """Write the reference and these days with labels known 20 hours after the event, and take them in."""
        before = [self.toy.rows(START - timedelta(days=n), self.n_rows) for n in range(reference_days or 3, 0, -1)]
        self.toy.write_reference(pd.concat(before))
        for day in days:
            rows = self.toy.rows(day, self.n_rows)
            self.toy.write_log(rows, f"day-{day:03d}")
            self.toy.write_labels(rows, f"day-{day:03d}")
        settings: dict[str, Any] = {"retrain": RETRAIN, "labels": {"max_delay": "2d"}, "segments": []}
        self.monitor = self.toy.declare(**settings | declared)
        self.take_in(days)
        return self

    def take_in(self, days: Sequence[int]) -> None:
        """What lies in the source of these days, and every label that no batch has read."""
        stages = StageContext(self.monitor, self.warehouse, self.settings, "run")
        self.warehouse.run(lambda conn: declare(conn, self.monitor))
        failed = [one.error for one in ingest(stages, [toy.day(day) for day in days]) if one.failed]
        assert not failed
        take_in_labels(stages)

    def write_labels(self, name: str, rows: pd.DataFrame, known: Any, outcome: Any) -> None:
        """A file of labels of these rows; ``known`` and ``outcome`` are values or columns."""
        frame = pd.DataFrame({"id": rows["id"], "y": outcome, "known": known})
        toy.write(frame, self.toy.base / "truth" / f"{name}.parquet")

    @property
    def ctx(self) -> RetrainContext:
        return RetrainContext(self.monitor, self.warehouse, self.settings, "run")

    def attempt(self, day: float, trigger: str = "new_labels", evidence: str = "{}", champion: str | None = None,
                name: str = "next") -> Attempt:  # fmt: skip
        """An open attempt whose cut is so many days after the start; those before are closed."""
        cut = toy.day(0).start + timedelta(days=day)
        with self.warehouse.transaction() as conn:
            decision = conn.execute(DECISION, {"monitor": self.monitor.name, "at": cut, "evidence": evidence}).scalar()
            version = {"monitor": self.monitor.name, "version": name}
            conn.execute(KNOWN, version)
            conn.execute(CLOSE, version)
            row = {**version, "decision": decision, "champion": champion, "cut": cut}
            attempt = conn.execute(ATTEMPT, row).scalar()
        assert decision is not None and attempt is not None
        return Attempt(attempt, self.monitor.name, decision, name, champion, "training", 0, cut, trigger)

    def query(self, sql: str) -> list[Any]:
        with self.warehouse.transaction() as conn:
            return list(conn.execute(text(sql)).all())


DECISION = text("""
insert into monitoring.retrain_decision (monitor, decided_at, trigger, decision, reason, evidence)
values (:monitor, clock_timestamp(), 'test', 'retrain', 'test', cast(:evidence as jsonb)) returning revision_id
""")
CLOSE = text("update monitoring.retrain_attempt set state = 'kept' where monitor = :monitor and state = 'training'")
KNOWN = text("insert into monitoring.known_version values (:monitor, :version) on conflict do nothing")
ATTEMPT = text("""
insert into monitoring.retrain_attempt (monitor, decision_id, challenger_version, champion_version, state, as_of)
values (:monitor, :decision, :version, :champion, 'training', :cut) returning attempt_id
""")


def at(day: float) -> datetime:
    """A moment so many days after the start."""
    return toy.day(0).start + timedelta(days=day)


def same(one: pd.DataFrame, other: pd.DataFrame) -> bool:
    """Bit for bit."""
    return one.equals(other) and list(one.dtypes) == list(other.dtypes)


def flipped(outcome: pd.Series) -> np.ndarray:
    return 1 - outcome.to_numpy()
