"""A column may have any name, also one that occurs in our own SQL: results are those of harmless names."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from typer.testing import CliRunner

from monitoring_pipeline.cli.app import app
from monitoring_pipeline.lake import duck
from monitoring_pipeline.monitors.loading import load_monitor
from monitoring_pipeline_tests import front_door, toy
from monitoring_pipeline_tests.front_door import FrontDoor

FORMATS = ("parquet", "csv", "jsonl")
ROLES = ("id", "at", "version", "score", "predicted", "region", "y", "known")
ODD = (
    "Age", "age", "AGE", "select", "SELECT", "a b", " a", "a.b", 'a"b', "a'b", "a%b", "a:b", "a\\b", "{a}", "{", "%s",
    "%(a)s", ":a", "$1", "?", "a;b", "--", "/*", "a,b", "a\tb", "a|b", "[a]", "a~b", "a/b", "a~1b", "É", "é",
    "ß", "ẞ", "İ", "💥", "n" * 200, "N" * 200, "index", "level_0", "__index_level_1__", "__class__", "__dict__",
    "self", "None", "True", "nan", "_column_61", "_COLUMN_61", "a", "column_0", "__column_0", "__c0", "C4",
    "file_row_number", "FILENAME", "file_index", "rowid", "hive_partitioning", "reason", "source_file",
    "source_row", "text", "TEXT", "json", "column0", "input_errors", "a_1", "A_1", "__reason", "__id", "__ID",
)  # fmt: skip


# -- what the SQL says ---------------------------------------------------------------------------------------------


class Listening:
    """A connection that notes each statement."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, heard: set[str]) -> None:
        self._connection, self._heard = connection, heard

    def __getattr__(self, name: str) -> Any:
        own = getattr(self._connection, name)
        if name not in ("execute", "sql"):
            return own

        def noted(statement: str, *arguments: Any, **options: Any) -> Any:
            self._heard.add(statement)
            return own(statement, *arguments, **options)

        return noted


@contextmanager
def statements() -> Iterator[set[str]]:
    """The SQL that DuckDB is sent meanwhile."""
    heard: set[str] = set()
    real = duck.connect
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(duck, "connect", lambda *given: Listening(real(*given), heard))
        yield heard


def identifiers(heard: set[str]) -> set[str]:
    """Every word of the statements that is no part of a text, in lower case."""
    words: set[str] = set()
    for statement in heard:
        words |= set(re.findall(r"[A-Za-z_][A-Za-z_0-9]*", re.sub(r"'(?:[^']|'')*'", "''", statement)))
    # Of numbered aliases the first two stand for all; `1e9` is a number.
    return {w.lower() for w in words if not re.fullmatch(r"__\w*?([2-9]|\d{2,})(_\d+)?|zz_\d+|e\d+", w)}


# -- frames --------------------------------------------------------------------------------------------------------


@dataclass
class Frames:
    """A toy whose ``names`` are features, every second one numerical; ``turn`` 1 gives them the other type.

    ``roles``: what the columns of ``ROLES`` are called, in that order.
    """

    base: Path
    names: Sequence[str]
    suffix: str
    turn: int = 0
    roles: Sequence[str] = ROLES

    @property
    def numerical(self) -> list[str]:
        return [n for i, n in enumerate(self.names) if i % 2 == self.turn]

    @property
    def categorical(self) -> list[str]:
        return [n for i, n in enumerate(self.names) if i % 2 != self.turn]

    def write(self) -> Path:
        """A reference, a day of log, its labels, a row whose score is none; and the declaration."""
        source = toy.Toy(self.base, name="names")
        day = source.rows(0, 60)
        day.loc[7, "score"] = 7.0  # a row for the quarantine
        before = source.rows(toy.START - timedelta(days=10), 120)
        called = dict(zip(ROLES, self.roles, strict=True))
        self._put(before[[*ROLES[:7]]], "reference", "reference")
        self._put(day[[*ROLES[:6]]], "log", "day")
        labels = pd.DataFrame({"id": day["id"], "y": day["y"], "known": day["at"] + timedelta(hours=20)})
        write([called[c] for c in labels.columns], labels, self.base / f"truth/day.{self.suffix}")
        declaration = source.declaration() | {"segments": [called["region"]], "bins": 5}
        schema = {k: called.get(v, v) for k, v in declaration["schema"].items() if isinstance(v, str)}
        declaration["schema"] = schema | {"numerical": self.numerical, "categorical": self.categorical}
        for section in ("ground_truth", "reference"):
            declaration[section] = {k: called.get(v, v) for k, v in declaration[section].items()}
        declaration["predictions"]["path"] = f"../log/*.{self.suffix}"
        declaration["reference"]["path"] = f"../reference/*.{self.suffix}"
        declaration["ground_truth"]["path"] = f"../truth/*.{self.suffix}"
        source.yaml.parent.mkdir(parents=True, exist_ok=True)
        source.yaml.write_text(json.dumps(declaration, default=str, ensure_ascii=False))
        return source.yaml

    def _put(self, rows: pd.DataFrame, directory: str, name: str) -> None:
        rng = np.random.default_rng([len(rows), zlib(name)])
        values = {}
        for i, _ in enumerate(self.names):
            drawn = rng.integers(0, 9, len(rows))
            values[f"f{i}"] = drawn + 0.5 if i % 2 == self.turn else np.array(list("abcdefghi"))[drawn]
        frame = pd.concat([rows.reset_index(drop=True), pd.DataFrame(values)], axis=1)
        called = dict(zip(ROLES, self.roles, strict=True))
        write([*(called[c] for c in rows.columns), *self.names], frame, self.base / directory / f"{name}.{self.suffix}")


def zlib(text: str) -> int:
    return sum(map(ord, text))


def write(names: Sequence[str], frame: pd.DataFrame, path: Path) -> None:
    """The frame's columns under ``names``, which need not differ to a case-insensitive eye."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".parquet":
        table = pa.Table.from_pandas(frame, preserve_index=False)
        pq.write_table(table.rename_columns(list(names)), path)
    elif path.suffix == ".csv":
        frame.to_csv(path, index=False, header=list(names))
    else:
        plain = frame.astype({c: str for c in frame.columns if frame[c].dtype.kind == "M"})
        lines = [json.dumps(dict(zip(names, row, strict=True))) for row in plain.itertuples(index=False)]
        path.write_text("\n".join(lines) + "\n")


def harmless(names: Sequence[str]) -> list[str]:
    return [f"zz_{i}" for i in range(len(names))]


# -- the doors -----------------------------------------------------------------------------------------------------


def ran(door: FrontDoor, frames: Frames) -> dict[str, list[tuple[Any, ...]]]:
    """What the views say after a run, the features by their number; and the quarantine."""
    monitor = load_monitor(frames.write())
    assert door.run(monitor, 0) is None
    number = {name: f"#{i}" for i, name in enumerate(frames.names)}
    number |= {name: role for name, role in zip(frames.roles, ROLES, strict=True) if name != role}
    said: dict[str, list[tuple[Any, ...]]] = {}
    for view in front_door.VIEWS:
        found = door.query(f"select * from monitoring.{view}")
        left_out = {*front_door.WHEN, "data_version", "config_version", "layout_id", "summary"}
        found = found.drop(columns=[c for c in found.columns if c in left_out])
        if "column_name" in found:
            found["column_name"] = found["column_name"].map(lambda c: number.get(c, c))
        if "segment" in found:
            found["segment"] = found["segment"].str.replace(f"{frames.roles[ROLES.index('region')]}=", "region=")
        found = found.map(lambda v: float(f"{v:.10g}") if isinstance(v, float) else v)
        said[view] = sorted(tuple(map(str, row)) for row in found.itertuples(index=False))
    aside = duckdb.sql(
        f"SELECT * FROM read_parquet('{door.settings.lake}/names/quarantine/**/*.parquet', hive_partitioning = false)"
    ).to_arrow_table()
    assert aside.num_columns == len(aside.column_names) == 4 + 6 + len(frames.names) + 1
    said["quarantine"] = [
        tuple(str(v) for v in row.values())
        for row in aside.drop_columns(["__version", "__window", "source_file"]).to_pylist()
    ]
    return said


def command(*arguments: str) -> Any:
    return CliRunner().invoke(app, list(arguments))


def compared(door: FrontDoor, names: Sequence[str], suffix: str, turn: int = 0, roles: Sequence[str] = ROLES) -> None:
    with front_door.fresh_door(door) as other:
        expected = ran(other, Frames(door.base / "harmless", harmless(names), suffix, turn))
    frames = Frames(door.base / "odd", names, suffix, turn, roles)
    got = ran(door, frames)
    checked(frames)
    if roles == ROLES:  # the others tell `init` nothing
        drafted(frames)
    assert [view for view in expected if not expected[view]] == []
    for view, rows in expected.items():
        assert got[view] == rows, view


_HEARD: list[str] = []


@pytest.fixture
def ours(door: FrontDoor, tmp_path: Path) -> list[str]:
    """Identifiers in the SQL of a run, of ``init`` and of ``validate``, over all formats; listened to once."""
    if not _HEARD:
        words: set[str] = set()
        for suffix in FORMATS:
            frames = Frames(tmp_path / f"heard {suffix}", harmless("abcd"), suffix)
            with front_door.fresh_door(door) as other, statements() as heard:
                ran(other, frames)
                drafted(frames)
                checked(frames)
            words |= identifiers(heard)
        _HEARD.extend(sorted(words - set(ROLES)))
    return list(_HEARD)


def checked(frames: Frames) -> str:
    """What ``validate`` finds: the row without a probability, and nothing else."""
    answer = command("validate", str(frames.base / "monitors/names.yaml"))
    assert isinstance(answer.exception, SystemExit), answer.exception
    (line,) = [said for said in answer.output.splitlines() if ": note: " not in said]
    assert f"{frames.roles[ROLES.index('score')]!r} runs from" in line
    return line


def drafted(frames: Frames) -> dict[str, Any]:
    """What ``init`` writes of these sources."""
    out = frames.base / "drafted.yaml"
    sources = {"predictions": "log", "ground-truth": "truth"}  # a reference has the columns of the log
    options = [part for name, path in sources.items() for part in (f"--{name}", str(frames.base / path))]
    answer = command("init", "drafted", *options, "--out", str(out), "--force")
    assert answer.exit_code == 0, answer.output
    return yaml.safe_load(out.read_text())


@pytest.mark.slow
@pytest.mark.parametrize(("suffix", "turn", "case"), [("csv", 1, str.upper)])
def test_columns_called_as_anything_in_our_sql(door, ours, suffix, turn, case):
    assert {"select", "__source", "__lines", "count"} <= set(ours)
    assert len(ours) > 150
    compared(door, [case(word) for word in ours], suffix, turn)


@pytest.mark.slow
def test_columns_called_as_our_aliases_in_both_cases(door, ours):
    aliases = [word for word in ours if word.startswith("__")]
    assert len(aliases) > 50
    compared(door, [form for word in aliases for form in (word, word.upper())], "jsonl")


TAKEN = {
    "ours": ("__id", "__time", "__version", "__score", "__prediction", "__window", "__outcome", "__label_time"),
    "others of ours": ("__time", "__id", "__prediction", "__outcome", "__score", "__version", "__utc", "__row"),
    "words": ("select", "order", "group", "value", "count", "category", "null", "timestamp"),
    "of the quarantine and DuckDB": ("rowid", "filename", "file_row_number", "text", "reason", "source_row", "n", "k"),
}


@pytest.mark.slow
@pytest.mark.parametrize("taken", TAKEN)
def test_roles_called_as_anything(door, taken):
    compared(door, ["x", "z", "w", "u"], FORMATS[list(TAKEN).index(taken) % 3], roles=TAKEN[taken])


@pytest.mark.slow
@pytest.mark.parametrize("suffix", ["parquet"])
def test_columns_with_odd_names(door, suffix):
    compared(door, [*ODD, *([""] if suffix != "csv" else [])], suffix, 0)
