"""docs/serving.md: its snippets run as they stand, its tables say what the code does."""

from __future__ import annotations

import hashlib
import inspect
import json
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skops.io
from fastapi.testclient import TestClient
from pydantic import BaseModel, Field
from sklearn.linear_model import LogisticRegression

from monitoring_pipeline.serving import Monitoring, PredictionLog
from monitoring_pipeline.serving.named_answers import PREDICTION, SCORE
from monitoring_pipeline_tests.serving.conftest import logged, samples
from monitoring_pipeline_tests.serving.reference import reference_document

PAGE = (Path(__file__).parents[2] / "docs" / "serving.md").read_text("utf-8")
MODEL = """
import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.feature_extraction import DictVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

rows = [{"distance": float(i), "carrier": "UA" if i % 3 else "B6"} for i in range(60)]
late = (np.arange(60) > 30).astype(int)
model = make_pipeline(DictVectorizer(), LogisticRegression()).fit(rows, late)
pipeline = make_pipeline(ColumnTransformer([("n", SimpleImputer(), ["distance"])]), LogisticRegression())
pipeline.fit(pd.DataFrame(rows), late)
"""


def flights() -> dict[str, Any]:
    """The reference of two features."""
    document = reference_document(n_numerical=1, n_categorical=1)
    names = {"x0": "distance", "c0": "carrier"}
    for half in (document["layout"]["columns"], document["columns"]):
        half[:] = [{**c, "name": names.get(c["name"], c["name"])} for c in half if c["name"] != "late"]
    return document


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "reference.json").write_text(json.dumps(flights()))
    (tmp_path / "my_model.py").write_text(MODEL)
    monkeypatch.delitem(sys.modules, "my_model", raising=False)
    models = tmp_path / "monitoring" / "models" / "flights"
    models.mkdir(parents=True)
    X = np.arange(60.0).reshape(-1, 1)
    artifact = skops.io.dumps({"estimator": LogisticRegression().fit(X, (X[:, 0] > 30).astype(int))})
    (models / "v.skops").write_bytes(artifact)
    where = {"uri": str(models / "v.skops"), "format": "skops", "reference": str(tmp_path / "reference.json")}
    pointer = {"seq": 1, "monitor": "flights", "model_version": "7", "sha256": hashlib.sha256(artifact).hexdigest()}
    pointer |= where
    (models / "champion.json").write_text(json.dumps(pointer))
    return tmp_path


def test_the_snippets_run_as_they_stand(place: Path) -> None:
    """Each after the ones before it, in an empty directory with the model and the reference."""
    snippets = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert len(snippets) == 6
    names: dict[str, Any] = {"__name__": "service"}
    exec(compile(snippets[0], "serving.md", "exec"), names)
    (first,) = logged(place / "lake" / "flights" / "predictions")
    assert (first["distance"], first["carrier"], first["input_errors"]) == (1400.0, "UA", None)
    exec(compile(snippets[1], "serving.md", "exec"), names)
    with TestClient(names["app"]) as client:
        assert 0 < client.post("/predict", json={"distance": 20.0, "carrier": "B6"}).json()["score"] < 1
        page = samples(client.get("/metrics").content)
        for snippet in snippets[2:5]:
            exec(compile(snippet, "serving.md", "exec"), names)
    assert (
        page["model_http_requests_total", frozenset({("method", "POST"), ("route", "/predict"), ("code", "200")})] == 1
    )
    rows = logged(place / "lake" / "flights" / "predictions")
    assert len(rows) == 5 and names["prediction_id"] in {r["prediction_id"] for r in rows}
    assert all(r["predicted"] is not None and r["input_errors"] is None for r in rows)
    exec(compile(snippets[5], "serving.md", "exec"), names)
    with TestClient(names["app"]) as client:
        assert client.post("/predict", json={"distance": 1000.0}).json()["version"] == "7"
        assert b"model_predictions_total" in client.get("/metrics").content
    names["service"].close()


@pytest.mark.parametrize(("name", "of"), [("Monitoring", Monitoring), ("PredictionLog", PredictionLog),
                                          ("monitoring.wrap", Monitoring.wrap)])  # fmt: skip
def test_the_tables_of_arguments_are_the_signatures(name: str, of: Any) -> None:
    table = PAGE.split(f"| `{name}` | default | |\n|---|---|---|\n")[1].split("\n\n")[0]
    told = {cells[0].strip("` "): cells[1].strip("` ") for line in table.splitlines() if (cells := line.split("|")[1:])}
    parameters = inspect.signature(of).parameters
    found = {
        n: "" if p.default is p.empty else json.dumps(p.default) if isinstance(p.default, str) else repr(p.default)
        for n, p in parameters.items()
        if n != "self"
    }
    assert told == found


def test_every_name_of_an_answer_is_told() -> None:
    told = set(re.findall(r"`(\w+)`", PAGE.split("anything with names | by name:")[1].split("\n")[0]))
    assert told == {*PREDICTION, *SCORE}


def test_every_series_is_told(place: Path) -> None:
    with_log = Monitoring(flights(), PredictionLog("spool", sink=_Nowhere()))
    with_log.observe({"distance": 1.0, "carrier": "UA"}, score=0.5)
    published = set(re.findall(r"^# TYPE (model_\w+)", with_log.metrics().decode(), re.MULTILINE))
    with_log.close()
    told = set(re.findall(r"`(model_\w+)", PAGE))
    assert not {n for n in published if not {n, n + "_total", n + "_bucket"} & told}


class _Nowhere:
    def prepare(self) -> None: ...

    def write(self, name: str, rows: Any) -> None: ...


def test_a_model_with_aliases_is_passed_as_the_page_says(place: Path) -> None:
    class Row(BaseModel):
        miles: float = Field(alias="distance")
        carrier: str

    m = Monitoring(flights())
    row = Row.model_validate({"distance": 3.0, "carrier": "UA"})
    m.wrap(lambda row: 0.5)(row.model_dump(by_alias=True))
    errors = [k for k in samples(m.metrics()) if k[0] == "model_input_errors_total"]
    m.close()
    assert not errors
