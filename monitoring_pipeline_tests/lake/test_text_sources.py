"""CSV and JSON Lines: plain and compressed, with broken rows in the middle."""

from __future__ import annotations

import gzip
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from monitoring_pipeline.errors import SourceError
from monitoring_pipeline.lake.sources.index import index_predictions

from .conftest import DAY, NOW, kept, quarantined, take_in, take_in_one

HEADER = "id,at,score,x,c,b"
LINES = [f"r{i},2024-03-01T00:{i:02}:00,0.{i},{i}.5,{'ab'[i % 2]},{'true' if i % 2 else 'false'}" for i in range(6)]


def put(path: Path, lines: list[str], newline: str = "\n") -> Path:
    """Text with the compression of its suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    data = (newline.join(lines) + newline).encode()
    if path.suffix == ".gz":
        data = gzip.compress(data)
    if path.suffix == ".zst":
        data = pa.compress(data, codec="zstd", asbytes=True)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("suffix", ["csv", "csv.gz", "csv.zst"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_csv(declare, settings, tmp_path, suffix, newline):
    put(tmp_path / f"log/a.{suffix}", [HEADER, *LINES], newline)
    monitor = declare(predictions={"path": "log/*"})
    window = take_in_one(monitor, settings)
    assert (window.n_rows, window.n_quarantined, window.contract.retyped, window.contract.invalid) == (6, 0, {}, {})
    assert kept(monitor, settings, window, select="__id, x, c, b")[3] == ("r3", 3.5, "b", "true")


@pytest.mark.parametrize("delimiter", [";", "\t", "|"])
def test_csv_with_another_delimiter(declare, settings, tmp_path, delimiter):
    put(tmp_path / "log/a.csv", [line.replace(",", delimiter) for line in [HEADER, *LINES]])
    assert take_in_one(declare(predictions={"path": "log/*.csv"}), settings).n_rows == 6


def test_csv_with_quotes_line_breaks_and_a_byte_order_mark(declare, settings, tmp_path):
    put(tmp_path / "log/a.csv", ["\ufeff" + HEADER, 'r0,2024-03-01,0.5,1,"a ""b"", \nc",true', LINES[1]])
    monitor = declare(predictions={"path": "log/*.csv"})
    window = take_in_one(monitor, settings)
    assert kept(monitor, settings, window, select="c, __id") == [('a "b", \nc', "r0"), ("b", "r1")]


@pytest.mark.parametrize(
    "broken", ["r9,2024-03-01,0.5", "r9,2024-03-01,0.5,1,a,true,more,more", 'r9,2024-03-01,0.5,1,"a"b,true'], ids=str
)
def test_broken_csv_row_in_the_middle_is_put_aside_with_its_line(declare, settings, tmp_path, broken):
    put(tmp_path / "log/a.csv", [HEADER, *LINES[:3], broken, *LINES[3:]])
    monitor = declare(predictions={"path": "log/*.csv"})
    window = take_in_one(monitor, settings)
    assert (window.n_rows, window.quarantine) == (6, {"broken row": 1})
    (aside,) = quarantined(settings, monitor)
    assert aside["source_file"] == str(tmp_path / "log/a.csv") and aside["source_row"] == 5
    assert aside["reason"].startswith("broken row: ") and aside["text"].startswith("r9,2024-03-01")


def test_broken_row_belongs_to_the_window_of_the_row_before_it(declare, settings, tmp_path):
    other = [line.replace("2024-03-01", "2024-03-02").replace("r", "s") for line in LINES]
    put(tmp_path / "log/a.csv", [HEADER, *LINES, "broken", *other[:2], "broken,too", *other[2:]])
    answers = take_in(declare(predictions={"path": "log/*.csv"}), settings)
    assert {key: (w.n_rows, w.quarantine) for key, w in answers.items()} == {
        "2024-03-01": (6, {"broken row": 1}),
        "2024-03-02": (6, {"broken row": 1}),
    }


def test_csv_without_any_whole_row_is_an_error_of_the_file(declare, settings, tmp_path):
    put(tmp_path / "log/a.csv", [HEADER, "1,2", "3,4"])
    (indexed,) = index_predictions(declare(predictions={"path": "log/*.csv"}), {}, settings, NOW)
    assert "a.csv:2: no row can be read" in indexed.error


def test_csv_values_that_do_not_fit_are_counted_by_column(declare, settings, tmp_path):
    put(
        tmp_path / "log/a.csv",
        [HEADER, "r0,2024-03-01,0.1,abc,a,perhaps", "r1,2024-03-01,0.1,,,", "r2,2024-03-01,0.1,NA,NA,no"],
    )
    monitor = declare(predictions={"path": "log/*.csv"})
    window = take_in_one(monitor, settings)
    assert window.contract.invalid == {"x": 1, "b": 1}
    assert kept(monitor, settings, window, select="x, c, b, __id") == [
        (None, "a", None, "r0"), (None, None, None, "r1"), (None, "NA", "false", "r2"),
    ]  # fmt: skip


@pytest.mark.parametrize("header", ["id,at,score,x,c,x", "id,at,score,x,c,"])
def test_header_with_equal_or_empty_names_is_refused(declare, settings, tmp_path, header):
    put(tmp_path / "log/a.csv", [header, *LINES])
    (indexed,) = index_predictions(declare(predictions={"path": "log/*.csv"}), {}, settings, NOW)
    assert "a.csv:1: the header" in indexed.error


def test_empty_csv_and_unknown_suffix_are_named(declare, settings, tmp_path):
    (tmp_path / "log").mkdir()
    (tmp_path / "log/a.csv").write_bytes(b"")
    (tmp_path / "log/b.xlsx").write_bytes(b"?")
    errors = [f.error for f in index_predictions(declare(predictions={"path": "log/*"}), {}, settings, NOW)]
    assert "a.csv: is empty" in errors[0] and "b.xlsx: the suffix does not tell the format" in errors[1]


@pytest.mark.parametrize("suffix", ["jsonl", "ndjson.gz", "json.zst"])
def test_json_lines_with_broken_lines(declare, settings, tmp_path, suffix):
    put(tmp_path / f"log/a.{suffix}", [
        '{"id": 1, "at": "2024-03-01T01:00:00Z", "score": 0.5, "x": 1e3, "c": "é\\n", "b": true, "more": {"k": [1]}}',
        '{"id": 2, "at": "2024-03-01T02:00:00Z", "score": 0.5, "x": NaN, "b": null}',
        '{"id": 3, "at": "2024-03-01T02:00:00Z", "sco',
        "",
        "[1, 2]",
        '{"id": 4, "at": 1709262000, "score": "0.25", "x": -Infinity, "c": 7, "b": 0}',
    ])  # fmt: skip
    monitor = declare(predictions={"path": "log/*"})
    window = take_in_one(monitor, settings)
    assert (window.n_rows, window.quarantine, window.contract.extra) == (3, {"broken row": 2}, ("more",))
    assert [row["source_row"] for row in quarantined(settings, monitor)] == [3, 5]
    got = kept(monitor, settings, window, select="__id, __time::VARCHAR, x, c, b")
    assert got[0] == ("1", "2024-03-01 01:00:00", 1000.0, "é\n", "true")
    assert got[1][3:] == (None, None) and got[1][2] != got[1][2]
    assert got[2] == ("4", "2024-03-01 03:00:00", float("-inf"), "7", "false")


def test_declared_key_that_the_first_rows_lack_is_found_later(declare, settings, tmp_path):
    late = ', "c": "late"'
    lines = [
        f'{{"id": {i}, "at": "2024-03-01", "score": 0.5, "x": 1, "b": true{"" if i < 25_000 else late}}}'
        for i in range(25_001)
    ]
    put(tmp_path / "log/a.jsonl", lines)
    window = take_in_one(declare(predictions={"path": "log/*"}), settings)
    assert window.n_rows == 25_001 and window.contract.missing == ()


@pytest.mark.parametrize("name", ['"; drop table x; --', "it's", "a\\b", "ü n"])
def test_any_column_name_in_text(declare, settings, tmp_path, name):
    import json

    quoted = '"' + name.replace('"', '""') + '"'
    put(tmp_path / "log/a.csv", [HEADER.replace("x", quoted), *LINES])
    put(
        tmp_path / "log/b.jsonl",
        [json.dumps({"id": "j", "at": "2024-03-01", "score": 0.5, name: 9, "c": "a", "b": True})],
    )
    monitor = declare(schema={"numerical": [name]}, predictions={"path": "log/*"})
    window = take_in_one(monitor, settings)
    assert kept(monitor, settings, window, select=f"__id, {quoted}")[0] == ("j", 9.0)
    assert window.n_rows == 7 and window.contract.missing == ()


def test_truncated_gzip_is_named(declare, settings, tmp_path):
    path = put(tmp_path / "log/a.csv.gz", [HEADER, *LINES * 500])
    path.write_bytes(path.read_bytes()[:60])
    (indexed,) = index_predictions(declare(predictions={"path": "log/*"}), {}, settings, NOW)
    assert indexed.error and "a.csv.gz" in indexed.error


def test_window_of_a_csv_is_the_same_alone_and_among_many(declare, settings, tmp_path):
    days = [f"2024-03-{d:02}" for d in range(1, 12)]
    lines = [line.replace("2024-03-01", day).replace("r", f"r{day}-") for day in days for line in LINES]
    path = put(tmp_path / "log/a.csv", [HEADER, *lines])
    monitor = declare(predictions={"path": "log/*"})
    answers = take_in(monitor, settings)
    assert {key: w.n_rows for key, w in answers.items()} == dict.fromkeys(days, 6)
    from monitoring_pipeline.lake.ingestion import ingest_window

    assert ingest_window(monitor, DAY, [str(path)], settings.lake, settings, NOW) == answers["2024-03-01"]


@pytest.mark.parametrize("suffix", ["csv.gz", "jsonl"])
def test_a_file_larger_than_the_memory_is_cut_into_windows(declare, settings, tmp_path, suffix):
    columns, n, days = [f"x{i}" for i in range(28)], 40_000, 12
    settings = settings.model_copy(
        update={"duckdb_memory_limit": "100MB"}
    )  # the rows alone are 16 bytes a value, 20 MB
    path = tmp_path / f"log/a.{suffix}"
    path.parent.mkdir()
    hours = f"TIMESTAMP '2024-03-01' + INTERVAL 1 HOUR * (i * 7919 % {days * 24})"  # in no order
    numbers = ", ".join(f"hash(i + {at})::VARCHAR AS {name}" for at, name in enumerate(columns))
    options = "FORMAT csv, COMPRESSION gzip" if suffix == "csv.gz" else "FORMAT json"
    duckdb.sql(f"COPY (SELECT 'r' || i AS id, {hours} AS at, 0.5 AS score, {numbers} FROM range({n}) t(i))"
               f" TO '{path}' ({options})")  # fmt: skip
    monitor = declare({"numerical": columns, "categorical": [], "boolean": []}, predictions={"path": "log/*"})
    answers = take_in(monitor, settings)
    assert len(answers) == days
    assert sum(w.n_rows for w in answers.values()) == n


def test_format_may_be_declared(declare, settings, tmp_path):
    put(tmp_path / "log/a.data", [HEADER, *LINES])
    assert take_in_one(declare(predictions={"path": "log/*", "format": "csv"}), settings).n_rows == 6
    with pytest.raises(SourceError, match=r"a\.data"):
        from monitoring_pipeline.lake.sources.files import file_format

        file_format(str(tmp_path / "log/a.data"), None)
