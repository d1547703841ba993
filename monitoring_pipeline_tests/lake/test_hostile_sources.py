"""Files that are none, lead in circles, or are wider than anyone reads: one sentence, soon."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from monitoring_pipeline.cli.app import app, main
from monitoring_pipeline.errors import SourceError
from monitoring_pipeline.lake.sources import files, text
from monitoring_pipeline.lake.sources.files import list_files
from monitoring_pipeline.monitors.declaration import Source
from monitoring_pipeline_tests import toy


def listed(pattern: str, base: Path) -> list[str]:
    return [str(Path(path).relative_to(base.resolve())) for path in list_files(Source(path=pattern), base)]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in ("a.parquet", "x/b.parquet", "x/y/c.parquet", "x/y/d.csv", ".hidden/e.parquet"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    return tmp_path


def test_two_stars_cross_directories_as_before(tree: Path) -> None:
    assert listed("**/*.parquet", tree) == ["a.parquet", "x/b.parquet", "x/y/c.parquet"]
    assert listed("x/**", tree) == ["x/b.parquet", "x/y/c.parquet", "x/y/d.csv"]
    assert listed("**/y/**/*.csv", tree) == ["x/y/d.csv"]
    assert listed("nothing/**/*.csv", tree) == []


def test_links_in_a_circle_are_entered_once(tree: Path) -> None:
    for directory in (tree, tree / "x", tree / "x" / "y"):  # without an end in any order: 3 ** 40 paths
        for number, target in enumerate((tree, tree / "x", tree / "x" / "y")):
            (directory / f"loop{number}").symlink_to(target)
    (tree / "broken").symlink_to(tree / "nothing")
    (tree / "itself.parquet").symlink_to(tree / "itself.parquet")
    assert listed("**/*.parquet", tree) == ["a.parquet", "x/b.parquet", "x/y/c.parquet"]


def test_two_stars_over_everything_is_refused(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MOST_DIRECTORIES", 2)
    with pytest.raises(SourceError, match="more than 2 directories; write a narrower `path`"):
        listed("**/*.parquet", tree)


def test_what_cannot_be_read_by_its_name_is_left_out_behind_a_pattern(
    tree: Path, caplog: pytest.LogCaptureFixture
) -> None:
    os.mkfifo(tree / "x" / "pipe.parquet")
    (tree / "x" / "zero.parquet").symlink_to("/dev/zero")
    (tree / "x" / "b\udcff.parquet").write_bytes(b"")
    for _ in range(2):
        assert listed("x/*.parquet", tree) == ["x/b.parquet"]
    said = sorted(record.getMessage() for record in caplog.records)
    assert len(said) == 3, "each is said once"
    assert "x/b\\udcff.parquet is left out: it has a name that is not UTF-8; rename the file" in said[0]
    assert all("is left out: it is a pipe or a device" in one for one in said[1:])


def test_a_pipe_or_device_that_is_named_is_refused(tree: Path) -> None:
    os.mkfifo(tree / "x" / "pipe.parquet")
    (tree / "zero.csv").symlink_to("/dev/zero")
    for name in ("x/pipe.parquet", "zero.csv"):
        with pytest.raises(SourceError, match=rf"{name}: it is a pipe or a device, which may never end"):
            listed(name, tree)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("id,at," + "w" * 140_000 + "\n1,2,3\n", "the header cannot be read (field larger than field limit"),
        (",".join(f"c{i}" for i in range(2_000)) + "\n", "has 2,000 columns; a text file may have 1,500"),
    ],
)
def test_a_header_that_nobody_reads_is_one_sentence(content: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(content)
    with pytest.raises(SourceError, match=said.replace("(", r"\(")):
        text.csv_header(str(path), None)
    names, _ = text.csv_header(str(_written(tmp_path / "cr.csv", b"id,at\r1,2\r")), None)
    assert names == ["id", "at"]
    assert csv.field_size_limit() == 131_072, "the limit is the process's; others rely on it"


def _written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def test_a_line_of_too_many_keys_is_set_aside_and_the_rest_is_read(tmp_path: Path) -> None:
    rows = [{"id": f"i{i}", "at": f"2024-03-01T{i % 24:02}:00:00", "score": 0.5} for i in range(30)]
    lines = [json.dumps(row) for row in rows]
    lines[7:7] = [json.dumps({f"k{i}": i for i in range(30_000)}), "[" * 3_000]
    log = _written(tmp_path / "log.jsonl", "\n".join(lines).encode())
    done = CliRunner().invoke(
        app,
        ["--home", str(tmp_path / "home"), "init", "x", "--predictions", str(log), "--out", str(tmp_path / "x.yaml")],
    )
    assert done.exit_code == 0, done.output
    drafted = (tmp_path / "x.yaml").read_text()
    assert "score: score" in drafted and "k29999" not in drafted


def test_too_little_memory_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import duckdb

    from monitoring_pipeline.cli import declare

    def fail(*_: object) -> None:
        raise duckdb.OutOfMemoryException("failed to pin block")

    monkeypatch.setattr(declare, "monitor_named", fail, raising=False)
    monkeypatch.setattr("monitoring_pipeline.lake.inspection.summarize", fail)
    monkeypatch.setattr(
        "sys.argv", ["monitoring-pipeline", "--home", str(tmp_path), "init", "x", "--predictions", "a.csv"]
    )
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1
    assert "set MONITORING_DUCKDB_MEMORY to more" in capsys.readouterr().err


def test_a_label_file_with_a_damaged_footer_is_named_and_the_others_are_read(tmp_path: Path) -> None:
    """A text in the footer that only its metadata holds: DuckDB reads the columns, and fails on the file's maker."""
    from monitoring_pipeline.lake.sources.index import index_labels
    from monitoring_pipeline.settings import Settings

    made, monitor = toy.ready(tmp_path, 2)
    path = made.base / "truth" / "2024-03-01.parquet"
    content = path.read_bytes()
    at = content.rindex(b"parquet-cpp-arrow")
    path.write_bytes(content[:at] + b"\xff\xfe\xff" + content[at + 3 :])
    found = index_labels(monitor, {}, Settings(home=tmp_path / "home"))
    assert [bool(one.error) for one in found] == [True, False]
    assert "2024-03-01.parquet: cannot be read" in (found[0].error or "") and found[1].n_rows == toy.N_ROWS


@pytest.mark.parametrize("delimiter", ["", ",,", '"', "\n", "ä"])
def test_a_delimiter_is_one_character(delimiter: str) -> None:
    with pytest.raises(ValueError, match="`delimiter` is one ASCII character"):
        Source(path="a.csv", delimiter=delimiter)
