"""Rows of a rotated reference: what was missing in the log is missing there, not NaN."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from monitoring_pipeline.retraining import reference_rows
from monitoring_pipeline.retraining.model import Model
from monitoring_pipeline_tests.warehouse import samples as s


def test_missing_values_stay_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monitor = s.monitor()
    monitor = monitor.model_copy(update={"reference": monitor.reference.model_copy(update={"outcome": "label"})})
    frame = pd.DataFrame({"prediction_id": ["a", "b"], "outcome": [1.0, 0.0]})
    frame["event_time"] = pd.Timestamp("2026-03-01", tz="UTC")
    for name in monitor.schema_.features:
        number = name in monitor.schema_.numerical
        frame[reference_rows.feature_column(name)] = [1.5, np.nan] if number else ["x", None]
    scored = pd.DataFrame({"prediction": [1.0, 0.0], "score": [0.9, 0.2]})
    monkeypatch.setattr(reference_rows, "outputs", lambda *_: scored)
    model = Model.__new__(Model)
    object.__setattr__(model, "task", monitor.task)
    object.__setattr__(model, "classes", ("0", "1"))
    table = reference_rows.reference_table(monitor, model, frame, "2")
    nulls = {name: table[name].null_count for name in table.column_names}
    ours = {name for name in nulls if name.startswith("__")}
    assert {name: n for name, n in nulls.items() if name not in ours} == dict.fromkeys(set(nulls) - ours, 1)
    assert set(nulls) - ours
