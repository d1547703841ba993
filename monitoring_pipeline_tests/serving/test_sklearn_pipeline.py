"""Imputed and unknown values, counted by feature and step, in pipelines of every shape people write."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.feature_extraction import DictVectorizer, FeatureHasher
from sklearn.impute import KNNImputer, SimpleImputer
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, OrdinalEncoder, StandardScaler, TargetEncoder

from monitoring_pipeline.serving import Monitoring
from monitoring_pipeline_tests.serving.conftest import logged, samples, value
from monitoring_pipeline_tests.serving.reference import SEED, reference_document

NUMERICAL, CATEGORICAL = ["x0", "x1", "x2"], ["c0", "c1"]


def frame(n: int = 60) -> pd.DataFrame:
    rng = np.random.default_rng(SEED)
    data: dict[str, Any] = {c: rng.normal(size=n) for c in NUMERICAL}
    return pd.DataFrame(
        data | {c: rng.choice(["AA", "B6", "7"], n) for c in CATEGORICAL} | {"late": rng.random(n) < 0.5}
    )


def holed() -> pd.DataFrame:
    data = frame().astype(dict.fromkeys(CATEGORICAL, object))
    data.loc[:4, "x0"] = np.nan
    data.loc[:1, "x2"] = np.nan
    data["c0"] = pd.Series([None] * 3 + data["c0"].tolist()[3:], dtype=object)
    data.loc[5:7, "c1"] = "unheard of"
    assert data["c0"][0] is None
    return data


def imputed(m: Monitoring) -> dict[tuple[str, str], float]:
    found = {k: v for k, v in samples(m.metrics()).items() if k[0] == "model_column_imputed_total"}
    return {(dict(k[1])["column"], dict(k[1])["transformer"]): v for k, v in found.items()}


def by_columns() -> Pipeline:
    words = Pipeline([("fill", SimpleImputer(strategy="most_frequent", missing_values=None)),
                      ("encode", OneHotEncoder(handle_unknown="ignore"))])  # fmt: skip
    numbers = make_pipeline(KNNImputer(), StandardScaler())
    columns = ColumnTransformer(
        [("numbers", numbers, NUMERICAL), ("words", words, CATEGORICAL)], remainder="passthrough"
    )
    return Pipeline([("columns", columns), ("model", LogisticRegression())])


@pytest.fixture
def fitted() -> Pipeline:
    data = frame().astype(dict.fromkeys(CATEGORICAL, object))
    return by_columns().fit(data, (data["x0"] > 0).astype(int))


def test_values_are_counted_and_answers_unchanged(fitted: Pipeline) -> None:
    m = Monitoring(reference_document())
    given = holed()
    served = m.wrap_pipeline(fitted)
    np.testing.assert_array_equal(served.predict_proba(given), fitted.predict_proba(given))
    assert imputed(m) == {
        ("x0", "columns.numbers.knnimputer"): 5,
        ("x2", "columns.numbers.knnimputer"): 2,
        ("c0", "columns.words.fill"): 3,
        ("c1", "columns.words.encode"): 3,
    }
    assert value(m, "model_predictions_total") == len(given)
    assert value(m, "model_column_missing_total", column="x0") == 5
    assert value(m, "model_column_category_total", column="c1", category="__unseen__") == 3
    assert (served.predict(given) == fitted.predict(given)).all()
    m.close()


def test_an_instrumented_pipeline_only_counts_and_the_decision_around_it_is_logged(
    fitted: Pipeline, make: Callable[..., Monitoring], lake: Path
) -> None:
    m = make()
    pipeline = m.instrument(fitted)

    @m.wrap
    def decide(row: dict[str, Any]) -> dict[str, Any]:
        score = float(pipeline.predict_proba(pd.DataFrame([row]))[0, 1])
        return {"prediction": int(score >= 0.01), "score": score}

    given = holed().head(8)
    answers = [decide(row) for row in given.to_dict("records")]
    np.testing.assert_array_equal([a["score"] for a in answers], fitted.predict_proba(given)[:, 1])
    assert imputed(m) == {
        ("x0", "columns.numbers.knnimputer"): 5,
        ("x2", "columns.numbers.knnimputer"): 2,
        ("c0", "columns.words.fill"): 3,
        ("c1", "columns.words.encode"): 3,
    }
    assert value(m, "model_predictions_total") == 8, "the pipeline itself counts no prediction"
    m.close()
    assert [(r["predicted"], r["chance"]) for r in logged(lake)] == [
        (str(a["prediction"]), a["score"]) for a in answers
    ]
    assert any(a["prediction"] == 1 and a["score"] < 0.5 for a in answers), "0.5 would do; the test says nothing"


def test_the_fitted_pipeline_is_not_touched(fitted: Pipeline) -> None:
    m = Monitoring(reference_document())
    m.wrap_pipeline(fitted)
    fitted.predict_proba(holed())
    assert imputed(m) == {} and value(m, "model_predictions_total") == 0
    assert list(m.wrap_pipeline(fitted).classes_) == [0, 1]
    m.close()


def test_a_mapping_and_a_list_of_them_are_accepted(fitted: Pipeline) -> None:
    m = Monitoring(reference_document())
    served = m.wrap_pipeline(fitted)
    row = frame().iloc[3].to_dict() | {"x1": None}
    assert served.predict_proba(row).shape == (1, 2)
    assert served.predict_proba([row, row]).shape == (2, 2)
    assert imputed(m) == {("x1", "columns.numbers.knnimputer"): 3}
    assert value(m, "model_predictions_total") == 3
    m.close()


def with_ratio(given: pd.DataFrame) -> pd.DataFrame:
    return given.assign(ratio=given["x0"] / (given["x1"].abs() + 1))


def first_rows() -> dict[str, tuple[Any, Any]]:
    """Pipelines whose first step knows no names, or takes none; each with what it was fitted on."""
    data = frame().astype(dict.fromkeys(CATEGORICAL, object))
    added = ColumnTransformer([("n", SimpleImputer(), ["x0", "ratio"]), ("c", OneHotEncoder(), ["c0"])])
    columns = by_columns().named_steps["columns"]
    steps: dict[str, list[Any]] = {
        "passthrough": ["passthrough", columns],
        "nothing, nested": [Pipeline([("a", "passthrough"), ("b", columns)])],
        "adds a column": [FunctionTransformer(with_ratio), added],
        "dicts": [DictVectorizer()],
        "hashed dicts": [FeatureHasher(32)],
        "objects": [OneHotEncoder(handle_unknown="ignore")],
    }
    given = {"dicts": data.to_dict("records"), "hashed dicts": data.to_dict("records"),
             "objects": data[[*NUMERICAL, *CATEGORICAL, "late"]].to_numpy(object)}  # fmt: skip
    return {name: (make_pipeline(*some, LogisticRegression()), given.get(name, data)) for name, some in steps.items()}


@pytest.mark.parametrize("name", list(first_rows()))
@pytest.mark.parametrize("search", [False, True])
def test_mappings_become_what_the_first_step_was_fitted_on(name: str, search: bool) -> None:
    model, given = first_rows()[name]
    if search:
        model = GridSearchCV(model, {"logisticregression__C": [1.0]}, cv=2)
    model.fit(given, (frame()["x0"] > 0).astype(int))
    rows = frame().to_dict("records")
    m = Monitoring(reference_document())
    served = m.wrap_pipeline(model)
    np.testing.assert_allclose(served.predict_proba(rows[:7]), model.predict_proba(given[:7]))
    np.testing.assert_allclose(served.predict_proba(rows[3]), model.predict_proba(given[3:4]))
    assert value(m, "model_predictions_total") == 8
    m.close()


@pytest.mark.parametrize("columns", [[0, 2], slice(0, 3, 2), np.array([True, False, True]), [True, False, True]])
def test_arrays_without_names_take_the_references(columns: Any) -> None:
    document = reference_document(n_categorical=0)
    document["layout"]["columns"] = [c for c in document["layout"]["columns"] if c["name"] != "late"]
    document["columns"] = [c for c in document["columns"] if c["name"] != "late"]
    m = Monitoring(document)
    X = frame()[NUMERICAL].to_numpy(copy=True)
    both = FeatureUnion([("a", SimpleImputer()), ("b", SimpleImputer(strategy="median"))])
    pipeline = make_pipeline(ColumnTransformer([("some", both, columns)]), LogisticRegression()).fit(X, X[:, 0] > 0)
    X[:7, 2] = np.nan
    m.wrap_pipeline(pipeline).predict_proba(X)
    path = "columntransformer.some"
    assert imputed(m) == {("x2", f"{path}.a"): 7, ("x2", f"{path}.b"): 7}
    m.close()


def test_a_marker_for_missing_and_an_ordinal_encoder() -> None:
    m = Monitoring(reference_document())
    columns = ColumnTransformer([
        ("n", SimpleImputer(missing_values=-1), ["x0"]),
        ("c", OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1), ["c0"]),
    ])  # fmt: skip
    data = frame()
    pipeline = make_pipeline(columns, LogisticRegression()).fit(data, data["late"])
    data.loc[:9, "x0"] = -1
    data.loc[:1, "c0"] = "?"
    m.wrap_pipeline(pipeline).predict(data)
    assert imputed(m) == {("x0", "columntransformer.n"): 10, ("c0", "columntransformer.c"): 2}
    m.close()


@pytest.mark.parametrize(
    "encoder",
    [TargetEncoder(), OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=np.nan),
     OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=5)],
    ids=["target", "ordinal", "infrequent"],
)  # fmt: skip
@pytest.mark.parametrize("around", ["alone", "search", "n_jobs"])
def test_encoders_and_what_stands_around_them(encoder: Any, around: str) -> None:
    m = Monitoring(reference_document())
    data = frame().astype(dict.fromkeys(CATEGORICAL, object))
    columns = ColumnTransformer([("n", SimpleImputer(), NUMERICAL), ("c", encoder, CATEGORICAL)])
    model: Any = make_pipeline(columns, HistGradientBoostingClassifier(max_iter=2))
    if around == "search":
        model = GridSearchCV(model, {"histgradientboostingclassifier__max_depth": [2]}, cv=2)
    model.fit(data, (data["x0"] > 0).astype(int))
    given = holed()
    expected = model.predict_proba(given)
    columns.n_jobs = 2 if around == "n_jobs" else None
    np.testing.assert_array_equal(m.wrap_pipeline(model).predict_proba(X=given), expected)
    path = "columntransformer"
    assert imputed(m) == {
        ("x0", f"{path}.n"): 5, ("x2", f"{path}.n"): 2, ("c0", f"{path}.c"): 3, ("c1", f"{path}.c"): 3
    }  # fmt: skip
    m.close()


def test_a_classifier_without_probabilities(make: Callable[..., Monitoring], lake: Path) -> None:
    """Classes that are floats, too: what ``predict`` answers is no score."""
    m = make()
    data = frame()[NUMERICAL]
    pipeline = make_pipeline(SimpleImputer(), RidgeClassifier()).fit(data, (data["x0"] > 0).astype(float))
    served = m.wrap_pipeline(pipeline)
    classes, scores = served.predict(data), served.decision_function(data)
    assert ((scores > 0) == classes).all() and ((scores > 0) != (scores > 0.5)).any()
    m.close()
    found = logged(lake)
    assert [r["predicted"] for r in found] == ["1" if c else "0" for c in classes] * 2
    assert [r["chance"] for r in found] == [None] * len(data) + scores.tolist()


def test_what_the_pipeline_refuses_it_refuses_still(fitted: Pipeline) -> None:
    m = Monitoring(reference_document())
    with pytest.raises(ValueError, match="columns are missing"):
        m.wrap_pipeline(fitted).predict(frame().drop(columns="x0"))
    assert value(m, "model_prediction_errors_total", error="ValueError") == 1
    m.close()
