"""The peers' own default code on a few streams, to see that the rules in ``peers`` are theirs.

Evidently runs in this process. NannyML needs an interpreter of its own (``--nannyml PYTHON``, one that has
nannyml==0.13.1): this file is run by it, with a file of frames as argument.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from benchmarks.detection.streams import Stream


def frames(stream: Stream) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Reference and windows as rows: x0, x1, … numbers, c0, … names, ``window`` number of the block or window."""
    from benchmarks.detection.streams import VALUES

    sides = []
    for drawn in (stream.reference, stream.windows):
        parts = []
        for t in range(len(drawn.missing)):
            columns = {f"x{c}": np.repeat(VALUES, drawn.numbers[t, c]) for c in range(drawn.numbers.shape[1])}
            columns |= {f"c{j}": np.repeat(_names(x.shape[1]), x[t]) for j, x in enumerate(drawn.names)}
            parts.append(pd.DataFrame({name: pd.Series(values) for name, values in columns.items()}).assign(window=t))
        sides.append(pd.concat(parts, ignore_index=True))
    return sides[0], sides[1]


def _names(n: int) -> np.ndarray:
    return np.array([f"k{i}" for i in range(n)], object)


def evidently(reference: pd.DataFrame, windows: pd.DataFrame) -> np.ndarray:
    """(T, C) what ``DataDriftPreset`` says, window by window."""
    from evidently import DataDefinition, Dataset, Report
    from evidently.presets import DataDriftPreset

    columns = [str(c) for c in reference if c != "window"]
    definition = DataDefinition(
        numerical_columns=[c for c in columns if c.startswith("x")],
        categorical_columns=[c for c in columns if c.startswith("c")],
    )
    base = Dataset.from_pandas(reference[columns], data_definition=definition)
    found = []
    for _, rows in windows.groupby("window"):
        current = Dataset.from_pandas(rows[columns].reset_index(drop=True), data_definition=definition)
        said = json.loads(Report([DataDriftPreset()]).run(current, base).json())
        by_column = {
            m["config"]["column"]: _drifted(m) for m in said["metrics"] if m["config"]["type"].endswith("ValueDrift")
        }
        found.append([by_column[c] for c in columns])
    return np.array(found)


def _drifted(metric: dict) -> bool:
    method, value, threshold = metric["config"]["method"], float(metric["value"]), float(metric["config"]["threshold"])
    return value < threshold if "p_value" in method else value >= threshold


def nannyml(reference: pd.DataFrame, windows: pd.DataFrame, python: str) -> np.ndarray:
    """(T, C) what ``UnivariateDriftCalculator`` says with a chunk per day; ``python`` has nannyml."""
    with tempfile.TemporaryDirectory() as folder:
        sides = [Path(folder) / "reference.parquet", Path(folder) / "windows.parquet"]
        for path, frame, start in zip(sides, (reference, windows), ("2020-01-01", "2021-01-01"), strict=True):
            at = pd.Timestamp(start) + pd.to_timedelta(frame["window"], unit="D")
            frame.drop(columns="window").assign(at=at).to_parquet(path)
        done = subprocess.run(
            [python, __file__, *map(str, sides)], capture_output=True, text=True, check=True, timeout=600
        )
    return np.array(json.loads(done.stdout.strip().splitlines()[-1])).T


def _run_nannyml(reference: str, windows: str) -> None:
    import nannyml as nml

    before, after = pd.read_parquet(reference), pd.read_parquet(windows)
    columns = [c for c in before if c != "at"]
    calculator = nml.UnivariateDriftCalculator(column_names=columns, timestamp_column_name="at", chunk_period="D")
    result = calculator.fit(before).calculate(after).filter(period="analysis").to_df()
    print(json.dumps([result[(c, "jensen_shannon", "alert")].astype(bool).tolist() for c in columns]))


if __name__ == "__main__":
    _run_nannyml(*sys.argv[1:3])
