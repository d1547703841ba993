"""Drafts load as they are written, and say of data nobody prepared what a person would say."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path

import duckdb
import pytest

from monitoring_pipeline.errors import DeclarationError
from monitoring_pipeline.monitors import Monitor
from monitoring_pipeline.monitors.drafting import draft, scalar
from monitoring_pipeline.monitors.kinds import words
from monitoring_pipeline.monitors.loading import load_monitor
from monitoring_pipeline.monitors.summary import ColumnSummary, SourceSummary

Summarize = Callable[[Path], SourceSummary]

# 5,000 loans over 50 days, as some service would log them
LOANS = """
    SELECT 'req-' || i AS request_id,
           TIMESTAMP '2024-03-01' + INTERVAL (i * 864) SECOND AS "scoredAt",
           'v' || (1 + i // 4000) AS model_version,
           (i * 7919 % 1000) / 10.0 AS income,
           CASE WHEN i % 5 = 0 THEN NULL ELSE i % 60 END AS age,
           ['DE', 'FR', 'IT'][1 + i % 3] AS country,
           10000 + i % 90 AS zip_code,
           i % 2 = 0 AS "employed?",
           i % 3 = 0 AS smoker,
           CASE WHEN i % 2 = 0 THEN 'yes' ELSE 'no' END AS owner,
           'EUR' AS currency,
           NULL::DOUBLE AS retired,
           'a long remark that the clerk wrote about customer number ' || i || ', who was friendly' AS remark,
           md5(i::VARCHAR) AS session,
           [i, i] AS path,
           (i * 31 % 1000) / 1000.0 AS default_probability,
           (i * 31 % 1000 > 700)::INTEGER AS prediction
    FROM range(5000) r(i)
"""
OUTCOMES = """
    SELECT 'req-' || i AS request_id, (i % 11 = 0)::INTEGER AS defaulted,
           TIMESTAMPTZ '2024-03-05 00:00:00+00' + INTERVAL (i * 864) SECOND AS observed_at
    FROM range(4000) r(i)
"""


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, str], Path]:
    def _write(select: str, name: str) -> Path:
        path = tmp_path / f"{name}.parquet"
        with duckdb.connect() as connection:
            connection.execute("SET TimeZone = 'UTC'")
            connection.execute(f"COPY ({select}) TO '{path}' (FORMAT parquet)")
        return path

    return _write


def loaded(text: str, tmp_path: Path) -> Monitor:
    path = tmp_path / "draft.yaml"
    path.write_text(text)
    return load_monitor(path)


def test_a_log_with_ground_truth(write, summary_of: Summarize, tmp_path: Path) -> None:
    log, truth = summary_of(write(LOANS, "log")), summary_of(write(OUTCOMES, "truth"))
    text = draft("loans", log, truth)
    monitor = loaded(text, tmp_path)
    schema = monitor.schema_
    assert monitor.task == "binary"
    assert (schema.prediction_id, schema.event_time, schema.model_version) == (
        "request_id",
        "scoredAt",
        "model_version",
    )
    assert (schema.prediction, schema.score, schema.positive_class) == ("prediction", "default_probability", "1")
    assert schema.numerical == ("income", "age")
    assert schema.categorical == ("country", "zip_code")
    assert schema.boolean == ("employed?", "smoker", "owner")
    assert monitor.ground_truth is not None
    assert (monitor.ground_truth.outcome, monitor.ground_truth.label_time) == ("defaulted", "observed_at")
    for line in (
        "    - age # 20% missing",
        "  timezone: UTC # the times carry no zone; write the one they are in, such as America/New_York",
        "  #   currency: holds one value only: EUR",
        "  #   retired: holds no value",
        "  #   remark: free text",
        "  #   session: an id or free text: 5,000 different values in 5,000 rows",
        "  #   path: values of type BIGINT[] are not profiled",
        "segments: [] # such as [country]: every metric once more for each of its values",
    ):
        assert line in text.splitlines()


def test_without_a_reference_the_first_quarter_of_the_log_stands_in(
    write, summary_of: Summarize, tmp_path: Path
) -> None:
    monitor = loaded(draft("loans", summary_of(write(LOANS, "log"))), tmp_path)
    # 50 days: the reference is the first 12 whole days, monitoring starts behind it
    assert monitor.reference.path == monitor.predictions.path
    assert monitor.reference.to == datetime(2024, 3, 13, tzinfo=UTC)
    assert monitor.reference.outcome is None
    assert monitor.start == date(2024, 3, 13)
    assert monitor.window == "day"
    assert monitor.ground_truth is None


def test_a_reference_has_its_outcome_and_the_first_day_is_monitored(
    write, summary_of: Summarize, tmp_path: Path
) -> None:
    log, truth = summary_of(write(LOANS, "log")), summary_of(write(OUTCOMES, "truth"))
    outcome = "(i % 7 = 0)::INTEGER AS defaulted"
    held_out = f"SELECT * EXCLUDE (model_version), {outcome} FROM ({LOANS}) POSITIONAL JOIN range(5000) r(i)"
    monitor = loaded(draft("loans", log, truth, summary_of(write(held_out, "reference"))), tmp_path)
    assert monitor.reference.outcome == "defaulted"
    assert monitor.reference.model_version == "v1"  # the reference lacks the column; most of the log is v1
    assert (monitor.reference.from_, monitor.reference.to) == (None, None)
    assert monitor.start == date(2024, 3, 1)


def test_an_outcome_in_the_log_is_its_own_ground_truth(write, summary_of: Summarize, tmp_path: Path) -> None:
    path = write(f"SELECT * EXCLUDE (prediction), prediction AS target FROM ({LOANS})", "log")
    monitor = loaded(draft("loans", summary_of(path)), tmp_path)
    assert monitor.ground_truth is not None
    assert (monitor.ground_truth.path, monitor.ground_truth.outcome) == (str(path), "target")
    assert monitor.reference.outcome == "target"
    assert "target" not in monitor.schema_.features


@pytest.mark.parametrize(
    ("output", "kind", "outcome", "n_distinct"),
    [
        ("Churn Probability", "DOUBLE", "Churned", 2),
        ("fraud_score", "DOUBLE", "is_fraud", 2),
        ("pred_price", "DOUBLE", "price", 900),
        ("predicted_delay", "DOUBLE", "actual_delay", 900),
    ],
)
def test_an_outcome_is_known_by_what_the_output_calls_it(
    tmp_path: Path, output: str, kind: str, outcome: str, n_distinct: int
) -> None:
    found = _log(n_rows=1000)
    high = 1.0 if n_distinct == 2 else 99.5
    extra = (
        ColumnSummary(output, kind, 900, 0, 0.0, high, ("0.5",)),
        ColumnSummary(outcome, kind, n_distinct, 0, 0.0, high, ("0.0", "1.0") if n_distinct == 2 else ("1.5", "7.25")),
    )
    summary = SourceSummary(1000, (*(c for c in found.columns if c.name != "score"), *extra), path="x.parquet")
    monitor = loaded(draft("m", summary), tmp_path)
    assert monitor.ground_truth is not None
    assert monitor.ground_truth.outcome == outcome
    assert monitor.schema_.features == ("x",)
    assert monitor.task == ("binary" if n_distinct == 2 else "regression")


def test_a_feature_of_a_similar_name_stays_one(tmp_path: Path) -> None:
    """`default_rate_of_region` is no outcome of `default_score`: it has many values and more words."""
    found = _log(n_rows=1000)
    extra = (
        ColumnSummary("default_score", "DOUBLE", 900, 0, 0.0, 1.0, ("0.5",)),
        ColumnSummary("default_rate_of_region", "DOUBLE", 40, 0, 0.0, 1.0, ("0.5",)),
    )
    summary = SourceSummary(1000, (*(c for c in found.columns if c.name != "score"), *extra), path="x.parquet")
    monitor = loaded(draft("m", summary), tmp_path)
    assert monitor.ground_truth is None
    assert monitor.schema_.score == "default_score"
    assert monitor.schema_.features == ("x", "default_rate_of_region")


def test_regression(write, summary_of: Summarize, tmp_path: Path) -> None:
    path = write(
        "SELECT i AS id, TIMESTAMPTZ '2024-01-01 00:00:00+00' + INTERVAL (i) HOUR AS time, i * 0.7 AS x,"
        " i * 1.5 AS y_pred FROM range(500) r(i)",
        "log",
    )
    text = draft("delay", summary_of(path))
    monitor = loaded(text, tmp_path)
    assert (monitor.task, monitor.schema_.prediction, monitor.schema_.score) == ("regression", "y_pred", None)
    assert monitor.schema_.features == ("x",)
    assert "timezone" not in text


def test_multiclass_by_scores(write, summary_of: Summarize, tmp_path: Path) -> None:
    path = write(
        "SELECT uuid() AS uuid, TIMESTAMP '2024-01-01' + INTERVAL (i) HOUR AS ts, i % 9 AS x,"
        " 0.2 + i % 3 / 10.0 AS score_cat, 0.3 AS score_dog, 0.5 - i % 3 / 10.0 AS score_no,"
        " ['cat', 'dog', 'no'][1 + i % 3] AS predicted_class FROM range(500) r(i)",
        "log",
    )
    text = draft("pets", summary_of(path)).replace("DECIMAL", "DOUBLE")
    monitor = loaded(text, tmp_path)
    assert monitor.task == "multiclass"
    assert monitor.schema_.class_scores == {"cat": "score_cat", "dog": "score_dog", "no": "score_no"}
    assert monitor.schema_.prediction == "predicted_class"


def test_of_two_class_scores_the_positive_one_is_the_score(write, summary_of: Summarize, tmp_path: Path) -> None:
    path = write(
        "SELECT i AS id, TIMESTAMP '2024-01-01' + INTERVAL (i) HOUR AS ts, i % 9 AS x,"
        " (i % 10)::DOUBLE / 10 AS proba_0, (1 - i % 10 / 10)::DOUBLE AS proba_1 FROM range(500) r(i)",
        "log",
    )
    text = draft("m", summary_of(path))
    monitor = loaded(text, tmp_path)
    assert (monitor.task, monitor.schema_.score) == ("binary", "proba_1")
    assert "  #   proba_0: the other class's score" in text.splitlines()


def test_many_rows_a_day_make_hourly_windows(tmp_path: Path) -> None:
    summary = _log(n_rows=1_000_000, first=datetime(2024, 1, 1), last=datetime(2024, 1, 11))
    monitor = loaded(draft("m", summary), tmp_path)
    assert monitor.window == "hour"
    assert monitor.reference.to == datetime(2024, 1, 3, 12, tzinfo=UTC)


def test_a_long_log_has_a_month_of_reference(tmp_path: Path) -> None:
    summary = _log(n_rows=10_000, first=datetime(2023, 1, 1), last=datetime(2024, 1, 1))
    assert loaded(draft("m", summary), tmp_path).reference.to == datetime(2023, 1, 31, tzinfo=UTC)


def test_a_log_of_one_moment_is_its_own_reference(tmp_path: Path) -> None:
    summary = _log(n_rows=10, first=datetime(2023, 1, 1), last=datetime(2023, 1, 1))
    monitor = loaded(draft("m", summary), tmp_path)
    assert (monitor.reference.to, monitor.start) == (None, date(2023, 1, 1))


def test_names_from_hell_survive(tmp_path: Path) -> None:
    hell = [
        '"; drop table x; --',
        "a: b",
        "- c",
        "#d",
        "ü\n\te",
        "yes",
        "12",
        "{f}",
        "g'h",
        "",
        " i ",
        "null",
        "💥",
        "\x7f\x85\u2028",
    ]
    summary = _log(n_rows=1000, extra=[ColumnSummary(name, "DOUBLE", 500, 0, 0.0, 9.0, ("1.5",)) for name in hell])
    assert loaded(draft("m", summary), tmp_path).schema_.numerical == ("x", *hell)


def test_an_index_that_pandas_wrote_is_left_out(tmp_path: Path) -> None:
    index = ColumnSummary("__index_level_0__", "BIGINT", 1000, 0, 0, 999, ("1",))
    other = ColumnSummary("__depth", "DOUBLE", 500, 0, 0.0, 9.0, ("1.5",))
    text = draft("m", _log(n_rows=1000, extra=[index, other]))
    assert loaded(text, tmp_path).schema_.numerical == ("x", "__depth")
    assert "  #   __index_level_0__: an index that pandas wrote" in text.splitlines()


def test_a_sql_source_is_written_as_one(tmp_path: Path) -> None:
    found = _log(n_rows=1000)
    summary = SourceSummary(found.n_rows, found.columns, url="postgresql://me:${PASSWORD}@db/prod", table="serving.log")
    monitor = loaded(draft("m", summary), tmp_path)
    assert (monitor.predictions.url, monitor.predictions.table) == (summary.url, "serving.log")


def test_a_password_in_an_address_is_not_drafted(tmp_path: Path) -> None:
    found = _log(n_rows=1000)
    summary = SourceSummary(found.n_rows, found.columns, url="postgresql://me:s3cr3t@db/prod", table="serving.log")
    text = draft("m", summary)
    assert "s3cr3t" not in text and "# its password is not kept here: export PREDICTIONS_PASSWORD" in text
    assert loaded(text, tmp_path).predictions.url == "postgresql://me:${PREDICTIONS_PASSWORD}@db/prod"


def test_epoch_seconds_are_a_time(tmp_path: Path) -> None:
    found = _log(n_rows=1000)
    time = ColumnSummary("timestamp", "BIGINT", 1000, 0, 1_700_000_000, 1_702_592_000, ("1700000000",))
    summary = SourceSummary(1000, (*(c for c in found.columns if c.name != "at"), time), path="x.parquet")
    monitor = loaded(draft("m", summary), tmp_path)
    assert monitor.schema_.event_time == "timestamp"
    assert monitor.start == date(2023, 11, 22)  # a quarter of the 30 days from 2023-11-14 on


@pytest.mark.parametrize(
    ("dropped", "message"),
    [
        ("id", "predictions: id: no column tells predictions apart"),
        ("at", "predictions: time: no column the prediction was made at"),
        ("score", "predictions: no column looks like the model's output"),
    ],
)
def test_what_a_log_cannot_do_without(dropped: str, message: str) -> None:
    found = _log(n_rows=1000)
    columns = tuple(column for column in found.columns if column.name != dropped)
    with pytest.raises(DeclarationError) as error:
        draft("m", SourceSummary(found.n_rows, columns, path="x.parquet"))
    assert str(error.value).startswith(message)
    wide = tuple(ColumnSummary(f"f{i}", "DOUBLE", 900, 0, -1.0, 1.0) for i in range(300))
    with pytest.raises(DeclarationError, match=r"f5.* and \d+ more\)") as error:
        draft("m", SourceSummary(found.n_rows, (*columns, *wide), path="x.parquet"))
    assert len(str(error.value)) < 500


def test_a_time_that_cannot_be_read_is_named_with_the_reason() -> None:
    found = _log(n_rows=1000)
    kept = tuple(column for column in found.columns if column.name != "at")
    zeit = ColumnSummary("zeit", "VARCHAR", 900, 0, samples=("31.12.2024 10:00", "01.01.2025 11:00"))
    with pytest.raises(
        DeclarationError, match=r"'zeit' looks like one, but '31\.12\.2024 10:00' cannot be read.*ISO 8601"
    ):
        draft("m", SourceSummary(1000, (*kept, zeit), path="x.csv"))


def test_what_the_reference_does_not_hold_is_no_feature(tmp_path: Path) -> None:
    found = _log(n_rows=1000)
    more = [ColumnSummary(name, "DOUBLE", 900, 0, -1.0, 1.0) for name in ("full", "bare", "new")]
    log = SourceSummary(1000, (*found.columns, *more), path="x.parquet")
    bare = ColumnSummary("bare", "DOUBLE", 0, 500)
    reference = SourceSummary(500, (*found.columns, more[0], bare), path="r.parquet")
    text = draft("m", log, None, reference)
    assert "#   bare: empty in the reference" in text and "#   new: the reference lacks it" in text
    assert {"full"} <= set(loaded(text, tmp_path).schema_.numerical) and "bare" not in loaded(
        text, tmp_path
    ).schema_.numerical


def test_a_class_score_beyond_one_is_a_score_and_no_feature(tmp_path: Path) -> None:
    found = _log(n_rows=1000)
    kept = [column for column in found.columns if column.name != "score"]
    scores = [
        ColumnSummary(f"p_{c}", "DOUBLE", 900, 0, 0.0, high) for c, high in (("cat", 1.0), ("dog", 1.2), ("eel", 0.9))
    ]
    schema = loaded(draft("m", SourceSummary(1000, (*kept, *scores), path="x.parquet")), tmp_path).schema_
    assert schema.class_scores == {"cat": "p_cat", "dog": "p_dog", "eel": "p_eel"}
    assert not set(schema.numerical) & {"p_cat", "p_dog", "p_eel"}


def test_a_short_log_of_few_rows_has_windows_of_a_day(tmp_path: Path) -> None:
    """By rows, not by the log's length: an hour of 40 rows says nothing."""
    assert "window: day" in draft("m", _log(1000, last=datetime(2024, 1, 1, 23)))
    assert "window: hour" in draft("m", _log(60_000, last=datetime(2024, 1, 1, 23)))


def test_an_empty_source_and_a_bad_name() -> None:
    with pytest.raises(DeclarationError, match="holds no rows"):
        draft("m", _log(n_rows=0))
    with pytest.raises(DeclarationError, match="'my model' is not a name"):
        draft("my model", _log(n_rows=10))


def test_decimal_commas_are_no_classes(tmp_path: Path) -> None:
    """As a CSV from a spreadsheet in Berlin has them: text, which would pass for a class of many values."""
    found = _log(n_rows=1000)
    commas = (*(f"{i},5" for i in range(19)), "7")
    kept = [c for c in found.columns if c.name != "score"]
    price = ColumnSummary("price", "VARCHAR", 900, 0, "0,5", "9,5", commas)
    output = ColumnSummary("forecast", "VARCHAR", 900, 0, "0,5", "9,5", commas)
    with pytest.raises(DeclarationError, match=r"'forecast' holds numbers with a decimal comma \(such as '0,5'\)"):
        draft("m", SourceSummary(1000, (*kept, output), path="x.csv"))
    text = draft("m", SourceSummary(1000, (*found.columns, price), path="x.csv"))
    assert "#   price: numbers with a decimal comma; write them with a decimal point" in text


def test_an_id_under_another_name_is_joined_by_and_is_no_outcome(tmp_path: Path) -> None:
    columns = (ColumnSummary("pid", "VARCHAR", 900, 0), ColumnSummary("eta", "DOUBLE", 900, 0, 0.5, 9.5, ("0.5",)))
    truth = SourceSummary(900, columns, path="t.parquet")
    declared = loaded(draft("m", _log(n_rows=1000), truth), tmp_path).ground_truth
    assert declared is not None and (declared.prediction_id, declared.outcome) == ("pid", "eta")


def test_ground_truth_that_cannot_be_joined() -> None:
    truth = SourceSummary(10, (ColumnSummary("label", "BIGINT", 2, 0, 0, 1, ("0", "1")),), path="t.parquet")
    with pytest.raises(DeclarationError, match=r"no column looks like the prediction id \(id\)"):
        draft("m", _log(n_rows=1000), truth)


@pytest.mark.parametrize("name", ["prediction_time", "PredictionTime", "prediction-time", "prediction time"])
def test_words_of_a_name(name: str) -> None:
    assert words(name) == ("prediction", "time")


def test_plain_scalars_stay_plain() -> None:
    assert [scalar(text) for text in ("age", "data/log.parquet", "yes", "1", "a b")] == [
        "age",
        "data/log.parquet",
        '"yes"',
        '"1"',
        '"a b"',
    ]


def _log(
    n_rows: int,
    first: datetime = datetime(2024, 1, 1),
    last: datetime = datetime(2024, 3, 1),
    extra: list[ColumnSummary] | None = None,
) -> SourceSummary:
    """A log with an id, a time, a feature and a score."""
    columns = (
        ColumnSummary("id", "VARCHAR", n_rows, 0, "a", "z", ("a", "b")),
        ColumnSummary("at", "TIMESTAMP", n_rows, 0, first, last, (str(first),)),
        ColumnSummary("x", "DOUBLE", n_rows, 0, 0.0, 9.0, ("1.5",)),
        ColumnSummary("score", "DOUBLE", n_rows, 0, 0.0, 1.0, ("0.5",)),
        *(extra or []),
    )
    return SourceSummary(n_rows, columns, path="log.parquet")
