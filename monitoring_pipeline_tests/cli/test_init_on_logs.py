"""Drafts of logs as services write them: ids, rows a day, versions, codes, late labels; then `validate` and `run`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import duckdb
import pytest
import sqlalchemy as sa
from typer.testing import CliRunner

from monitoring_pipeline.cli.app import app
from monitoring_pipeline.monitors import Monitor
from monitoring_pipeline.monitors.loading import load_monitor
from monitoring_pipeline.windows import Window
from monitoring_pipeline_tests.front_door import FrontDoor, door

__all__ = ["door"]
WRITTEN = {"parquet": "FORMAT parquet", "csv": "FORMAT csv, HEADER", "jsonl": "FORMAT json"}
TIME = "TIMESTAMP '2024-03-01' + to_seconds(i * 10)"
REST = f"{TIME} AS event_time, (hash(i) % 1000) / 1000.0::DOUBLE AS score, i % 70 AS age"


@dataclass
class Drafts:
    """Files below ``base``, and `init` on them."""

    base: Path

    def write(self, select: str, name: str = "log", suffix: str = "parquet", n: int = 20_000) -> Path:
        path = self.base / f"{name}.{suffix}"
        with duckdb.connect() as connection:
            connection.execute("SET TimeZone = 'UTC'")
            connection.execute(f"COPY (SELECT {select} FROM range({n}) t(i)) TO '{path}' ({WRITTEN[suffix]})")
        return path

    def ask(self, predictions: Path | str, truth: Path | None = None) -> tuple[int, str]:
        """Exit code, and the draft or what was said instead."""
        sources = [f"--predictions={predictions}", *([f"--ground-truth={truth}"] if truth else [])]
        answer = CliRunner().invoke(app, ["init", "m", *sources, "--force", f"--out={self.out}"])
        return answer.exit_code, str(answer.exception) if answer.exit_code else self.out.read_text()

    def init(self, predictions: Path | str, truth: Path | None = None) -> tuple[Monitor, str]:
        code, text = self.ask(predictions, truth)
        assert code == 0, text
        return load_monitor(self.out), text

    def validate(self) -> tuple[int, str]:
        answer = CliRunner().invoke(app, ["validate", str(self.out)])
        return answer.exit_code, answer.output

    @property
    def out(self) -> Path:
        return self.base / "monitors" / "m.yaml"


@pytest.fixture
def drafts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Drafts:
    monkeypatch.setenv("MONITORING_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("MONITORS_DIR", str(tmp_path / "monitors"))
    return Drafts(tmp_path)


# -- ids ---------------------------------------------------------------------------------------------------------------

IDS = {
    "text": "'req-18-' || i AS prediction_id",
    "integers": "i AS prediction_id",
    "UUIDs": "uuid() AS prediction_id",
    "20 digits": "(12345678901234567890::HUGEINT + i)::VARCHAR AS prediction_id",
    "floats, as integers with gaps become": "CASE WHEN i % 500 > 0 THEN i::DOUBLE END AS prediction_id",
}


@pytest.mark.parametrize(("ids", "suffix"), [*((ids, "parquet") for ids in IDS), ("text", "csv"), ("text", "jsonl")])
def test_unique_ids_are_found(drafts: Drafts, ids: str, suffix: str) -> None:
    monitor, _ = drafts.init(drafts.write(f"{IDS[ids]}, {REST}", suffix=suffix))
    assert monitor.schema_.prediction_id == "prediction_id"
    code, said = drafts.validate()
    assert code == 0 or "rows have no 'prediction_id'" in said, said


@pytest.mark.parametrize("suffix", WRITTEN)
def test_ids_of_several_files_with_a_twentieth_written_twice(drafts: Drafts, suffix: str) -> None:
    for day in range(4):
        ids = f"'r-' || ({day} * 5000 + i % 4750) AS prediction_id"
        drafts.write(f"{ids}, {REST}", f"log{day}", suffix, 5000)
    monitor, text = drafts.init(f"{drafts.base}/log*.{suffix}")
    assert monitor.schema_.prediction_id == "prediction_id"
    assert "5.0% occur again" in text
    assert drafts.validate()[0] == 0


@pytest.mark.parametrize("suffix", WRITTEN)
def test_ids_that_begin_anew_in_every_file_are_none(drafts: Drafts, suffix: str) -> None:
    for day in range(4):
        drafts.write(f"i AS prediction_id, {REST}", f"log{day}", suffix, 1000)
    code, said = drafts.ask(f"{drafts.base}/log*.{suffix}")
    assert code == 1 and "'prediction_id' looks like one, but 75% of its values occur again in other files" in said


def test_repeats_beyond_the_sample_are_seen(drafts: Drafts, monkeypatch: pytest.MonkeyPatch) -> None:
    from monitoring_pipeline.lake import inspection

    monkeypatch.setattr(inspection, "SAMPLE_ROWS", 100)  # of 20,000: hardly one id twice among them
    code, said = drafts.ask(drafts.write(f"i % 10000 AS id, {REST}"))
    assert code == 1 and "'id' looks like one, but 50% of its values occur again" in said


def test_of_many_ids_some_are_counted_with_all_their_copies(drafts: Drafts, monkeypatch: pytest.MonkeyPatch) -> None:
    from monitoring_pipeline.lake import census

    monkeypatch.setattr(census, "COUNTED_IDS", 2000)
    _, text = drafts.init(drafts.write(f"'r' || i % 19000 AS id, {REST}"))
    share = re.search(r"([0-9.]+)% occur again", text)
    assert share is not None and float(share[1]) == pytest.approx(5, abs=1.5)


# -- rows a day --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_rows_a_day_are_counted_over_all_rows(drafts: Drafts, suffix: str) -> None:
    time = "TIMESTAMP '2024-03-01' + to_microseconds((i * 86400 * 3 / 600000 * 1e6)::BIGINT) AS event_time"
    path = drafts.write(f"i AS id, {time}, (i % 9) / 10.0 AS score", suffix=suffix, n=600_000)
    monitor, text = drafts.init(path)
    assert "some 200,000 rows a day" in text and "a sample of 200,000 of 600,000 rows" in text
    assert monitor.window == "hour"


def test_rows_a_day_of_many_files(drafts: Drafts) -> None:
    for day in range(40):  # more than a sample looks into
        time = f"TIMESTAMP '2024-01-01' + to_days({day}) + to_seconds(i * 86) AS event_time"
        drafts.write(f"'{day}-' || i AS id, {time}, (i % 9) / 10.0 AS score", f"log{day:02d}", n=1000)
    monitor, text = drafts.init(f"{drafts.base}/log*.parquet")
    assert "some 1,000 rows a day" in text and monitor.window == "day"


def test_a_batch_a_night_is_a_window_a_day(drafts: Drafts) -> None:
    time = "TIMESTAMP '2024-03-01' + to_days((i // 30000)::INT) AS event_time"
    monitor, text = drafts.init(drafts.write(f"i AS id, {time}, (i % 9) / 10.0 AS score", n=120_000))
    assert "some 30,000 rows a day" in text and monitor.window == "day"


def test_a_table_is_counted_too(drafts: Drafts) -> None:
    engine = sa.create_engine(f"sqlite:///{drafts.base}/x.db")
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE TABLE log (id INTEGER, at TEXT, score REAL, zip TEXT, floor INTEGER)"))
        rows = [
            {"i": i, "t": f"2024-03-{1 + i // 100:02d} {i % 24:02d}:00:00", "s": i % 9 / 10, "z": f"{10000 + i % 50}"}
            for i in range(1000)
        ]
        connection.execute(sa.text("INSERT INTO log VALUES (:i, :t, :s, :z, :i % 7)"), rows)
    monitor, text = drafts.init(f"sqlite:///{drafts.base}/x.db#log")
    assert "some 100 rows a day" in text
    assert monitor.schema_.categorical == ("zip",) and monitor.schema_.numerical == ("floor",)


# -- times -------------------------------------------------------------------------------------------------------------

MOMENTS = {
    "seconds": "1709251200 + i * 600 AS ts",
    "milliseconds": "(1709251200 + i * 600) * 1000 AS ts",
    "seconds, as text": "(1709251200 + i * 600)::VARCHAR AS ts",
    "a fraction, one of them 0": "CASE WHEN i = 7 THEN 0 ELSE 1709251200.25 + i * 600 END AS ts",
    "ISO, one of them no time": "CASE WHEN i = 7 THEN 'N/A' ELSE (TIMESTAMP '2024-03-01' + to_seconds(i * 600))::TEXT"
    " END AS ts",
    "one in 1970 and one in 2090": "CASE i WHEN 7 THEN TIMESTAMP '1970-01-02' WHEN 8 THEN TIMESTAMP '2090-01-01'"
    " ELSE TIMESTAMP '2024-03-01' + to_seconds(i * 600) END AS ts",
}


@pytest.mark.parametrize("moments", MOMENTS)
def test_times_of_every_kind(drafts: Drafts, moments: str) -> None:
    monitor, text = drafts.init(drafts.write(f"'a' || i AS id, {MOMENTS[moments]}, (i % 9) / 10.0 AS score", n=2000))
    assert (monitor.schema_.event_time, str(monitor.start)) == ("ts", "2024-03-04")
    assert "some 144 rows a day" in text


def test_a_log_of_the_future_is_said_to_be_one(drafts: Drafts) -> None:
    time = "TIMESTAMP '2090-03-01' + to_seconds(i * 600) AS ts"
    _, text = drafts.init(drafts.write(f"'a' || i AS id, {time}, (i % 9) / 10.0 AS score", n=2000))
    assert "2,000 of 2,000 lie in the future" in text
    assert "all times in 'ts' of the prediction log lie in the future" in drafts.validate()[1]


@pytest.mark.parametrize(
    ("select", "n", "said"),
    [
        (f"'a' || i AS id, {REST}", 0, "the source holds no rows"),
        (f"NULL::TEXT AS id, {REST}", 200, "no column tells predictions apart"),
        ("'a' || i AS id, 0.5 AS score", 200, "no column the prediction was made at"),
        (f"'a' || i AS id, {TIME} AS ts, NULL::DOUBLE AS score", 200, "no column looks like the model's output"),
    ],
    ids=["empty", "ids all null", "no time", "scores all null"],
)
@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_logs_that_cannot_be_drafted(drafts: Drafts, suffix: str, select: str, n: int, said: str) -> None:
    code, answer = drafts.ask(drafts.write(select, suffix=suffix, n=n))
    assert code == 1 and said in answer
    if n:  # the rest is drafted, and what is missing has its place
        draft = drafts.out.read_text()
        assert "FILL_IN # TO BE FILLED IN: predictions: " in draft and "to be filled in (FILL_IN)" in answer
        code, answer = drafts.validate()
        assert code == 1 and "FILL_IN is to be filled in; write one of the columns: " in answer
    else:
        assert not drafts.out.exists()


def test_labels_that_cannot_be_told_are_left_to_be_filled_in(drafts: Drafts) -> None:
    log = drafts.write(f"'a' || i AS id, {REST}")
    truth = drafts.write("0.5 AS b", "truth")
    arguments = ["init", "m", f"--predictions={log}", f"--ground-truth={truth}", "--force", f"--out={drafts.out}"]
    answer = CliRunner().invoke(app, arguments)
    assert answer.exit_code == 1 and "label_id: ground truth: no column looks like the prediction id" in str(
        answer.exception
    )
    assert "prediction_id: FILL_IN # TO BE FILLED IN: ground truth: " in drafts.out.read_text()


def test_roles_that_are_named_are_not_guessed(drafts: Drafts) -> None:
    log = drafts.write(
        f"i AS nummer, 'u' || i AS id, {TIME} AS zeit, (hash(i) % 90) / 7.0 AS vorhersage, i % 70 AS age"
    )
    truth = drafts.write(f"i AS zu, i / 9.0 AS wert, i % 7 AS label, {TIME} AS von, {TIME} AS bis", "truth")
    told = {"prediction_id": "nummer", "event_time": "zeit", "prediction": "vorhersage", "outcome": "wert",
            "label_id": "zu", "label_time": "bis"}  # fmt: skip
    sets = [f"--set={role}={column}" for role, column in told.items()]
    arguments = ["init", "m", f"--predictions={log}", f"--ground-truth={truth}", "--force", f"--out={drafts.out}"]
    answer = CliRunner().invoke(app, [*arguments, *sets])
    assert answer.exit_code == 0, answer.exception
    monitor = load_monitor(drafts.out)
    assert (monitor.task, monitor.schema_.prediction_id, monitor.schema_.event_time, monitor.schema_.prediction) == (
        "regression", "nummer", "zeit", "vorhersage",
    )  # fmt: skip
    assert monitor.ground_truth is not None and monitor.schema_.numerical == ("age",)
    assert (monitor.ground_truth.prediction_id, monitor.ground_truth.outcome, monitor.ground_truth.label_time) == (
        "zu", "wert", "bis",
    )  # fmt: skip
    for wrong, said in (("score=nix", "the predictions have no such column"), ("skore=age", "ROLE one of")):
        refused = CliRunner().invoke(app, [*arguments, f"--set={wrong}"])
        assert refused.exit_code == 1 and said in str(refused.exception)


def test_one_row(drafts: Drafts) -> None:
    monitor, _ = drafts.init(drafts.write(f"'a' AS id, {REST}", n=1))
    assert (monitor.schema_.prediction_id, monitor.schema_.event_time) == ("id", "event_time")


# -- versions ----------------------------------------------------------------------------------------------------------

CHOICE = "hash(i) % 10 = 0"
VERSIONS = {
    "an aircraft of 70": ("'A' || hash(i) % 70 AS model", None),
    "an aircraft of 3": ("['A320', 'B737', 'E190'][1 + (hash(i) % 3)::INT] AS model", None),
    "an aircraft, in a batch that is sorted by it": (
        "TIMESTAMP '2024-03-01' + to_days((i // 1000)::INT) AS at, 'A' || (i % 1000 // 20) AS model",
        None,
    ),
    "a phone's system": ("'5.' || hash(i) % 12 AS version", None),
    "one after the other": ("'xgb-' || (i // 5000) AS model", "model"),
    "one after the other, numbers": ("(i // 4000)::INT AS model_id", "model_id"),
    "every fortnight": ("'2024-' || lpad((i // 400)::TEXT, 2, '0') AS version", "version"),
    "champion and challenger": (f"CASE WHEN {CHOICE} THEN 'challenger' ELSE 'champion' END AS model", "model"),
    "side by side, both replaced": (f"'v' || (1 + i // 4000 + ({CHOICE})::INT) AS model_version", "model_version"),
    "two at random": (f"'v' || (1 + ({CHOICE})::INT) AS version", "version"),
    "only one": ("'v7' AS ModelVersion", "ModelVersion"),
    "with a prefix": ("'v' || (i // 9000) AS churn_model_version", "churn_model_version"),
    "beside an aircraft": ("'A' || hash(i) % 70 AS model, 'v' || (i // 9000) AS model_version", "model_version"),
}


@pytest.mark.parametrize("case", VERSIONS)
def test_a_model_version_looks_like_one(drafts: Drafts, case: str) -> None:
    columns, version = VERSIONS[case]
    time = "" if " AS at" in columns else f"{TIME} AS at, "
    path = drafts.write(f"'a' || i AS id, {time}(hash(i + 1) % 1000) / 1000.0::DOUBLE AS score, {columns}")
    monitor, text = drafts.init(path)
    assert monitor.schema_.model_version == version
    if version is None:
        feature = columns.rsplit(" ", 1)[1]
        assert feature in monitor.schema_.categorical and "no model version: " in text


# -- codes -------------------------------------------------------------------------------------------------------------

CODES = {
    "zip codes": "lpad((hash(i) % 300)::TEXT, 5, '0')",
    "007": "['007', '011', '006'][1 + (hash(i) % 3)::INT]",
    "digits": "(hash(i) % 90 + 10)::TEXT",
    "diagnoses": "['250.00', '401.9', '428.0'][1 + (hash(i) % 3)::INT]",
}


@pytest.mark.parametrize(("code", "suffix"), [*((code, "parquet") for code in CODES), ("zip codes", "jsonl")])
def test_codes_that_are_kept_as_text_are_categories(drafts: Drafts, code: str, suffix: str) -> None:
    number = "hash(i + 1) % 90 + 10 AS number, (i % 997) / 7.0 AS amount"
    path = drafts.write(f"'a' || i AS id, {REST}, {CODES[code]} AS area, {number}", suffix=suffix)
    schema = drafts.init(path)[0].schema_
    assert schema.categorical == ("area",) and set(schema.numerical) == {"age", "number", "amount"}


def test_codes_in_csv(drafts: Drafts) -> None:
    codes = f"{CODES['zip codes']} AS area, {CODES['007']} AS agent, hash(i) % 40 + 1000 AS store_id,"
    numbers = "hash(i) % 900 + 100 AS zip5, hash(i) % 30 AS flight_number, hash(i) % 30 AS n_flights"
    ids = "hash(i + 2) % 99999 AS customer_id, i + 5 AS line"
    schema = drafts.init(drafts.write(f"'a' || i AS id, {REST}, {codes} {numbers}, {ids}", suffix="csv"))[0].schema_
    assert set(schema.categorical) == {"area", "agent", "store_id", "zip5", "flight_number"}
    assert set(schema.numerical) == {"age", "n_flights"}
    assert drafts.validate()[0] == 0


def test_measurements_kept_as_text_stay_numbers(drafts: Drafts) -> None:
    path = drafts.write(f"'a' || i AS id, {TIME} AS at, ((hash(i) % 997) / 997)::TEXT AS score, (i / 7.0)::TEXT AS x")
    schema = drafts.init(path)[0].schema_
    assert (schema.score, schema.numerical) == ("score", ("x",))


def test_gaps_in_csv_do_not_make_numbers_into_categories(drafts: Drafts) -> None:
    gaps = ", ".join(
        f"CASE hash(i + {n}) % 5 WHEN 0 THEN {word!r} WHEN 1 THEN '' WHEN 2 THEN ' ' ELSE {kind} END AS x{n}"
        for n, (word, kind) in enumerate(
            (
                ("NA", "(i % 700)::TEXT"),
                ("null", "(i / 7.0)::TEXT"),
                ("#N/A", "(i % 700)::TEXT"),
                ("?", "(i / 7)::TEXT"),
            )
        )
    )
    only = "['NA', 'DE'][1 + i % 2] AS country, ['1', '0', 'NA'][1 + i % 3] AS returning"
    path = drafts.write(f"'a' || i AS id, {REST}, {gaps}, {only}", suffix="csv")
    schema = drafts.init(path)[0].schema_
    assert set(schema.numerical) == {"age", "x0", "x1", "x2", "x3"}
    assert (schema.categorical, schema.boolean) == (("country",), ("returning",))
    assert drafts.validate()[0] == 0


# -- labels ------------------------------------------------------------------------------------------------------------


def labels(late: str, kind: str = "TIMESTAMP") -> str:
    known = f"CAST({TIME} + {late} AS {kind})"
    return f"'req-' || i AS id, ['No', 'Yes'][1 + (hash(i) % 3 = 0)::INT] AS outcome, {known} AS label_time"


DELAYS = {
    "30 to 365 days": ("to_hours((30 * 24 + hash(i) % (335 * 24 + 1))::INT)", timedelta(days=365)),
    "20 hours": ("to_hours(20)", timedelta(hours=20)),
    "at once": ("to_seconds(5)", timedelta(hours=1)),
    "a day, but a few of two years": (
        "to_hours(CASE WHEN i % 1000 = 0 THEN 24 * 730 ELSE 24 END)",
        timedelta(hours=24),
    ),
}


@pytest.mark.parametrize(("late", "suffix"), [*((late, "parquet") for late in DELAYS), ("30 to 365 days", "csv")])
def test_the_longest_delay_of_labels_is_taken_from_them(drafts: Drafts, late: str, suffix: str) -> None:
    sql, expected = DELAYS[late]
    truth = drafts.write(labels(sql), "truth", suffix)
    monitor, text = drafts.init(drafts.write(f"'req-' || i AS id, {REST}"), truth)
    assert monitor.labels.max_delay == expected
    assert "of 20,000 labels at hand the last came after" in text
    assert drafts.validate()[0] == 0


def test_labels_in_the_log_itself(drafts: Drafts) -> None:
    known = f"CASE WHEN i % 4 > 0 THEN {TIME} + to_days(40) END AS label_time"
    path = drafts.write(f"'a' || i AS id, {REST}, CASE WHEN i % 4 > 0 THEN hash(i) % 2 END AS outcome, {known}")
    monitor, _ = drafts.init(path)
    assert monitor.ground_truth is not None and monitor.ground_truth.label_time == "label_time"
    assert monitor.labels.max_delay == timedelta(days=40)
    assert "label_time" not in monitor.schema_.features


@pytest.mark.parametrize(
    ("select", "said"),
    [
        ("'req-' || i AS id, i % 2 AS outcome", "a guess: the labels carry no time"),
        (labels("to_days(-3)"), "a guess: 20,000 of 20,000 labels are older than their predictions"),
        (labels("to_days(3)").replace("'req-'", "'other-'"), "a guess: no label at hand has a prediction at hand"),
    ],
    ids=["no time", "before the predictions", "of other predictions"],
)
def test_where_labels_do_not_tell_the_draft_says_so(drafts: Drafts, select: str, said: str) -> None:
    monitor, text = drafts.init(drafts.write(f"'req-' || i AS id, {REST}"), drafts.write(select, "truth"))
    assert monitor.labels.max_delay == timedelta(days=7) and said in text


def test_without_labels_the_delay_is_a_guess(drafts: Drafts) -> None:
    assert "a guess: there are no labels yet" in drafts.init(drafts.write(f"'req-' || i AS id, {REST}"))[1]


# -- to the end --------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_from_the_draft_to_the_windows(door: FrontDoor, drafts: Drafts) -> None:
    columns = "'A' || hash(i) % 70 AS model, lpad((hash(i) % 300)::TEXT, 5, '0') AS zip"
    log = drafts.write(f"'req-18-' || i AS prediction_id, {REST}, {columns}")
    truth = drafts.write(
        labels("to_days(100)").replace("'req-' || i AS id", "'req-18-' || i AS prediction_id"), "truth"
    )
    monitor, _ = drafts.init(log, truth)
    assert drafts.validate() == (0, "1 monitors are valid: m\n")
    first = Window.from_key("2024-03-02", "day")
    assert door.run(monitor, first, first) is None
    status = door.query("select n_rows, coverage from monitoring.window_status where n_rows is not null")
    assert status.values.tolist() == [[8640, 1.0]]


def test_odd_values_are_remarked_on(drafts: Drafts) -> None:
    odd = "CASE WHEN i % 7 = 0 THEN -999.0 ELSE (hash(i) % 9000) / 7.0 END AS temperature"
    state = "CASE i % 3 WHEN 0 THEN 'NY' WHEN 1 THEN 'ny' ELSE 'CA' END AS state"
    _, text = drafts.init(drafts.write(f"'a' || i AS id, {REST}, {odd}, {state}"))
    assert "- temperature # -999 may stand for a missing value" in text
    assert "are two categories; write them alike if they are one" in text
