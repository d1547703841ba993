"""What a wrapped callable counts and logs, whatever comes in."""

from __future__ import annotations

import asyncio
import os
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from prometheus_client import CollectorRegistry, generate_latest

from monitoring_pipeline.errors import UserError
from monitoring_pipeline.serving import Monitoring, PredictionLogError
from monitoring_pipeline.serving.reference_series import load_reference
from monitoring_pipeline_tests.serving.conftest import logged, samples, value
from monitoring_pipeline_tests.serving.reference import SEED, good_row, reference_document

Make = Callable[..., Monitoring]


def chance(row: Any) -> float:
    return 0.7


def test_the_answer_and_the_arguments_pass_through_unchanged(make: Make) -> None:
    seen: list[Any] = []

    def model(row: Any, flavour: str = "plain") -> dict[str, Any]:
        seen.append((row, flavour))
        return answer

    answer = {"prediction": "1", "score": 0.9}
    row = good_row()
    assert make().wrap(model)(row, flavour="spicy", prediction_id="a") is answer
    assert seen == [(row, "spicy")] and seen[0][0] is row


def test_a_row_reaches_the_lake_as_it_was_answered(make: Make, lake: Path) -> None:
    m = make()
    moment = datetime(2024, 3, 1, 12, 30, tzinfo=UTC)
    m.wrap(chance)(good_row(2), prediction_id="id-1", event_time=moment)
    m.close()
    assert logged(lake) == [
        {"prediction_id": "id-1", "event_time": moment, "model_version": "7", "x0": 0.5, "x1": -1.0, "x2": 3.0,
         "c0": "AA", "c1": "7", "late": "true", "predicted": "1", "chance": 0.7, "input_errors": None}
    ]  # fmt: skip


def as_columns(rows: list[dict[str, Any]]) -> dict[str, list[Any]]:
    return {k: [r[k] for r in rows] for k in rows[0]}


class AnyFrame:
    """No more of a frame than what is asked of one."""

    def __init__(self, frame: pd.DataFrame) -> None:
        self._frame = frame
        self.columns = list(frame.columns)

    def __len__(self) -> int:
        return len(self._frame)

    def __getitem__(self, name: str) -> Any:
        return self._frame[name]


@pytest.mark.parametrize(
    "form",
    [
        lambda rows: rows,
        lambda rows: pd.DataFrame(rows),
        lambda rows: pd.DataFrame(rows).sample(frac=1, axis=1, random_state=1),
        lambda rows: pd.DataFrame(rows).astype({"c0": "category", "c1": "category"}),
        lambda rows: pd.DataFrame(rows).convert_dtypes(),
        lambda rows: pd.DataFrame(rows).astype(object),
        lambda rows: pl.DataFrame(rows),
        lambda rows: AnyFrame(pd.DataFrame(rows)),
        lambda rows: np.array([list(r.values()) for r in rows], dtype=object),
    ],
    ids=[
        "dicts",
        "pandas",
        "pandas in another order",
        "pandas categories",
        "pandas nullable",
        "pandas objects",
        "polars",
        "any frame",
        "object array",
    ],
)
def test_every_form_of_a_batch_counts_and_logs_alike(make: Make, lake: Path, form: Callable[[Any], Any]) -> None:
    rows = [good_row(i) for i in range(300)]
    single, batch = make(), make()
    for row in rows:
        single.wrap(chance)(row)
    batch.wrap(lambda given: np.full(len(given), 0.7))(form(rows))
    one, many = samples(single.metrics()), samples(batch.metrics())
    counted = [k for k in one if k[0].startswith("model_column") or k[0] == "model_predictions_total"]
    assert {k: many[k] for k in counted} == pytest.approx(
        {k: one[k] for k in counted}
    )  # sums are added in another order
    assert many["model_predictions_total", frozenset()] == 300
    single.close()
    batch.close()
    found = logged(lake)
    assert len(found) == len({r["prediction_id"] for r in found}) == 600
    content = [tuple(r[c] for c in ("x0", "x1", "x2", "c0", "c1", "late", "chance", "predicted")) for r in found]
    assert sorted(content[:300]) == sorted(content[300:])


def test_bins_are_the_pipelines(make: Make) -> None:
    """Values on the edges too: right-closed, against bisect."""
    document = reference_document()
    edges = document["layout"]["columns"][0]["edges"]
    rng = np.random.default_rng(SEED)
    values = [
        *edges,
        *np.nextafter(edges, 9).tolist(),
        *np.nextafter(edges, -9).tolist(),
        *rng.normal(size=500).tolist(),
    ]
    expected = [0] * (len(edges) + 1)
    for v in values:
        expected[bisect_left(edges, v)] += 1
    m = make(document)
    predict = m.wrap(chance)
    for v in values:
        predict({**good_row(), "x0": v})
    found = [
        (s, v)
        for s, v in samples(m.metrics()).items()
        if s[0] == "model_column_value_bucket" and ("column", "x0") in s[1]
    ]
    by_edge = sorted((float(dict(s[1])["le"]), v) for s, v in found)
    assert [v for _, v in by_edge] == np.cumsum(expected).tolist()
    assert [e for e, _ in by_edge] == [*edges, float("inf")]


@pytest.mark.parametrize(
    ("column", "given", "reason", "in_lake"),
    [
        ("x0", "12.5", "type", None),
        ("x0", ["nested", {"json": [1, 2]}], "type", None),
        ("x0", {"a": {"b": {}}}, "type", None),
        ("x0", 10**400, "range", None),
        ("x0", 1 + 2j, "type", None),
        ("x0", True, None, 1.0),
        ("x0", np.float32(0.5), None, 0.5),
        ("x0", None, None, None),
        ("x0", pd.NA, None, None),
        ("x0", float("inf"), None, float("inf")),
        ("c0", None, None, None),
        ("c0", float("nan"), None, None),
        ("c0", ["AA"], "type", None),
        ("c0", {"AA": 1}, "type", None),
        ("c1", 7, None, "7"),
        ("c1", 7.0, None, "7"),
        ("c1", np.int64(7), None, "7"),
        ("c0", "unseen", None, "unseen"),
        ("c0", "\ud800\0x", None, "?\ufffdx"),
        ("late", False, None, "false"),
        ("late", np.bool_(True), None, "true"),
    ],
)
@pytest.mark.parametrize("form", ["row", "dicts", "pandas"])
def test_a_bad_value_never_breaks_the_prediction(
    make: Make, lake: Path, column: str, given: Any, reason: str | None, in_lake: Any, form: str
) -> None:
    m = make()
    row = {**good_row(), column: given}
    if form == "row":
        assert m.wrap(chance)(row) == 0.7
    else:
        rows = [good_row(), row]
        batch = (
            rows if form == "dicts" else pd.DataFrame({k: pd.Series([r[k] for r in rows], dtype=object) for k in row})
        )
        m.wrap(lambda given: [0.7] * len(given))(batch)
    errors = {tuple(sorted(k[1])): v for k, v in samples(m.metrics()).items() if k[0] == "model_input_errors_total"}
    assert errors == ({(("column", column), ("reason", reason)): 1} if reason else {})
    m.close()
    found = logged(lake)[-1]
    assert found[column] == in_lake
    assert (found["input_errors"] is None) == (reason is None)
    assert all(found[k] == v for k, v in {"x1": -1.0, "x2": 3.0}.items())


def test_unseen_and_missing_among_pandas_categories(make: Make, lake: Path) -> None:
    m = make()
    frame = pd.DataFrame([good_row(i) for i in range(4)])
    frame["c0"] = pd.Categorical(["AA", "new", None, "new"])
    frame.loc[1, "x0"] = np.nan
    m.wrap(lambda given: [0.5] * 4)(frame)
    assert value(m, "model_column_category_total", column="c0", category="__unseen__") == 2
    assert value(m, "model_column_missing_total", column="c0") == 1
    assert value(m, "model_column_missing_total", column="x0") == 1, "in a frame NaN is missing"
    m.close()
    assert [(r["c0"], r["x0"]) for r in logged(lake)] == [("AA", 0.0), ("new", None), (None, 0.5), ("new", 0.75)]


TEXT_DTYPES = ("str", "string[python]", "string[pyarrow]", "large_string[pyarrow]", "category", "object")


@pytest.mark.parametrize("dtype", TEXT_DTYPES)
@pytest.mark.parametrize("given", [["AA", "B6", "AA"], ["B6", None, "AA"], ["AA", "new", "B6"], [None, "new", "new"]])
def test_texts_of_every_dtype_known_missing_and_unseen(
    make: Make, lake: Path, dtype: str, given: list[str | None]
) -> None:
    m = make()
    frame = pd.DataFrame([good_row(i) for i in range(3)])
    predict = m.wrap(lambda given: [0.5] * len(given))
    for texts in (given, given[::-1], ["B6", "B6", "B6"]):  # what was learnt of one frame does not mislead the next
        frame["c0"] = pd.Series(texts, dtype=_dtype(dtype))
        predict(frame)
    seen = [*given, *given[::-1], "B6", "B6", "B6"]
    assert value(m, "model_column_missing_total", column="c0") == seen.count(None)
    counted = {c: value(m, "model_column_category_total", column="c0", category=c) for c in ("AA", "B6", "__unseen__")}
    assert counted == {"AA": seen.count("AA"), "B6": seen.count("B6"), "__unseen__": seen.count("new")}
    m.close()
    assert [r["c0"] for r in logged(lake)] == seen


def _dtype(name: str) -> Any:
    return pd.ArrowDtype(pa.large_string()) if name == "large_string[pyarrow]" else name


def test_more_categories_than_rows_and_a_column_twice(make: Make, lake: Path) -> None:
    m = make()
    frame = pd.DataFrame([good_row(i) for i in range(3)])
    frame["c0"] = pd.Categorical(["AA", "n7", None], categories=["AA", *(f"n{i}" for i in range(5000))])
    twice = pd.concat([frame, frame[["x0"]] + 1], axis=1)
    m.wrap(lambda given: [0.5] * 3)(twice)
    m.close()
    assert [(r["c0"], r["x0"]) for r in logged(lake)] == [("AA", 0.0), ("n7", 0.25), (None, 0.5)]


@pytest.mark.parametrize("dtype", ["Float64", "float64[pyarrow]", "Int64", "float32", "object"])
def test_numbers_of_every_dtype_may_be_missing(make: Make, lake: Path, dtype: str) -> None:
    m = make()
    frame = pd.DataFrame([good_row(i) for i in range(3)])
    frame["x2"] = pd.Series([3, None, 5], dtype=dtype)
    m.wrap(lambda given: [0.5] * 3)(frame)
    assert value(m, "model_column_missing_total", column="x2") == 1
    assert value(m, "model_column_nonfinite_total", column="x2") == 0
    m.close()
    assert [r["x2"] for r in logged(lake)] == [3.0, None, 5.0]


def test_odd_rows_of_a_batch_do_not_touch_their_neighbours(make: Make, lake: Path) -> None:
    m = make()
    rows: list[dict[str, Any]] = [good_row(i) for i in range(8)]
    rows[1]["x0"], rows[2]["x1"], rows[3]["c0"], rows[4]["c1"] = None, "far", None, ["nested"]
    rows[5]["more"], rows[6]["x0"] = 1, float("nan")
    m.wrap(lambda given: [0.7] * 8)(rows)
    alone = make()
    for row in rows:
        alone.wrap(chance)(row)
    counted = {k: v for k, v in samples(m.metrics()).items() if k[0].startswith(("model_column", "model_input"))}
    assert counted == {k: pytest.approx(v) for k, v in samples(alone.metrics()).items() if k in counted}
    m.close()
    found = logged(lake)
    assert [r["x0"] for r in found[:6]] == [0.0, None, 0.5, 0.75, 1.0, 1.25] and np.isnan(found[6]["x0"])
    assert [r["x1"] for r in found] == [-1.0, -1.0, None, *[-1.0] * 5]
    assert [r["input_errors"] is None for r in found] == [True, True, False, True, False, True, True, True]
    del rows[7]["c0"]  # then every row is read by itself
    one_by_one = make()
    one_by_one.wrap(lambda given: [0.7] * 8)(rows)
    errors = {k: v for k, v in samples(one_by_one.metrics()).items() if k[0] == "model_input_errors_total"}
    reasons = sorted((dict(k[1])["column"], dict(k[1])["reason"], v) for k, v in errors.items())
    assert reasons == [("__extra__", "extra", 1), ("c0", "absent", 1), ("c1", "type", 1), ("x1", "type", 1)]


def test_nan_of_the_caller_is_not_missing(make: Make, lake: Path) -> None:
    m = make()
    predict = m.wrap(chance)
    for x in (float("nan"), float("inf"), -float("inf"), None):
        predict({**good_row(), "x0": x})
    assert value(m, "model_column_nonfinite_total", column="x0") == 3
    assert value(m, "model_column_missing_total", column="x0") == 1
    assert value(m, "model_column_value_count", column="x0") == 0
    m.close()
    found = [r["x0"] for r in logged(lake)]
    assert np.isnan(found[0]) and found[1:] == [float("inf"), -float("inf"), None]


@pytest.mark.parametrize("form", ["dict", "frame"])
def test_missing_and_extra_features(make: Make, form: str) -> None:
    m = make(ignore=("trace",))
    row: dict[str, Any] = {**good_row(), "more": 1, "trace": "t"}
    del row["x1"], row["c0"]
    m.wrap(chance)(row) if form == "dict" else m.wrap(lambda f: [0.7])(pd.DataFrame([row]))
    assert value(m, "model_input_errors_total", column="x1", reason="absent") == 1
    assert value(m, "model_input_errors_total", column="c0", reason="absent") == 1
    assert value(m, "model_column_missing_total", column="c0") == 1
    # as many keys as features: the extra one is told all the same when the row is longer
    assert value(m, "model_input_errors_total", column="__extra__", reason="extra") in (None, 1)
    m.wrap(chance)({**good_row(), "more": 1})
    assert (value(m, "model_input_errors_total", column="__extra__", reason="extra") or 0) >= 1


def test_ten_thousand_unknown_categories_are_one_series(make: Make, lake: Path) -> None:
    m = make()
    predict = m.wrap(chance)
    before = len(samples(m.metrics()))
    for i in range(10_000):
        predict({**good_row(), "c0": f"new-{i}"})
    assert value(m, "model_column_category_total", column="c0", category="__unseen__") == 10_000
    assert len(samples(m.metrics())) == before
    m.close()
    assert {r["c0"] for r in logged(lake)} == {f"new-{i}" for i in range(10_000)}


def test_a_huge_text_is_logged_cut(make: Make, lake: Path) -> None:
    m = make()
    m.wrap(chance)({**good_row(), "c0": "x" * 5_000_000, "x0": "y" * 5_000_000}, prediction_id="z" * 1_000_000)
    m.close()
    (row,) = logged(lake)
    assert row["c0"] == "x" * 256 and len(row["input_errors"]) < 400 and len(row["prediction_id"]) < 256


@dataclass
class Flight:
    x0: float
    x1: float
    x2: float
    c0: str
    c1: str
    late: bool


@pytest.mark.parametrize(
    "row", [Flight(0.0, -1.0, 3, "AA", "7", True), [0.0, -1.0, 3.0, "AA", "7", True], pd.Series(good_row())]
)
def test_rows_that_are_no_dicts(make: Make, lake: Path, row: Any) -> None:
    m = make()
    m.wrap(chance)(row)
    m.close()
    (found,) = logged(lake)
    assert [found[c] for c in ("x0", "x1", "x2", "c0", "c1", "late")] == [0.0, -1.0, 3.0, "AA", "7", "true"]


@pytest.mark.parametrize("row", ["text", 5, None, object(), b"\xff", [1, 2], {1: 2}, np.zeros((2, 9)), []])
def test_what_is_no_row_at_all(make: Make, row: Any) -> None:
    m = make()
    assert m.wrap(chance)(row) == 0.7
    n = value(m, "model_predictions_total")
    assert n == (0 if isinstance(row, list) and not row else 2 if isinstance(row, np.ndarray) else 1)


@pytest.mark.parametrize(
    ("answer", "options", "expected"),
    [
        (0.2, {}, ("0", 0.2)),
        (np.array([[0.4, 0.6]]), {}, ("1", 0.6)),
        (np.array([0.6, 0.4]), {"classes": np.array([1, 0])}, ("1", 0.6)),
        (np.array([1]), {}, ("1", None)),
        ("0", {}, ("0", None)),
        (True, {}, ("true", None)),  # unseen, in its own words
        (1.0, {"output": "prediction"}, ("1", None)),
        ({"prediction": 0, "score": 0.8}, {}, ("0", 0.8)),
        (None, {}, (None, None)),
        ([0.1, 0.2, 0.7], {}, (None, None)),
    ],
)
@pytest.mark.parametrize("batch", [False, True])
def test_how_answers_are_read(
    make: Make, lake: Path, answer: Any, options: dict[str, Any], expected: tuple[Any, Any], batch: bool
) -> None:
    m = make()
    if batch:
        m.wrap(lambda rows: [answer], **options)([good_row()])
    else:
        m.wrap(lambda row: answer, **options)(good_row())
    m.close()
    (row,) = logged(lake)
    assert (row["predicted"], row["chance"]) == expected


def test_an_exception_passes_through_and_is_counted(make: Make) -> None:
    m = make()

    def broken(row: Any) -> float:
        raise KeyError("no such model")

    for _ in range(3):
        with pytest.raises(KeyError, match="no such model"):
            m.wrap(broken)(good_row())
    assert value(m, "model_prediction_errors_total", error="KeyError") == 3
    assert value(m, "model_predictions_total") == 0
    assert value(m, "model_predictions_in_flight") == 0


def test_an_async_callable_stays_one(make: Make, lake: Path) -> None:
    m = make()

    async def model(row: Any) -> float:
        await asyncio.sleep(0.01)
        return 0.3

    async def twice() -> list[float]:
        predict = m.wrap(model)
        return await asyncio.gather(predict(good_row()), predict(good_row()))

    assert asyncio.run(twice()) == [0.3, 0.3]
    m.close()
    assert len(logged(lake)) == 2


@pytest.mark.parametrize("moment", ["yesterday", float("nan"), float("inf"), 1e300, -5, object()])
def test_a_time_that_is_none_becomes_now(make: Make, lake: Path, moment: Any) -> None:
    m = make()
    m.wrap(chance)(good_row(), event_time=moment)
    assert value(m, "model_input_errors_total", column="__row__", reason="event_time") == 1
    m.close()
    assert abs((logged(lake)[0]["event_time"] - datetime.now(UTC)).total_seconds()) < 60


def test_a_skewed_clock_is_logged_as_it_was(make: Make, lake: Path) -> None:
    """Two days ahead, ten years back: placing or quarantining them is the pipeline's business."""
    m = make()
    moments = [datetime(2014, 1, 1, tzinfo=UTC), datetime.now(UTC).replace(microsecond=0, year=2090)]
    for moment in moments:
        m.wrap(chance)(good_row(), event_time=moment.timestamp())
    m.close()
    assert [r["event_time"] for r in logged(lake)] == moments


def test_observe_gives_the_id_that_is_in_the_lake(make: Make, lake: Path) -> None:
    m = make()
    name = m.observe(good_row(), prediction="1", score=0.6)
    known = m.new_id()
    assert m.observe(good_row(), prediction=1, score={"0": 0.3, "1": 0.7}, prediction_id=known) == known
    m.close()
    assert [(r["prediction_id"], r["predicted"], r["chance"]) for r in logged(lake)] == [
        (name, "1", 0.6),
        (known, "1", 0.7),
    ]


def test_the_reference_is_published_as_its_bucket_chain(make: Make) -> None:
    document = reference_document()
    found = samples(make(document).metrics())
    counts, edges = document["columns"][1]["counts"], document["layout"]["columns"][1]["edges"]
    chain = {dict(k[1])["prev_le"]: (dict(k[1])["le"], v) for k, v in found.items()
             if k[0] == "model_reference_value_bucket" and ("column", "x1") in k[1]}  # fmt: skip
    previous, walked = "-Inf", []
    while previous != "+Inf":
        previous, n = chain[previous]
        walked.append((float(previous), n))
    assert walked == list(zip([*edges, float("inf")], np.cumsum(counts).tolist(), strict=True))
    assert found["model_reference_count", frozenset({("column", "c0")})] == 400
    live = {dict(k[1])["le"] for k in found if k[0] == "model_column_value_bucket" and ("column", "x1") in k[1]}
    assert live == {le for le, _ in chain.values()}, "live and reference must name their edges alike, to be joined"


def test_a_reference_that_is_none_is_named(tmp_path: Path) -> None:
    bad = tmp_path / "reference.json"
    with pytest.raises(UserError, match=r"reference\.json.*cannot be read"):
        load_reference(bad)
    bad.write_text('{"format": 99}')
    with pytest.raises(UserError, match=r"reference\.json.*format 99"):
        load_reference(bad)
    document = reference_document()
    document["layout"]["columns"][0]["name"] = document["columns"][0]["name"] = "event_time"
    with pytest.raises(UserError, match="event_time"):
        Monitoring(document)


def test_the_page_says_what_a_registry_says(make: Make) -> None:
    """The service's own page is text made once with the figures put in; a registry's is prometheus_client's."""
    document = reference_document()
    for columns in (document["layout"]["columns"], document["columns"]):
        columns[0]["name"] = 'a "quoted" 100 %s\n\\ \u2028 name'
    registry = CollectorRegistry()
    m, of_registry = make(document), make(document, registry=registry)
    for i in range(50):
        row = {columns[0]["name"]: 1e300 * i, "x1": float("nan"), "x2": -1, "c0": f"n{i % 3}", "c1": None, "late": True}
        m.wrap(chance)(row)
        of_registry.wrap(chance)(row)
    own, theirs = samples(m.metrics()), samples(generate_latest(registry))
    changing = ("seconds", "model_log", "model_process", "process_")
    assert {k: v for k, v in own.items() if not any(c in k[0] for c in changing)} == {
        k: v for k, v in theirs.items() if not any(c in k[0] for c in changing)
    }
    assert sum(k[0].startswith("model_column") for k in own) > 50
    assert [line for line in m.metrics().decode().splitlines() if line.startswith("# TYPE model_column")] == [
        line for line in of_registry.metrics().decode().splitlines() if line.startswith("# TYPE model_column")
    ]


def test_without_a_log_it_only_counts() -> None:
    m = Monitoring(reference_document())
    m.wrap(chance)(good_row())
    assert value(m, "model_predictions_total") == 1
    assert not any(k[0].startswith("model_log") for k in samples(m.metrics()))
    m.close()


def test_a_forked_child_has_its_own_counters_and_spool(make: Make, lake: Path) -> None:
    m = make()
    predict = m.wrap(chance)
    predict(good_row(), prediction_id="parent-1")
    pid = os.fork()
    if pid == 0:
        predict(good_row(), prediction_id="child-1")
        m.close(5.0)
        os._exit(0 if value(m, "model_predictions_total") == 1 else 1)
    assert os.waitpid(pid, 0)[1] == 0
    predict(good_row(), prediction_id="parent-2")
    m.close()
    assert sorted(r["prediction_id"] for r in logged(lake)) == ["child-1", "parent-1", "parent-2"]


def test_threads_lose_no_count(make: Make, lake: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    m = make()
    predict = m.wrap(chance)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda i: predict(good_row(i), prediction_id=str(i)), range(4000)))
    assert value(m, "model_predictions_total") == 4000
    assert value(m, "model_prediction_duration_seconds_count") == 4000
    m.close()
    assert {r["prediction_id"] for r in logged(lake)} == {str(i) for i in range(4000)}


def test_a_log_belongs_to_one_monitoring(make: Make) -> None:
    m = make()
    with pytest.raises(ValueError, match="open already"):
        Monitoring(reference_document(), m.log)


def test_after_close_a_prediction_is_not_answered_unlogged(make: Make) -> None:
    m = make()
    m.close()
    with pytest.raises((PredictionLogError, ValueError), match="not open"):
        m.wrap(chance)(good_row())
