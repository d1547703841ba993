"""What a declaration may say of protected columns."""

from __future__ import annotations

from pathlib import Path

import pytest

from monitoring_pipeline.errors import UserError
from monitoring_pipeline.monitors.protected import Protected
from monitoring_pipeline_tests.toy import Task, Toy

PIN = {"fairness": {"demographic_parity_difference": 0.1}}


def test_protected_columns_are_segments_too_once_and_in_order(tmp_path: Path) -> None:
    protected = ["region", {"column": "sex", "reference": True, "min_rows": 50}]
    monitor = Toy(tmp_path).declare(protected=protected, segments=[["region"], ["channel", "sex"]], thresholds=PIN)
    assert monitor.protected == (Protected(column="region"), Protected(column="sex", reference="true", min_rows=50))
    assert monitor.segment_keys == (("region",), ("channel", "sex"), ("sex",))
    assert monitor.segment_columns == ("sex",), "no feature"
    again = Toy(tmp_path, name="again").declare(**monitor.model_dump(mode="json", include={"protected", "segments"}))
    assert again.segment_keys == monitor.segment_keys


@pytest.mark.parametrize(
    ("task", "changes", "said"),
    [
        ("binary", {"protected": ["sex", "sex"]}, "protected: 'sex' is given twice"),
        ("binary", {"thresholds": PIN}, "no column is `protected`"),
        ("binary", {"protected": "sex"}, "protected"),
        ("binary", {"protected": [{"reference": "a"}]}, "column"),
        ("binary", {"protected": [{"column": "sex", "min_rows": 1}]}, "min_rows"),
        ("binary", {"protected": ["sex"], "thresholds": {"fairness": {"parity": 0.1}}}, "unknown fairness metric"),
        (
            "binary",
            {"protected": ["sex"], "thresholds": {"fairness": {"mae_difference": 0.1}}},
            "not of a binary model",
        ),
        ("regression", {"protected": ["sex"], "thresholds": PIN}, "write one of mae_difference"),
        (
            "regression",
            {"protected": ["sex"], "thresholds": {"fairness": {"mae_difference": -1}}},
            "is compared by its size",
        ),
    ],
)
def test_what_cannot_be_is_said(tmp_path: Path, task: Task, changes: dict, said: str) -> None:
    with pytest.raises(UserError, match=said):
        Toy(tmp_path, task=task).declare(**changes)
