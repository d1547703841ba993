"""Bad inputs: a small monitor that is right, and one thing, or two, done to it. The same seed makes the same files."""

from __future__ import annotations

import json
import os
import random
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

N_ROWS = 60
NASTY_TEXTS = (
    "",
    " ",
    "$$",
    "a'b",
    'a"b',
    "a\\b",
    "%s",
    "{}",
    "{a}",
    "a\nb",
    "a;b",
    "ä",
    "\u202e",
    "😀",
    "file_row_number",
    "filename",
    "rowid",
    "__x",
    "select",
    "NULL",
    "nan",
    "*",
    "?",
    "[a]",
    "../a",
    "~",
    "-",
    "--help",
    "A" * 5_000,
    "a,b",
    "\ufeffa",
    "𝒳",
)
NASTY_VALUES: tuple[Any, ...] = (
    None,
    [],
    {},
    [[]],
    {"a": {"b": {}}},
    -1,
    0,
    1,
    10**30,
    -(10**30),
    1e308,
    1e-320,
    True,
    False,
    "yes",
    "no",
    "2024-13-45",
    "2024-03-01",
    "1e999",
    ["a"] * 50,
    {"a": 1},
    [None],
    "0x1F",
    "${HOME}",
    "${NOT_SET_ANYWHERE}",
    *NASTY_TEXTS,
)
NASTY_CELLS: tuple[Any, ...] = (
    "",
    "NA",
    "NULL",
    "nan",
    "inf",
    "-inf",
    "1e400",
    "0x10",
    "1,5",
    "1_000",
    "yes",
    "TRUE",
    "2024-03-01",
    "1e308",
    "-1e308",
    "9" * 400,
    "x" * 20_000,
    "ä",
    "😀",
    "a\nb",
    'a"b',
    "'",
    "\\",
    "1970-01-01T00:00:00+99:00",
    "9999-12-31",
    "-4713-01-01",
    "24:61",
)
# What a table of files is called, by what the monitor says of it.
LOG, TRUTH, REFERENCE = "log/a", "truth/a", "reference"


@dataclass
class Case:
    """One input below ``base``. ``expected``: exit code by command, where it is known."""

    base: Path
    name: str
    draw: random.Random
    declared: dict[str, Any] = field(default_factory=dict)
    environment: dict[str, str | None] = field(default_factory=dict)
    options: list[str] = field(default_factory=list)
    expected: dict[str, int] = field(default_factory=dict)
    pictures: bool = False
    home: str | None = None

    @property
    def yaml(self) -> Path:
        return self.base / "monitors" / f"{self.name}.yaml"

    def file(self, table: str) -> Path:
        return next(self.base.glob(f"{table}.*"))

    def sources(self) -> dict[str, str]:
        return {
            "--predictions": str(self.base / "log"),
            "--ground-truth": str(self.base / "truth"),
            "--reference": str(self.base / f"reference.{self.suffix}"),
        }

    suffix: str = "parquet"


def make(base: Path, name: str, seed: int, kind: str | None = None) -> tuple[str, Case]:
    """(what was done, the case); its files are written."""
    draw = random.Random(f"{seed} {name}")
    chosen = kind or draw.choices(list(KINDS), [KINDS[one][1] for one in KINDS])[0]
    case = Case(base, name, draw)
    case.suffix = "csv" if chosen.startswith("csv") else "jsonl" if chosen.startswith("json") else "parquet"
    _write_rows(case)
    _declare(case)
    KINDS[chosen][0](case)
    return chosen, case


def _write_rows(case: Case) -> None:
    draw = random.Random(case.name)
    n = N_ROWS
    x = [draw.gauss(0, 1) for _ in range(n)]
    at = pd.Timestamp("2024-03-01") + pd.to_timedelta([1_000 * i for i in range(n)], unit="s")
    frame = pd.DataFrame({"id": [f"i{i}" for i in range(n)], "at": at, "x": x, "c": [draw.choice("uvw") for _ in x]})
    frame["score"] = [min(1.0, max(0.0, 0.5 + v / 6)) for v in x]
    frame["y"] = [int(draw.random() < s) for s in frame["score"]]
    for table, rows in (
        (LOG, frame.drop(columns="y")),
        (TRUTH, frame[["id", "y"]]),
        (REFERENCE, pd.concat([_days_before(frame, days) for days in (9, 8, 7)])),
    ):
        path = case.base / f"{table}.{case.suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        write(rows, path)


def _days_before(rows: pd.DataFrame, days: int) -> pd.DataFrame:
    return rows.assign(at=rows["at"] - pd.Timedelta(days=days), id=rows["id"] + f"-{days}")


def write(rows: pd.DataFrame, path: Path) -> None:
    if path.suffix == ".parquet":
        rows.to_parquet(path, index=False)
    elif path.suffix == ".csv":
        rows.to_csv(path, index=False)
    else:
        rows.to_json(path, orient="records", lines=True, date_format="iso")


def _declare(case: Case) -> None:
    glob = f"*.{case.suffix}"
    case.declared = {
        "name": case.name,
        "task": "binary",
        "schema": {
            "prediction_id": "id",
            "event_time": "at",
            "score": "score",
            "numerical": ["x"],
            "categorical": ["c"],
        },
        "predictions": {"path": f"../log/{glob}"},
        "ground_truth": {"path": f"../truth/{glob}", "outcome": "y"},
        "reference": {"path": f"../reference.{case.suffix}", "outcome": "y"},
        "start": "2024-03-01",
        "end": "2024-03-02",
    }
    save(case)


def save(case: Case) -> None:
    case.yaml.parent.mkdir(parents=True, exist_ok=True)
    case.yaml.write_text(json.dumps(case.declared, indent=1, default=str), encoding="utf-8", errors="surrogatepass")


# -- what is done to it ------------------------------------------------------------------------------------------------


def intact(case: Case) -> None:
    """Nothing: every command succeeds."""
    case.expected = {"init": 0, "validate": 0, "run": 0, "reference": 0}


def yaml_value(case: Case) -> None:
    """Some value of the declaration is another."""
    section: Any = case.declared
    for _ in range(case.draw.randint(1, 3)):
        keys = [k for k in section if not (section is case.declared and k == "name")]
        key = case.draw.choice(keys)
        if isinstance(section[key], dict) and case.draw.random() < 0.7:
            section = section[key]
        else:
            section[key] = case.draw.choice(NASTY_VALUES)
            break
    save(case)


def yaml_more(case: Case) -> None:
    """A key that is not there by itself, with some value."""
    keys = (
        "thresholds",
        "labels",
        "alarms",
        "retention",
        "retrain",
        "segments",
        "baselines",
        "rollups",
        "bins",
        "owner",
        "max_categories",
        "window",
        "parity",
        "evidently",
        "paused",
        "description",
        "unknown",
    )
    inner = ("drift", "columns", "coverage", "max_delay", "budget", "profiles", "enabled", "estimator", "performance")
    value = case.draw.choice(NASTY_VALUES)
    case.declared[case.draw.choice(keys)] = value if case.draw.random() < 0.5 else {case.draw.choice(inner): value}
    save(case)


def yaml_missing(case: Case) -> None:
    """A key is missing."""
    section = case.declared["schema"] if case.draw.random() < 0.4 else case.declared
    del section[case.draw.choice([key for key in section if key != "name"])]
    save(case)


def yaml_bytes(case: Case) -> None:
    """Bytes of the file are changed, removed, repeated."""
    content = bytearray(case.yaml.read_bytes())
    for _ in range(case.draw.randint(1, 8)):
        at = case.draw.randrange(len(content))
        match case.draw.randrange(4):
            case 0:
                content[at] = case.draw.randrange(256)
            case 1:
                del content[at : at + case.draw.randint(1, 30)]
            case 2:
                content[at:at] = bytes(
                    case.draw.choices(b"\0\xff{}[]:,&*!|>'\"%@`#\t\r\n-?", k=case.draw.randint(1, 12))
                )
            case _:
                content[at:at] = content[max(0, at - 40) : at]
        if not content:
            break
    case.yaml.write_bytes(bytes(content))


def yaml_bomb(case: Case) -> None:
    """Few lines that stand for a billion values."""
    n = case.draw.randint(4, 10)
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * n)}]" for i in range(1, 10)]
    used = json.loads(case.yaml.read_text())
    del used["start"]
    body = "".join(f"{key}: {json.dumps(value)}\n" for key, value in used.items())
    where = case.draw.choice(("segments", "baselines", "rollups", "description", "start"))
    case.yaml.write_text("\n".join(lines) + f"\n{body}{where}: *a9\n")
    case.expected = {"validate": 1, "run": 1, "reference": 1}


def yaml_wide(case: Case) -> None:
    """Thousands of columns that the log does not have."""
    n = case.draw.choice((500, 3_000, 50_000))
    case.declared["schema"]["numerical"] = [f"n{i}" for i in range(n)]
    save(case)
    case.expected = {"validate": 1, "run": 1}


def csv_bytes(case: Case) -> None:
    """Bytes of a text file are changed."""
    path = case.file(case.draw.choice((LOG, TRUTH, REFERENCE)))
    content = bytearray(path.read_bytes())
    for _ in range(case.draw.randint(1, 20)):
        at = case.draw.randrange(len(content))
        if case.draw.random() < 0.5:
            content[at] = case.draw.randrange(256)
        else:
            content[at:at] = bytes(case.draw.choices(b'\0\xff\xfe",;\t|\r\n\x1a\\', k=case.draw.randint(1, 6)))
    path.write_bytes(bytes(content))


def csv_shape(case: Case) -> None:
    """A text file that is hardly one."""
    path = case.file(case.draw.choice((LOG, TRUTH, REFERENCE)))
    text = path.read_text()
    header, _, rest = text.partition("\n")
    shapes: list[Callable[[], bytes]] = [
        lambda: b"",
        lambda: b"\n\n\n",
        lambda: header.encode(),
        lambda: rest.encode(),
        lambda: text.replace("\n", "\r").encode(),
        lambda: text.replace("\n", "\r\n").encode(),
        lambda: text.encode("utf-16"),
        lambda: b"\xef\xbb\xbf" + text.encode(),
        lambda: (",".join(f"h{i}" * 20 for i in range(2_500)) + "\n" + rest).encode(),
        lambda: (f"{header},{'w' * 140_000}\n{rest}").encode(),
        lambda: text.replace(",", case.draw.choice(";\t|:~^ ")).encode(),
        lambda: (header.replace("x", "score") + "\n" + rest).encode(),
        lambda: (header.replace("id", "") + "\n" + rest).encode(),
        lambda: case.draw.randbytes(5_000),
        lambda: b"PK\x03\x04" + case.draw.randbytes(500),
        lambda: b"\x1f\x8b\x08" + case.draw.randbytes(500),
        lambda: (text + '"unclosed ' + "z" * 3_000).encode(),
        lambda: (text + ",".join("extra" * 3 for _ in range(40)) + "\n").encode(),
        lambda: ("#" * 2_000_000 + "\n" + text).encode(),
    ]
    path.write_bytes(case.draw.choice(shapes)())


def csv_cells(case: Case) -> None:
    """Values that do not belong where they are."""
    path = case.file(case.draw.choice((LOG, TRUTH, REFERENCE)))
    rows = pd.read_csv(path, dtype=str)
    for _ in range(case.draw.randint(1, 30)):
        rows.iat[case.draw.randrange(len(rows)), case.draw.randrange(rows.shape[1])] = case.draw.choice(NASTY_CELLS)
    rows.to_csv(path, index=False)


def column_names(case: Case) -> None:
    """Columns with names that somewhere mean something else."""
    names = {
        "x": case.draw.choice(NASTY_TEXTS),
        "c": case.draw.choice(NASTY_TEXTS),
        "id": case.draw.choice(("id", "$$", "%")),
    }
    for table in (LOG, TRUTH, REFERENCE):
        path = case.file(table)
        rows = pd.read_parquet(path).rename(columns=names)
        if rows.columns.is_unique:
            write(rows, path)
    schema = case.declared["schema"]
    schema |= {"numerical": [names["x"]], "categorical": [names["c"]], "prediction_id": names["id"]}
    case.pictures = case.draw.random() < 0.3
    save(case)


def parquet_bytes(case: Case) -> None:
    """Damaged pages under a whole footer, a damaged footer, half a file."""
    path = case.file(case.draw.choice((LOG, TRUTH, REFERENCE)))
    content = bytearray(path.read_bytes())
    match case.draw.randrange(5):
        case 0:
            del content[case.draw.randrange(len(content)) :]
        case 1:
            for _ in range(case.draw.randint(1, 400)):
                content[case.draw.randrange(4, len(content) * 2 // 3)] = case.draw.randrange(256)
        case 2:
            for _ in range(case.draw.randint(1, 20)):
                content[-case.draw.randint(1, len(content) // 3)] = case.draw.randrange(256)
        case 3:
            content[:] = b"PAR1" + case.draw.randbytes(300) + b"PAR1"
        case _:
            start = case.draw.randrange(4, len(content) // 2)
            content[start : start + 800] = bytes(min(800, len(content) - start))
    path.write_bytes(bytes(content))


def parquet_types(case: Case) -> None:
    """A column of a type nobody thinks of."""
    path = case.file(case.draw.choice((LOG, REFERENCE)))
    rows = pd.read_parquet(path)
    column = case.draw.choice(list(rows.columns))
    n = len(rows)
    types: list[Callable[[], Any]] = [
        lambda: [[1, 2]] * n,
        lambda: [{"a": 1}] * n,
        lambda: [b"\xff\xfe"] * n,
        lambda: [None] * n,
        lambda: pd.Series([1] * n),
        lambda: pd.to_timedelta(range(n), unit="s"),
        lambda: pd.Categorical(["a"] * n),
        lambda: [float("inf")] * n,
        lambda: [2**63 - 1] * n,
        lambda: pd.array([2**64 - 1] * n, dtype="uint64"),
        lambda: [float("nan")] * n,
        lambda: pd.date_range("1700-01-01", periods=n),
        lambda: pd.date_range("2250-01-01", periods=n),
        lambda: ["x" * 100_000] * n,
        lambda: pd.date_range("2024-03-01", periods=n, tz="Asia/Kathmandu"),
        lambda: [True] * n,
        lambda: ["\ud7ff\x00"] * n,
    ]
    rows[column] = case.draw.choice(types)()
    write(rows, path)


def json_lines(case: Case) -> None:
    """Lines that are JSON, or nearly, and no rows."""
    path = case.file(case.draw.choice((LOG, TRUTH, REFERENCE)))
    lines = path.read_text().splitlines()
    wide = json.dumps({f"k{i}": i for i in range(30_000)})
    bad = [
        "",
        "null",
        "[]",
        "1",
        '"a"',
        "{",
        '{"id": }',
        '{"id": "a", "id": "b"}',
        '{"x": NaN}',
        "[" * 3_000,
        wide,
        '{"x": 1e999}',
        '{"id": {"a": [1, {"b": 2}]}}',
        "\0",
        '{"at": 5}',
        '{"x": "' + "z" * 500_000 + '"}',
        '{"": 1}',
        '{"\\ud800": 1}',
    ]
    for _ in range(case.draw.randint(1, 3)):
        lines.insert(case.draw.randrange(len(lines) + 1), case.draw.choice(bad))
    path.write_text("\n".join(lines))


def paths(case: Case) -> None:
    """Things that are no files behind the glob."""
    log = case.base / "log"
    rows = case.file(LOG).read_bytes()
    odd: list[Callable[[], Any]] = [
        lambda: os.mkfifo(log / f"pipe.{case.suffix}"),
        lambda: (log / "loop").symlink_to(log),
        lambda: (log / f"broken.{case.suffix}").symlink_to(log / "nothing"),
        lambda: (log / f"self.{case.suffix}").symlink_to(log / f"self.{case.suffix}"),
        lambda: (log / f"directory.{case.suffix}").mkdir(),
        lambda: (log / f"zero.{case.suffix}").symlink_to("/dev/zero"),
        lambda: (log / f"b\udcff\udcfe.{case.suffix}").write_bytes(b""),
        lambda: (log / f"a'b\n[c] *?.{case.suffix}").write_bytes(rows),
        lambda: (log / f"a.{case.suffix}").rename(log / f"{'n' * 240}.{case.suffix}"),
    ]
    for make_one in case.draw.sample(odd, case.draw.randint(1, 3)):
        make_one()
    pattern = case.draw.choice(
        ("../log/*.parquet", "../log/**", "../log/**/*.parquet", "../log", "../**/*.parquet", "../log/[a")
    )
    case.declared["predictions"]["path"] = pattern
    save(case)


def addresses(case: Case) -> None:
    """Sources that are not there, or not what they are called."""
    database = case.base / "a.sqlite"
    with sqlite3.connect(database) as connection:
        connection.execute('create table "a b" (id text, at text, x text, c text, score text)')
        connection.execute('insert into "a b" values (?, ?, ?, ?, ?)', ("i", "2024-03-01 00:00", "é", None, "nan"))
    damaged = case.base / "damaged.sqlite"
    damaged.write_bytes(b"SQLite format 3\0" + case.draw.randbytes(4_000))
    choices: list[dict[str, Any]] = [
        {"url": "sqlite:///../a.sqlite", "table": '"a b"'},
        {"url": "sqlite:///../a.sqlite", "table": "a b"},
        {"url": "sqlite:///../damaged.sqlite", "table": "t"},
        {"url": "postgresql://u:s3cr3t@127.0.0.1:9/d", "table": "t"},
        {"url": "postgresql://u:s3cr3t@127.0.0.1:99999/d", "table": "t"},
        {"url": "postgresql://u:s3cr3t@127.0.0.1:x/d", "table": "t"},
        {"url": "mysql://u:s3cr3t@h/d", "table": "t"},
        {"url": "://", "table": "t"},
        {"url": "nonsense", "table": ""},
        {"path": "/dev/null"},
        {"path": "/proc/self/mem"},
        {"path": "/proc/kmsg"},
        {"path": "/"},
        {"path": "s3://bucket/x.parquet"},
        {"path": "nosuch://a/b.parquet"},
        {"path": "file:///nothing/*.parquet"},
        {"path": []},
        {"path": ["../log/*.parquet", ""]},
        {"path": "../log/*.parquet", "delimiter": ",,"},
        {"path": "../log/*.parquet", "format": "csv", "delimiter": "\u0000x"},
        {"path": "../log/*.parquet", "format": "csv"},
        {"path": "../log/*.parquet", "format": "jsonl"},
        {"path": "memory://x/*.csv"},
    ]
    case.declared[case.draw.choice(("predictions", "reference"))] = case.draw.choice(choices)
    save(case)


def environment(case: Case) -> None:
    """Variables and options that make no sense."""
    odd: list[dict[str, str | None]] = [
        {"MONITORING_DUCKDB_MEMORY": "lots"},
        {"MONITORING_DUCKDB_MEMORY": "-1"},
        {"MONITORING_DUCKDB_THREADS": "zero"},
        {"MONITORING_DUCKDB_THREADS": "-3"},
        {"MONITORING_DATABASE_PATIENCE": "soon"},
        {"MONITORING_ENGINE": "abacus"},
        {"MONITORING_LAKE": "nosuch://x"},
        {"MONITORING_LAKE": "/proc/nothing"},
        {"MONITORING_LAKE": ""},
        {"TZ": "Mars/Base"},
        {"LANG": "xx_YY.nothing", "LC_ALL": "xx_YY"},
        {"DATABASE_URL": "mysql://x"},
        {"DATABASE_URL": "postgresql://u:s3cr3t@127.0.0.1:9/d"},
        {"DATABASE_URL": "postgresql://u:s3cr3t@127.0.0.1:notaport/d"},
        {"DATABASE_URL": "postgresql://u:s3cr3t@[::1/d"},
        {"DATABASE_URL": "postgresql://127.0.0.1:5/d?nonsense=1"},
        {"DATABASE_URL": " "},
        {"MONITORS_DIR": "/dev/null"},
        {"COLUMNS": "x"},
        {"TMPDIR": "/nothing"},
        {"PGOPTIONS": "nonsense"},
        {"DATABASE_URL": "postgresql://127.0.0.1:99999999/d"},
    ]
    case.environment = case.draw.choice(odd)


def homes(case: Case) -> None:
    """A home that cannot be one, or has an odd name."""
    file = case.base / "file"
    file.write_text("")
    case.home = case.draw.choice(
        [
            "/proc/home",
            "/dev/null",
            str(file),
            str(file / "below"),
            str(case.base / "a\nb"),
            "/sys/home",
            str(case.base / ("h" * 300)),
            str(case.base / "a 'b' \"c\" [d] *? é $x %s"),
        ]
    )


def locations(case: Case) -> None:
    """A home and sources whose paths have odd characters; the database is elsewhere."""
    odd = case.base / case.draw.choice(("a 'b' \"c\"", "[x] *?", "é ü 😀", "a\nb", "$HOME %s {}", "-rf", "a#b;c,d"))
    odd.mkdir()
    for one in ("log", "truth", "monitors"):
        (case.base / one).rename(odd / one)
    case.file(REFERENCE).rename(odd / f"reference.{case.suffix}")
    case.base = odd


KINDS: dict[str, tuple[Callable[[Case], None], int]] = {
    "intact": (intact, 1),
    "yaml value": (yaml_value, 8),
    "yaml more": (yaml_more, 8),
    "yaml missing": (yaml_missing, 3),
    "yaml bytes": (yaml_bytes, 12),
    "yaml bomb": (yaml_bomb, 2),
    "yaml wide": (yaml_wide, 2),
    "csv bytes": (csv_bytes, 8),
    "csv shape": (csv_shape, 10),
    "csv cells": (csv_cells, 6),
    "column names": (column_names, 8),
    "parquet bytes": (parquet_bytes, 10),
    "parquet types": (parquet_types, 8),
    "json lines": (json_lines, 6),
    "paths": (paths, 7),
    "addresses": (addresses, 8),
    "environment": (environment, 6),
    "homes": (homes, 2),
    "locations": (locations, 3),
}
