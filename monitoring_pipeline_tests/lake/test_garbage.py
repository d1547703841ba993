"""Rows and names that are garbage stay a matter of their row: put aside and counted, the rest goes on."""

from __future__ import annotations

import json

import pyarrow as pa
import pytest

from monitoring_pipeline.errors import SourceError
from monitoring_pipeline.lake.sources.index import index_predictions

from .conftest import NOW, kept, rows, take_in, take_in_one, write

CSV = "id,at,score,x,c,b\nr0,2024-03-01T00:00:00,0.5,1,a,true\n"


@pytest.mark.parametrize(
    ("unit", "moment"),
    [
        ("s", -62_200_000_000),
        ("ms", -62_200_000_000_000),
        *(("ms", n) for n in (2**62, -(2**62), 2**63 - 1)),
        *(("us", n) for n in (-62_200_000_000_000_000, -(2**62), 2**62, -(2**63) + 1, 2**63 - 1)),
        *(("ns", n) for n in (-(2**63) + 1, 2**63 - 1)),
    ],
)
@pytest.mark.parametrize("zone", [None, "UTC"])
@pytest.mark.parametrize("immutable", [False, True])
def test_parquet_times_beyond_the_calendar_are_unplaced(declare, settings, tmp_path, unit, zone, moment, immutable):
    good = rows(3)
    times = pa.array(good["at"], pa.timestamp("us")).cast(pa.timestamp(unit)).cast("int64").to_pylist()
    odd = pa.array([*times, moment], "int64").cast(pa.timestamp(unit, zone))
    write(tmp_path / "log/a.parquet", rows(4) | {"at": odd})
    monitor = declare(predictions={"path": "log/*.parquet", "immutable": immutable}, start="1970-01-01")
    (file,) = index_predictions(monitor, {}, settings, NOW)
    assert file.error is None
    assert file.n_rows == 4
    answers = take_in(monitor, settings)
    assert answers["2024-03-01"].n_rows == 3
    assert file.n_unplaced + sum(n for start, n in file.windows.items() if start.year != 2024) == 1
    if unit != "ns":
        assert file.n_unplaced == 1 and file.unplaced_example


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_nul_in_an_event_time_is_an_unplaced_row(declare, settings, tmp_path, suffix):
    lines = [{"id": f"r{i}", "at": at, "score": 0.5, "x": 1.0, "c": "a", "b": True}
             for i, at in enumerate(["2024-03-01T00:00:00", "2024-03-01\0T01:00:00", "\0"])]  # fmt: skip
    (tmp_path / "log").mkdir()
    text = "\n".join(map(json.dumps, lines)) + "\n"
    if suffix == "csv":
        text = "id,at,score,x,c,b\n" + "\n".join(",".join(map(str, line.values())) for line in lines) + "\n"
    (tmp_path / f"log/a.{suffix}").write_text(text)
    monitor = declare(predictions={"path": f"log/*.{suffix}"})
    (file,) = index_predictions(monitor, {}, settings, NOW)
    assert (file.error, file.n_rows, file.n_unplaced) == (None, 3, 2)
    assert take_in_one(monitor, settings).n_rows == 1


def test_a_jsonl_key_with_nul_costs_no_row(declare, settings, tmp_path):
    lines = [{"id": f"r{i}", "at": "2024-03-01T00:00:00", "score": 0.5, "x": 1.0, "c": "a", "b": True, "k\0": i}
             for i in range(3)]  # fmt: skip
    (tmp_path / "log").mkdir()
    (tmp_path / "log/a.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n")
    monitor = declare(predictions={"path": "log/*.jsonl"})
    window = take_in_one(monitor, settings)
    assert (window.n_rows, window.n_quarantined) == (3, 0)
    assert [row[0] for row in kept(monitor, settings, window, select="__id")] == ["r0", "r1", "r2"]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_text_that_is_not_utf8_is_named_and_the_other_files_go_on(declare, settings, tmp_path, encoding, suffix):
    (tmp_path / "log").mkdir()
    text = CSV if suffix == "csv" else '{"id": "r0", "at": "2024-03-01"}\n' * 3
    (tmp_path / f"log/bad.{suffix}").write_bytes(text.encode(encoding))
    (tmp_path / "log/good.csv").write_text(CSV)
    monitor = declare(predictions={"path": "log/*"})
    bad, good = index_predictions(monitor, {}, settings, NOW)
    assert "is not UTF-8 text" in (bad.error or "") and "\0" not in (bad.error or "")
    assert good.error is None
    assert take_in_one(monitor, settings).n_rows == 1


def test_a_message_with_nul_can_be_printed_and_kept():
    assert str(SourceError("a\0b\udcff")) == "a\\x00b\\udcff"
