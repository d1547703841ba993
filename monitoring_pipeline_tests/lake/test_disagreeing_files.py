"""Files that disagree on a column's type are read each by its own, by ``init`` and ``validate`` as by ``run``."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from monitoring_pipeline.lake.inspection import check_sources, summarize

from .conftest import rows, take_in_one, write

VALUES: dict[str, Any] = {
    "list": [[1, 2]] * 10,
    "struct": [{"a": 1}] * 10,
    "number": [i + 0.5 for i in range(10)],
    "whole": list(range(10)),
    "decimal": [Decimal(i) / 4 for i in range(10)],
    "text": ["a", "b"] * 5,
    "digits": [str(i) for i in range(10)],
    "flag": [True, False] * 5,
    "flag as text": ["true", "false"] * 5,
    "time": rows(10)["at"],
    "seconds": [1_709_251_200 + i for i in range(10)],
    "nothing": pa.nulls(10),
}


@pytest.fixture
def two(declare, settings, tmp_path):
    """A log of two files whose column differs in type; what the two doors say of it."""

    def build(column: str, one: str, other: str):
        for i, name in enumerate((one, other)):
            write(tmp_path / f"log/{i}.parquet", rows(10, 10 * i) | {column: VALUES[name]})
        write(tmp_path / "reference/a.parquet", rows(10) | {"y": [0, 1] * 5})
        summary = summarize(str(tmp_path / "log"), settings)
        monitor = declare(ground_truth=None)
        findings = [f.message for f in check_sources(monitor, settings) if "prediction log" in f.message]
        return summary, findings, take_in_one(monitor, settings)

    return build


@pytest.mark.parametrize(
    ("column", "one", "other", "kind"),
    [
        ("at", "time", "seconds", "TIMESTAMP"),
        ("at", "seconds", "time", "TIMESTAMP"),
        ("x", "whole", "number", "DOUBLE"),
        ("x", "decimal", "number", "DOUBLE"),
        ("x", "digits", "whole", "BIGINT"),
        ("x", "nothing", "number", "DOUBLE"),
        ("b", "flag", "flag as text", "BOOLEAN"),
        ("c", "text", "whole", "VARCHAR"),
    ],
)
def test_what_every_file_can_say_is_no_conflict(two, column, one, other, kind):
    summary, findings, window = two(column, one, other)
    assert (summary.column(column).kind, summary.conflicts, findings) == (kind, (), [])
    assert (window.n_rows, window.n_quarantined, window.contract.invalid) == (20, 0, {})


@pytest.mark.parametrize(("one", "other"), [("number", "list"), ("list", "number"), ("struct", "whole")])
def test_a_conflict_names_files_column_types_and_the_remedy(two, one, other):
    summary, findings, window = two("x", one, other)
    for said in (*summary.conflicts, *findings):
        assert all(part in said for part in ("'x'", "0.parquet", "1.parquet", "write it in one type in all files"))
    assert (len(summary.conflicts), len(findings)) == (1, 1)
    assert (window.n_rows, window.contract.invalid) == (20, {"x": 10})


def test_a_time_that_is_a_small_number_elsewhere_is_a_conflict(two):
    summary, _, _ = two("x", "time", "whole")
    assert "TIMESTAMP in" in summary.conflicts[0] and "BIGINT in" in summary.conflicts[0]
