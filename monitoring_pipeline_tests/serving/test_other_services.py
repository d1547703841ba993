"""Services as other people write them: how they call, what they send as a row, an id or a time, what they answer."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections import defaultdict, namedtuple
from collections.abc import Callable
from dataclasses import make_dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any
from uuid import UUID

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from scipy.sparse import csr_matrix

from monitoring_pipeline.lake import values as values_of_ingestion
from monitoring_pipeline.prediction_log.values import as_category
from monitoring_pipeline.serving import Monitoring
from monitoring_pipeline_tests.serving.conftest import logged, samples, value
from monitoring_pipeline_tests.serving.reference import good_row, reference_document

Make = Callable[..., Monitoring]
FEATURES = ("x0", "x1", "x2", "c0", "c1", "late")


def frame(n: int = 2) -> pd.DataFrame:
    return pd.DataFrame([good_row(i) for i in range(n)])


def errors(monitoring: Monitoring) -> dict[tuple[str, str], float]:
    found = {k: v for k, v in samples(monitoring.metrics()).items() if k[0] == "model_input_errors_total"}
    return {(dict(k[1])["column"], dict(k[1])["reason"]): v for k, v in found.items()}


def features(row: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(row[name] for name in FEATURES)


# How they call.


class Model:
    classes_ = np.array([0, 1])

    def predict_proba(self, X: Any) -> Any:
        return np.tile([0.25, 0.75], (len(X), 1))

    def decision_function(self, X: Any) -> Any:
        return np.array([0.2, -0.2, 0.7])


def test_the_features_may_be_given_by_name(make: Make, lake: Path) -> None:
    m = make()
    assert m.wrap(lambda row, flavour="plain": (row["x0"], flavour))(flavour="hot", row=good_row()) == (0.0, "hot")
    np.testing.assert_array_equal(m.wrap(Model().predict_proba)(X=frame()), [[0.25, 0.75]] * 2)
    with pytest.raises(TypeError, match="missing 1 required positional argument"):
        m.wrap(lambda row: 0.5)()
    m.close()
    assert [features(r) for r in logged(lake)] == [features(good_row(i) | {"late": "true"}) for i in (0, 0, 1)]


def test_a_method_may_be_decorated(make: Make, lake: Path) -> None:
    m = make()

    class Service:
        @m.wrap
        def predict(self, row: Any) -> float:
            return 0.5

        @m.wrap
        async def later(self, row: Any) -> float:
            return 0.5

    assert Service().predict(good_row(1)) == asyncio.run(Service().later(row=good_row(1))) == 0.5
    m.close()
    assert [r["x0"] for r in logged(lake)] == [0.25, 0.25]


def test_an_object_whose_calls_are_awaited(make: Make, lake: Path) -> None:
    class Remote:
        async def __call__(self, row: Any) -> float:
            return 0.75

    m = make()
    assert asyncio.run(m.wrap(Remote())(good_row())) == 0.75
    m.close()
    assert [r["chance"] for r in logged(lake)] == [0.75]


@pytest.mark.parametrize("form", ["dict", "defaultdict", "dicts", "frame", "array"])
def test_what_the_model_changes_is_logged_as_it_came(make: Make, lake: Path, form: str) -> None:
    document = reference_document(n_categorical=0)
    for key in (document["layout"]["columns"], document["columns"]):
        key[:] = [c for c in key if c["name"] != "late"]
    m = make(document)
    row = {"x0": 1.0, "x1": 2.0, "x2": 3.0}

    def fills(given: Any) -> Any:
        if form == "frame":
            given["more"] = given["x0"]
            given.loc[:, "x0"] = 99.0
        elif form == "array":
            given[:, 0] = 99.0
        else:
            for one in given if form == "dicts" else [given]:
                one["x0"], one["more"] = 99.0, 1
                del one["x1"]
        return [0.5] * len(given) if form in ("dicts", "frame", "array") else 0.5

    forms: dict[str, Any] = {"dict": row, "defaultdict": defaultdict(float, row), "dicts": [row, row.copy()],
                             "frame": pd.DataFrame([row]), "array": np.array([list(row.values())])}  # fmt: skip
    m.wrap(fills)(forms[form])
    assert errors(m) == {}
    m.close()
    assert {(r["x0"], r["x1"], r["x2"]) for r in logged(lake)} == {(1.0, 2.0, 3.0)}


def test_looking_at_a_row_adds_nothing_to_it(make: Make) -> None:
    """A defaultdict makes what it is asked for."""
    m = make()
    row = defaultdict(float, good_row())
    del row["x1"]
    m.wrap(lambda row: 0.5)(row)
    m.wrap(lambda rows: [0.5])([row])
    assert "x1" not in row
    assert errors(m) == {("x1", "absent"): 2}


# Rows.


class Carrier(str, Enum):  # noqa: UP042 — str() of its member is not the text, as of a StrEnum's it is
    AA = "AA"


class Airport(Enum):
    SEVEN = 7


Row = namedtuple("Row", FEATURES)  # type: ignore[misc]
Slotted = make_dataclass("Slotted", FEATURES, slots=True)
ODD_ORDER = [("x1", "f8"), ("x0", "f8"), ("x2", "f8"), ("c0", "U2"), ("c1", "U2"), ("late", "?")]


def sqlite_row() -> Any:
    connection = sqlite3.connect(":memory:")
    connection.row_factory = sqlite3.Row
    return connection.execute("select -1.0 x1, 0.5 x0, 3.0 x2, 'AA' c0, '7' c1, 1 late").fetchone()


@pytest.mark.parametrize(
    "row",
    [
        Row(np.int64(1), -1.0, 3, "AA", 7, True),
        Row(Decimal(1), -1.0, 3, "AA", "7", None),
        [np.float32(1), -1.0, 3, "AA", "7", True],
        Slotted(1, -1.0, 3, Carrier.AA, Airport.SEVEN, None),
        np.array([(-1.0, 1.0, 3.0, "AA", "7", True)], ODD_ORDER)[0],
        sqlite_row(),
    ],
    ids=["named tuple", "named tuple of decimals", "list of numpy", "slots", "structured", "sqlite"],
)
@pytest.mark.parametrize("batch", [False, True])
def test_a_row_of_any_kind_is_one_row_by_name(make: Make, lake: Path, row: Any, batch: bool) -> None:
    m = make()
    m.wrap(lambda given: [0.5] if batch else 0.5)([row] if batch else row)
    assert errors(m) == {}
    m.close()
    (found,) = logged(lake)
    assert features(found)[1:5] == (-1.0, 3.0, "AA", "7")
    assert found["x0"] == (0.5 if isinstance(row, sqlite3.Row) else 1.0)
    assert found["late"] in ("true", None)


@pytest.mark.parametrize(
    "rows",
    [
        np.array([(-1.0, 0.25 * i, 3.0, "AA", "7", True) for i in range(3)], ODD_ORDER),
        pa.Table.from_pandas(frame(3)),
        pa.RecordBatch.from_pandas(frame(3)),
    ],
    ids=["structured", "arrow table", "record batch"],
)
def test_a_batch_by_name_that_is_no_frame(make: Make, lake: Path, rows: Any) -> None:
    m = make()
    m.wrap(lambda given: [0.5] * 3)(rows)
    assert errors(m) == {}
    m.close()
    assert [features(r) for r in logged(lake)] == [(0.25 * i, -1.0, 3.0, "AA", "7", "true") for i in range(3)]


def test_a_sparse_matrix(make: Make, lake: Path) -> None:
    m = make()
    m.wrap(lambda given: [0.5] * 2)(csr_matrix(np.array([[1.0, 0, 2, 7, 7, 1], [0.0, 0, 0, 7, 7, 0]])))
    m.wrap(lambda given: [0.5] * 2)(csr_matrix((2, 10_000_000)))
    assert errors(m) == {("__row__", "width"): 2}
    m.close()
    assert [features(r) for r in logged(lake)][:2] == [
        (1.0, 0.0, 2.0, "7", "7", "true"), (0.0, 0.0, 0.0, "7", "7", "false")
    ]  # fmt: skip


class Broken:
    columns = ("x0",)

    def __len__(self) -> int:
        return 2

    def __getitem__(self, key: Any) -> Any:
        raise RuntimeError(key)


@pytest.mark.filterwarnings("ignore:Determining the column names of a LazyFrame")
@pytest.mark.parametrize("rows", [Broken(), pl.DataFrame(frame()).lazy()], ids=["broken", "lazy"])
def test_a_batch_that_cannot_be_read_is_answered_and_noted(make: Make, lake: Path, rows: Any) -> None:
    m = make()
    assert m.wrap(lambda given: [0.5] * 2)(rows) == [0.5, 0.5]
    n = 2 if isinstance(rows, Broken) else 1  # a lazy frame has no length
    assert errors(m)["__row__", "type"] == n
    m.close()
    assert [features(r) for r in logged(lake)] == [(None,) * 6] * n


def test_numbers_are_booleans_where_the_reference_has_booleans(make: Make, lake: Path) -> None:
    """However odd the rest of the row is, and as ingestion reads them."""
    m = make()
    predict = m.wrap(lambda row: 0.5)
    for late in (1, 0, True, np.int64(1), 0.0):
        predict({**good_row(), "late": late})
        predict({**good_row(), "late": late, "x0": None})
    m.wrap(lambda rows: [0.5] * 2)(frame().assign(late=[1, 0]))
    m.wrap(lambda rows: [0.5] * 2)(frame().assign(late=pd.Categorical([1, 0])))
    assert value(m, "model_column_category_total", column="late", category="__unseen__") == 0
    m.close()
    assert [r["late"] for r in logged(lake)] == [
        *("true", "true", "false", "false", "true", "true", "true", "true", "false", "false"),
        *("true", "false", "true", "false"),
    ]


def test_a_category_that_looks_like_a_number_and_is_none(make: Make) -> None:
    document = reference_document()
    strange = ["--5", "1" * 5000, "٣"]
    document["layout"]["columns"][3]["categories"] = strange
    m = make(document)
    for text in strange:
        m.wrap(lambda row: 0.5)({**good_row(), "c0": text})
        assert value(m, "model_column_category_total", column="c0", category=text) == 1


@pytest.mark.parametrize("dtype", ["string", "category", "object"])
def test_a_great_batch_in_which_nothing_is_as_declared(make: Make, lake: Path, dtype: str) -> None:
    """It is logged in several frames; each of its values is looked at once."""
    n = 8_000
    m = make(segment_bytes=100_000)
    rows = pd.concat([frame(1)] * n, ignore_index=True)
    rows["c0"] = pd.Series([f"new {i}" for i in range(n)], dtype=dtype)
    rows["x0"] = pd.Series([f"text {i}" for i in range(n)], dtype=object)
    m.wrap(lambda given: np.full(n, 0.5))(rows)
    assert errors(m) == {("x0", "type"): n}
    assert value(m, "model_column_category_total", column="c0", category="__unseen__") == n
    m.close(30)
    found = {(r["c0"], json.loads(r["input_errors"])["x0"]["value"]) for r in logged(lake)}
    assert found == {(f"new {i}", f"text {i}") for i in range(n)}


# Ids and times.


@pytest.mark.parametrize(
    ("given", "id"),
    [
        (UUID(int=5), "00000000-0000-0000-0000-000000000005"),
        (np.int64(7), "7"),
        (7.0, "7"),
        (np.str_("a"), "a"),
        (Carrier.AA, "AA"),
        ("b", "b"),
    ],
)
def test_an_id_is_written_as_ground_truth_would_have_it(make: Make, lake: Path, given: Any, id: str) -> None:
    m = make()
    m.wrap(lambda row: 0.5)(good_row(), prediction_id=given)
    m.wrap(lambda rows: [0.5])(frame(1), prediction_id=given)  # one id for a batch of one
    m.wrap(lambda rows: [0.5] * 2)(frame(2), prediction_id=pd.Series([given, given], index=[4, 2]))
    m.wrap(lambda rows: [0.5] * 2)(frame(2), prediction_id=(i for i in (given, given)))
    assert errors(m) == {}
    m.close()
    assert [r["prediction_id"] for r in logged(lake)] == [id] * 6


def test_no_id_is_made_up_alone_and_too_few_are_noted(make: Make, lake: Path) -> None:
    m = make()
    predict = m.wrap(lambda rows: [0.5] * len(rows))
    predict(frame(4), prediction_id=[None, "a", float("nan"), ""])
    predict(frame(4), prediction_id=["a"])
    predict(frame(4), prediction_id=7)
    assert errors(m) == {("__row__", "prediction_id"): 8}
    m.close()
    ids = [r["prediction_id"] for r in logged(lake)]
    assert ids[1] == "a" and len(set(ids)) == 12 and not {"None", "nan", "", "7"} & set(ids)


def test_times_of_every_kind_to_the_microsecond(make: Make, lake: Path) -> None:
    m = make()
    moments = [datetime(2024, 3, 1, 12, 30, 5, i * 7919 % 1_000_000, tzinfo=UTC) for i in range(60)]
    naive = [t.replace(tzinfo=None) for t in moments]
    predict = m.wrap(lambda rows: [0.5] * len(rows))
    for times in (moments, naive, pd.Series(moments), np.array(naive, "datetime64[us]"), pl.Series(moments),
                  np.array(naive, "datetime64[ns]"), [t.isoformat() for t in moments]):  # fmt: skip
        predict(frame(60), event_time=times)
    predict(frame(1), event_time=np.datetime64(naive[7]))
    assert errors(m) == {}
    predict(frame(1), event_time=np.datetime64("NaT"))
    assert errors(m) == {("__row__", "event_time"): 1}
    m.close()
    assert [r["event_time"] for r in logged(lake)][:-1] == [*moments * 7, moments[7]]


# Answers.


def test_an_iterator_is_the_callers(make: Make) -> None:
    m = make()
    answer = iter([0.25, 0.5])
    assert list(m.wrap(lambda rows: answer)(frame(2))) == [0.25, 0.5]
    assert list(m.wrap(lambda rows: (a for a in (0.25,)))(frame(1))) == [0.25]
    assert errors(m) == {("__row__", "answer"): 3}


@pytest.mark.parametrize(
    ("answer", "n", "expected"),
    [
        ({"prediction": ["1", "0"], "score": np.array([0.25, 0.75])}, 2, [("1", 0.25), ("0", 0.75)]),
        ({"score": pd.Series([0.25, 0.75])}, 2, [("0", 0.25), ("1", 0.75)]),
        ({"prediction": "1", "score": 0.25}, 1, [("1", 0.25)]),
        ({"prediction": np.array(["1"]), "score": [[0.75, 0.25]]}, 1, [("1", 0.25)]),
        ({"prediction": ["1"], "score": [0.25, 0.75]}, 2, [(None, None)] * 2),
        (0.75, 1, [("1", 0.75)]),
        (np.array(0.75), 1, [("1", 0.75)]),
        (np.array([0.75, 0.25]), 1, [("0", 0.25)]),
        ("10", 2, [(None, None)] * 2),
    ],
)
def test_how_the_answers_of_a_frame_are_read(make: Make, lake: Path, answer: Any, n: int, expected: Any) -> None:
    m = make()
    assert m.wrap(lambda rows: answer)(frame(n)) is answer
    assert errors(m) == ({("__row__", "answer"): n} if expected[0] == (None, None) else {})
    m.close()
    assert [(r["predicted"], r["chance"]) for r in logged(lake)] == expected


@pytest.mark.parametrize(
    ("score", "expected"),
    [
        ({0: 0.25, 1: 0.75}, ("1", 0.75)),
        ({"0": 0.25, "1": 0.75}, ("1", 0.75)),
        ({1: 0.25}, ("0", 0.25)),
        ({"0": 0.25}, ("1", 0.75)),
        ({"no such": 1.0}, (None, None)),
    ],
)
def test_scores_by_class(make: Make, lake: Path, score: Any, expected: Any) -> None:
    m = make()
    m.wrap(lambda row: {"score": score})(good_row())
    m.close()
    assert [(r["predicted"], r["chance"]) for r in logged(lake)] == [expected]


@pytest.mark.parametrize("answer", [[0.1, 0.2, 0.7], {"prediction": ["1", "0"]}, object(), {"score": {"none": 1.0}}])
def test_an_answer_that_is_none_is_counted(make: Make, answer: Any) -> None:
    """By row and by batch alike; a class the reference does not know is one."""
    m = make()
    m.wrap(lambda row: answer)(good_row())
    m.wrap(lambda row: "unknown")(good_row())
    m.wrap(lambda rows: [answer, answer, "unknown", 0.5])(frame(4))
    assert errors(m) == {("__row__", "answer"): 3}
    assert value(m, "model_column_category_total", column="predicted", category="__unseen__") == 2


def test_a_number_as_a_category_is_written_as_ingestion_writes_it() -> None:
    """Held to DuckDB's text of the doubles."""
    numbers = [7.0, -0.0, 0.1, 1e15, 1e16, 123456789012345.0, 1.5e300, 1e-7, 2.5, -3.0]
    ingested = duckdb.execute(
        "select " + values_of_ingestion.categorical("x", "DOUBLE").sql + " from (select unnest($1::double[]) x)",
        [numbers],
    ).fetchall()
    assert [as_category(x)[0] for x in numbers] == [text for (text,) in ingested]
    assert [as_category(Decimal(x))[0] for x in ("2.00", "2.50", "-1E+2")] == ["2", "2.50", "-100"]


def test_of_scores_that_are_no_numbers_no_class_follows(make: Make, lake: Path) -> None:
    m = make()
    nan = [float("nan")] * 2
    m.wrap(lambda row: nan)(good_row())
    m.wrap(lambda rows: [nan])(frame(1))
    m.wrap(lambda rows: np.array([nan]))(frame(1))
    m.close()
    assert [r["predicted"] for r in logged(lake)] == [None] * 3


def test_a_decision_function_decides_at_zero(make: Make, lake: Path) -> None:
    m = make()
    m.wrap(Model().decision_function)(frame(3))
    m.wrap(Model().decision_function)(good_row())  # three numbers for a row: told as such, not broken
    m.close()
    assert [(r["predicted"], r["chance"]) for r in logged(lake)][:3] == [("1", 0.2), ("0", -0.2), ("1", 0.7)]


def test_a_function_called_predict_may_answer_scores(make: Make, lake: Path) -> None:
    def predict(row: Any) -> list[float]:
        return [0.75, 0.25]

    m = make()
    m.wrap(predict, classes=[1, 0])(good_row())
    m.close()
    assert [(r["predicted"], r["chance"]) for r in logged(lake)] == [("1", 0.75)]
