"""A small monitored model of each task: logs, late labels and a reference as Parquet, the same for the same seed.

``Toy.rows`` gives a day's rows before they are written, so that a test can count on its own what the pipeline should
say of them.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from monitoring_pipeline.monitors import Monitor, Window
from monitoring_pipeline.monitors.loading import load_monitor

START = date(2024, 3, 1)
CLASSES = ("cat", "dog", "eel")
N_ROWS = 300
FEATURES: dict[str, list[str]] = {
    "numerical": ["x", "amount"],
    "categorical": ["channel", "region"],
    "boolean": ["returning"],
}
Task = Literal["binary", "multiclass", "regression"]


@dataclass
class Toy:
    """One monitor below ``base``: ``log/``, ``truth/``, ``reference.parquet`` and ``monitors/<name>.yaml``."""

    base: Path
    task: Task = "binary"
    name: str = "toy"
    seed: int = 7
    declared: dict[str, Any] = field(default_factory=dict)

    # -- rows ------------------------------------------------------------------------------------------------------

    def rows(self, day: date | int, n: int = N_ROWS, shift: float = 0.0) -> pd.DataFrame:
        """One day's predictions with their outcome ``y``; ``day`` is a date or counts from 0 at the first."""
        when = day if isinstance(day, date) else START + timedelta(days=day)
        rng = np.random.default_rng([self.seed, zlib.crc32(self.name.encode()), when.toordinal()])
        x = rng.normal(shift, 1, n)
        x[rng.random(n) < 0.05] = np.nan
        seconds = np.sort(rng.integers(0, 86_400, n))
        frame = pd.DataFrame(
            {
                "id": [f"{when:%m%d}-{i:05d}" for i in range(n)],
                "at": pd.Timestamp(when) + pd.to_timedelta(seconds, unit="s"),
                "version": "v1",
                "x": x,
                "amount": rng.lognormal(2, 0.5, n),
                "channel": rng.choice(["web", "app", "shop"], n, p=[0.5, 0.3, 0.2]),
                "region": rng.choice(["north", "south"], n, p=[0.6, 0.4]),
                "returning": rng.random(n) < 0.4,
            }
        )
        signal = np.nan_to_num(x) + 0.5 * (frame["channel"] == "web").to_numpy()
        return frame.assign(**self._output(rng, signal, frame["amount"].to_numpy()))

    def _output(self, rng: np.random.Generator, signal: np.ndarray, amount: np.ndarray) -> dict[str, Any]:
        n = len(signal)
        if self.task == "binary":
            p = 1 / (1 + np.exp(-signal))
            score = np.clip(p + rng.normal(0, 0.05, n), 0, 1)
            return {"score": score, "predicted": (score >= 0.5).astype(int), "y": (rng.random(n) < p).astype(int)}
        if self.task == "regression":
            return {"predicted": 3 * signal + amount, "y": 3 * signal + amount + rng.normal(0, 2, n)}
        logits = np.column_stack([signal, np.zeros(n), -signal])
        p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        drawn = (rng.random(n)[:, None] > p.cumsum(axis=1)).sum(axis=1).clip(0, 2)
        scores = {f"p_{c}": p[:, i] for i, c in enumerate(CLASSES)}
        classes = np.array(CLASSES)
        return scores | {"predicted": classes[p.argmax(axis=1)], "y": classes[drawn]}

    # -- files -----------------------------------------------------------------------------------------------------

    def write_log(self, rows: pd.DataFrame, name: str) -> Path:
        """Predictions as the service logs them: without the outcome."""
        return write(rows.drop(columns="y", errors="ignore"), self.base / "log" / f"{name}.parquet")

    def write_labels(self, rows: pd.DataFrame, name: str, delay: timedelta = timedelta(hours=20)) -> Path:
        """Outcomes of these rows, known ``delay`` after the event."""
        labels = pd.DataFrame({"id": rows["id"], "y": rows["y"], "known": rows["at"] + delay})
        return write(labels, self.base / "truth" / f"{name}.parquet")

    def write_reference(self, rows: pd.DataFrame | None = None) -> Path:
        """Rows with outcomes from before the first day."""
        before = self.rows(START - timedelta(days=10), 1500) if rows is None else rows
        return write(before, self.base / "reference.parquet")

    def log_path(self, day: int) -> Path:
        return self.base / "log" / f"{START + timedelta(days=day)}.parquet"

    def write_days(self, days: Sequence[int], labelled: bool = True) -> dict[int, pd.DataFrame]:
        """A log file a day, and a file of labels a day; the rows by day."""
        found = {day: self.rows(day) for day in days}
        for day, rows in found.items():
            self.write_log(rows, f"{START + timedelta(days=day)}")
            if labelled:
                self.write_labels(rows, f"{START + timedelta(days=day)}")
        return found

    # -- the declaration -------------------------------------------------------------------------------------------

    @property
    def yaml(self) -> Path:
        return self.base / "monitors" / f"{self.name}.yaml"

    def declare(self, **changes: Any) -> Monitor:
        """Write ``monitors/<name>.yaml`` (JSON is YAML) and load it; keywords replace parts of the declaration."""
        self.declared |= changes
        self.yaml.parent.mkdir(parents=True, exist_ok=True)
        self.yaml.write_text(json.dumps(self.declaration() | self.declared, default=str, indent=1))
        return load_monitor(self.yaml)

    def declaration(self) -> dict[str, Any]:
        outputs: dict[str, Any] = {"prediction": "predicted"}
        if self.task == "binary":
            outputs["score"] = "score"
        if self.task == "multiclass":
            outputs["class_scores"] = {c: f"p_{c}" for c in CLASSES}
        return {
            "name": self.name,
            "task": self.task,
            "schema": {"prediction_id": "id", "event_time": "at", "model_version": "version", **FEATURES, **outputs},
            "predictions": {"path": "../log/*.parquet"},
            "ground_truth": {"path": "../truth/*.parquet", "outcome": "y", "label_time": "known"},
            "reference": {"path": "../reference.parquet", "outcome": "y", "model_version": "v1"},
            "start": f"{START}",
            "end": f"{START + timedelta(days=31)}",
            "segments": ["region"],
            "bins": 10,
        }


def write(rows: pd.DataFrame, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    rows.to_parquet(path, index=False)
    return path


def truncate(path: Path) -> None:
    """As a writer that was killed leaves a Parquet file: without its footer."""
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 2 // 3])


def day(number: int) -> Window:
    """The window of the day that counts from 0 at the first."""
    return Window.at(datetime(START.year, START.month, START.day, tzinfo=UTC) + timedelta(days=number), "day")


def ready(
    base: Path, n_days: int, task: Task = "binary", labelled: bool = True, **declared: Any
) -> tuple[Toy, Monitor]:
    """A toy with its reference, ``n_days`` days of log and labels, and its declaration."""
    toy = Toy(base, task, declared=declared)
    toy.write_reference()
    toy.write_days(range(n_days), labelled)
    return toy, toy.declare()
