"""Answers that have names are read by them; what could mean two things is an error, never a wrong prediction."""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable
from dataclasses import make_dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from pydantic import create_model

from monitoring_pipeline.serving import Monitoring
from monitoring_pipeline_tests.serving.conftest import logged, value
from monitoring_pipeline_tests.serving.reference import good_row, reference_document

Make = Callable[..., Monitoring]
Labelled = namedtuple("Labelled", ["label", "score"])
Unnamed = namedtuple("Unnamed", ["a", "b"])
Fields = make_dataclass("Fields", ["prediction", "score"])
Model = create_model("Model", prediction=(int, ...), score=(float, ...))
Columns = create_model("Columns", prediction=(list[int], ...), score=(list[float], ...))
OWN = {"predicted": 1, "chance": 0.25}  # the log's own columns


class Plain:
    def __init__(self) -> None:
        self.prediction, self.score = 1, 0.25


ANSWERS: list[Any] = [
    Labelled(1, 0.25),
    Fields(1, 0.25),
    Model(prediction=1, score=0.25),
    Plain(),
    pd.Series({"score": 0.25, "prediction": 1}),
    {"score": 0.25, "label": 1, "took": 3},
    {"prediction": 1, "proba": 0.25, "label": "late"},
    {"class": 1, "probabilities": [0.75, 0.25]},
    {"prediction": np.array([1]), "score": np.array([0.25])},
    {"prediction": 1, "score": {"0": 0.75, "1": 0.25}},
    pd.DataFrame({"score": [0.25], "prediction": [1]}),
    pl.DataFrame({"score": [0.25], "prediction": [1]}),
    [{"prediction": 1, "score": 0.25}],
    np.array([(0.25, 1)], [("score", "f8"), ("prediction", "i8")])[0],
    OWN,
]


@pytest.mark.parametrize("batch", [False, True])
def test_an_answer_is_read_by_its_names(make: Make, lake: Path, batch: bool) -> None:
    """0.25 would be class 0, and so would the fields in the order they stand in."""
    m = make()
    for answer in ANSWERS:
        if batch:
            m.wrap(lambda rows, a=answer: [a, a])([good_row(), good_row()])
        else:
            m.wrap(lambda row, a=answer: a)(good_row())
    assert value(m, "model_input_errors_total", column="__row__", reason="answer") is None
    m.close()
    assert [(r["predicted"], r["chance"]) for r in logged(lake)] == [("1", 0.25)] * len(ANSWERS) * (1 + batch)


@pytest.mark.parametrize(
    "answers",
    [
        pd.DataFrame({"score": [0.25, 0.75], "prediction": [1, 0]}),
        pd.DataFrame({"chance": [0.25, 0.75], "predicted": [1, 0]}, index=["prediction", "score"]),
        pl.DataFrame({"score": [0.25, 0.75], "prediction": [1, 0]}),
        pa.table({"score": [0.25, 0.75], "prediction": [1, 0]}),
        np.array([(0.25, 1), (0.75, 0)], [("score", "f8"), ("prediction", "i8")]),
        Labelled([1, 0], [0.25, 0.75]),
        Columns(prediction=[1, 0], score=[0.25, 0.75]),
        {"label": np.array([1, 0]), "probability": pd.Series([0.25, 0.75])},
    ],
    ids=["pandas", "own columns", "polars", "arrow", "structured", "named tuple", "pydantic", "mapping"],
)
def test_a_batch_is_read_by_its_names(make: Make, lake: Path, answers: Any) -> None:
    m = make()
    m.wrap(lambda rows: answers)([good_row(), good_row()])
    assert value(m, "model_input_errors_total", column="__row__", reason="answer") is None
    m.close()
    assert [(r["predicted"], r["chance"]) for r in logged(lake)] == [("1", 0.25), ("0", 0.75)]


@pytest.mark.parametrize(
    "answers",
    [
        pd.DataFrame({"1": [0.25, 0.75], "0": [0.75, 0.25]}),
        pd.DataFrame({1: [0.25, 0.75], 0: [0.75, 0.25]}),
        {1: [0.25, 0.75]},
        [{1: 0.25, 0: 0.75}, pd.Series({"1": 0.75, "0": 0.25})],
        pd.DataFrame([[0.75, 0.25], [0.25, 0.75]]),
        pl.DataFrame([[0.75, 0.25], [0.25, 0.75]]).transpose(),
        pd.DataFrame({"whatever": [0.25, 0.75]}),
        pd.Series([0.25, 0.75], index=[1, 0]),
    ],
    ids=["texts", "numbers", "one class", "a row each", "positions", "polars positions", "one column", "row labels"],
)
def test_fields_named_as_the_classes_are_their_scores(make: Make, lake: Path, answers: Any) -> None:
    m = make()
    m.wrap(lambda rows: answers)([good_row(), good_row()])
    assert value(m, "model_input_errors_total", column="__row__", reason="answer") is None
    m.close()
    assert [(r["predicted"], r["chance"]) for r in logged(lake)] == [("0", 0.25), ("1", 0.75)]


AMBIGUOUS: list[Any] = [
    (1, 0.7),
    [0, 0.7],
    np.array([1.0, 0.7]),
    (0, 1),
    ("1", 0.7),
    Unnamed(0.3, 0.7),
    {},
    {"chances": 0.7},
    {"label": 1, "class": 0},
    pd.Series({"a": 0.3, "b": 0.7}),
    {"score": ["no", 0.7]},
    {"prediction": [1, 0]},
]


@pytest.mark.parametrize("batch", [False, True])
def test_what_could_mean_two_things_or_nothing_is_an_error(make: Make, lake: Path, batch: bool) -> None:
    m = make()
    for answer in AMBIGUOUS:
        found = m.wrap(lambda rows, a=answer: [a, a] if batch else a)([good_row()] * 2 if batch else good_row())
        assert found is answer or found[0] is answer
    n = len(AMBIGUOUS) * (1 + batch)
    assert value(m, "model_input_errors_total", column="__row__", reason="answer") == n
    m.close()
    found = logged(lake)
    assert {(r["predicted"], r["chance"]) for r in found} == {(None, None)}
    assert all(r["input_errors"] for r in found), "the log tells what the answer was"


@pytest.mark.parametrize(
    "answers",
    [
        np.array([[1.0, 0.7], [0.0, 0.2]]),
        pd.DataFrame({"a": [0.3, 0.8], "b": [0.7, 0.2]}),
        ([1, 0], [0.7, 0.2]),
        Labelled([1, 0, 1], [0.7, 0.2, 0.7]),
        pd.Series({"prediction": 1, "score": 0.7}),
    ],
    ids=["labels beside scores", "no names known", "a tuple of columns", "three for two", "one row's for two"],
)
def test_a_batch_that_could_mean_two_things_is_an_error_of_each_row(make: Make, lake: Path, answers: Any) -> None:
    m = make()
    m.wrap(lambda rows: answers)([good_row(), good_row()])
    assert value(m, "model_input_errors_total", column="__row__", reason="answer") == 2
    m.close()
    assert [(r["predicted"], r["chance"]) for r in logged(lake)] == [(None, None)] * 2


def test_what_was_said_is_taken_as_it_was_said(make: Make, lake: Path) -> None:
    """Scores need not add up to one where the caller says that they are scores."""
    m = make()
    m.wrap(lambda row: (1, 0.7), output="scores")(good_row())
    m.wrap(lambda rows: np.array([[2.5, -1.0]]), output="scores")([good_row()])
    m.wrap(lambda row: [0.33, 0.66])(good_row())  # two decimals
    assert value(m, "model_input_errors_total", column="__row__", reason="answer") is None
    m.close()
    assert [(r["predicted"], r["chance"]) for r in logged(lake)] == [("0", 0.7), ("0", -1.0), ("1", 0.66)]


def several_classes() -> dict[str, Any]:
    document = reference_document()
    score = next(c for c in document["layout"]["columns"] if c["name"] == "chance")
    counted = next(c for c in document["columns"] if c["name"] == "chance")
    for half, one in ((document["layout"]["columns"], score), (document["columns"], counted)):
        half.remove(one)
        half += [{**one, "name": f"chance_{c}"} for c in "abc"]
    predicted = next(c for c in document["layout"]["columns"] if c["name"] == "predicted")
    predicted["categories"] = ["a", "b", "c"]
    next(c for c in document["columns"] if c["name"] == "predicted")["counts"] = [1, 1, 1, 0]
    document["layout"]["outcome"] |= {"task": "multiclass", "classes": ["a", "b", "c"], "scored": ["a", "b", "c"]}
    return document


def test_several_classes_by_name(make: Make, lake: Path) -> None:
    m = make(several_classes())
    shares = {"c": 0.5, "a": 0.25, "b": 0.25}
    columns = {f"chance_{c}": v for c, v in shares.items()}
    for answer in (shares, columns, {"prediction": "c", **columns}, {"scores": shares}, [0.25, 0.25, 0.5]):
        m.wrap(lambda row, a=answer: a)(good_row())
    m.wrap(lambda rows: pd.DataFrame([columns] * 2))([good_row()] * 2)
    m.wrap(lambda row: ("c", 0.25, 0.5))(good_row())
    assert value(m, "model_input_errors_total", column="__row__", reason="answer") == 1
    m.close()
    found = [[r["predicted"], *(r[f"chance_{c}"] for c in "abc")] for r in logged(lake)]
    assert found == [["c", 0.25, 0.25, 0.5]] * 7 + [[None] * 4]
