"""A monitor whose windows have known troubles, its stages done in any order, and what the views then say of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
import pandas as pd

from monitoring_pipeline.settings import Settings
from monitoring_pipeline.stages.catalogue import BY_NAME, STAGES
from monitoring_pipeline.stages.context import StageContext, good_windows
from monitoring_pipeline.stages.reference import profile_reference
from monitoring_pipeline.stages.working import work
from monitoring_pipeline.warehouse.database import Warehouse
from monitoring_pipeline_tests import toy
from monitoring_pipeline_tests.front_door import WHEN, query
from monitoring_pipeline_tests.toy import START, Toy

ROWS = 250
REFERENCE_DAYS = 42
QUIET_LIFE: dict[str, Any] = {
    "schema": {
        "prediction_id": "id", "event_time": "at", "model_version": "version",
        "numerical": ["x", "amount"], "categorical": ["channel", "region"], "prediction": "predicted", "score": "score",
    },
    "ground_truth": None,
    "baselines": ["training"],
    "segments": [],
    "end": f"{START + timedelta(days=120)}",
}  # fmt: skip
DAYS = 44
EMPTY, SHIFTED, LOSSY, NOVEL = 9, range(16, 21), 28, range(36, 38)
"""A day without rows, days of x one deviation higher, a day without a fifth of amount, days of a new channel."""
ECHO = 1
"""Days for which a merged week still shows what is over."""
VIEWS = ("column_verdict_current", "drift_current", "incident_current")
UNUSED = ("returning", "y")
NAMED = ("monitor", "incident_id", "config_version", "policy_version", "data_version", "reason", *WHEN)
"""Columns that differ between monitors that read the same files, or tell when and why a row was made."""


@dataclass
class Story:
    """Files of one toy, read by monitors of any names; what happens on which day is the tests' business."""

    toy: Toy
    warehouse: Warehouse
    settings: Settings

    @property
    def url(self) -> str:
        return self.settings.database_url or ""

    def write_reference(self, days: int = REFERENCE_DAYS, timed: bool = True) -> None:
        """As many days before the first one; not ``timed``: rows without a time, which make no blocks."""
        rows = pd.concat([self.toy.rows(START - timedelta(days=n), ROWS) for n in range(days, 0, -1)])
        self.toy.write_reference(rows if timed else rows.drop(columns="at"))

    def write(self, day: int, rows: pd.DataFrame | None = None, shift: float = 0.0) -> pd.DataFrame:
        """The rows of a day; without any given, those of the toy with x shifted by so many standard deviations."""
        rows = self.toy.rows(day, ROWS, shift) if rows is None else rows
        self.toy.write_log(rows[[c for c in rows if c not in UNUSED]], f"{START + timedelta(days=day)}")
        return rows

    def write_events(self) -> None:
        """The days of the story; see EMPTY, SHIFTED, LOSSY and NOVEL."""
        for day in range(DAYS):
            rows = self.toy.rows(day, ROWS, 1.0 if day in SHIFTED else 0.0)
            if day == LOSSY:
                rows = without_values(rows, "amount", 0.2)
            if day in NOVEL:
                rows = with_category(rows, "kiosk", 0.1)
            if day != EMPTY:
                self.write(day, rows)

    def monitor(self, name: str = "toy", **changes: Any) -> StageContext:
        """A monitor of these files with its reference profiled; what its stages work with."""
        it = Toy(self.toy.base, name=name, declared=dict(QUIET_LIFE))
        stages = StageContext(it.declare(**changes), self.warehouse, self.settings, f"run of {name}")
        profile_reference(stages)
        return stages

    def query(self, sql: str, **parameters: Any) -> pd.DataFrame:
        return query(self.url, sql, **parameters)

    def start(self, day: int) -> pd.Timestamp:
        """When a day begins."""
        return pd.Timestamp(toy.day(day).start)

    def alarms(self, name: str = "toy", status: str = "alarm") -> dict[tuple[str, str], list[int]]:
        """Days by (segment, column) with this status."""
        found = self.query(
            "select window_start, segment, column_name from monitoring.column_verdict_current"
            " where monitor = :m and status = :status order by window_start",
            m=name, status=status,
        )  # fmt: skip
        said: dict[tuple[str, str], list[int]] = {}
        for row in found.itertuples():
            said.setdefault((row.segment, row.column_name), []).append(number(row.window_start))
        return said

    def incidents(self, name: str = "toy") -> list[Any]:
        """The current revision of each incident as named tuples, the first first."""
        found = self.query("select * from monitoring.incident_current where monitor = :m", m=name)
        return list(found.sort_values(["first_window", "incident_id"]).itertuples())

    def history(self, name: str = "toy") -> list[str]:
        """(state, reason) of every revision in the order they were made."""
        found = self.query(
            "select state || ': ' || reason as said from monitoring.incident_history where monitor = :m"
            " order by as_known_at, incident_id",
            m=name,
        )
        return found["said"].tolist()

    def said(self, name: str = "toy", views: Sequence[str] = VIEWS) -> dict[str, list[tuple[str, ...]]]:
        """What the views say, without names, times and runs."""
        found = {}
        for view in views:
            frame = self.query(f"select * from monitoring.{view} where monitor = :m", m=name)
            if view == "incident_current":
                frame = frame[frame["state"] != "retracted"]
            kept = frame.drop(columns=[c for c in NAMED if c in frame])
            rounded = kept.map(lambda v: float(f"{v:.9g}") if isinstance(v, float) else v)
            found[view] = sorted(tuple(map(str, row)) for row in rounded.itertuples(index=False))
        return found


def number(start: pd.Timestamp) -> int:
    """Which day a window is, counted from 0."""
    return (start.to_pydatetime() - toy.day(0).start).days


def run(stages: StageContext, days: Iterable[int]) -> None:
    """All stages for these days as one range; whatever fails is an error of the test."""
    windows = [toy.day(day) for day in days]
    for stage in STAGES:
        if stage.needs_labels and stages.monitor.ground_truth is None:
            continue
        outcomes = work(stage, stages, windows)
        assert [one.error for one in outcomes if one.failed] == [], stage.name
        windows = good_windows(outcomes)


def without_values(rows: pd.DataFrame, column: str, share: float) -> pd.DataFrame:
    """The rows with this share of a column's values missing."""
    lost = np.random.default_rng(1).random(len(rows)) < share
    return rows.assign(**{column: rows[column].mask(lost)})


def with_category(rows: pd.DataFrame, name: str, share: float) -> pd.DataFrame:
    """The rows with this share of ``channel`` being a category of that name."""
    new = np.random.default_rng(2).random(len(rows)) < share
    return rows.assign(channel=rows["channel"].mask(new, name))


def judge(stages: StageContext, days: Iterable[int]) -> None:
    """Verdicts and incidents only, from what is stored."""
    windows = [toy.day(day) for day in days]
    for name in ("verdicts", "incidents", "rollups"):
        assert [one.error for one in work(BY_NAME[name], stages, windows) if one.failed] == [], name
