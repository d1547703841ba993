"""The real flights model behind the example service: what it imputes, what it decides, what reaches the lake."""

from __future__ import annotations

import json
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from fastapi.testclient import TestClient

from monitoring_pipeline.demo import models
from monitoring_pipeline.demo.flights import BOOLEAN, CATEGORICAL, FEATURES, NUMERICAL, load_flights
from monitoring_pipeline.demo.service_model import ServiceModel
from monitoring_pipeline.example import service
from monitoring_pipeline.example.place import Place
from monitoring_pipeline.example.traffic import Request, drawn_from_reference
from monitoring_pipeline_tests.collector.conftest import rows
from monitoring_pipeline_tests.serving.conftest import samples

N = 60


def document(held_out: pd.DataFrame) -> dict[str, Any]:
    """A reference of these rows with their prediction and score, counted here."""
    columns, counted = [], []
    numbers = [*((name, "feature") for name in NUMERICAL), ("score", "score")]
    words = [*((name, "feature") for name in (*CATEGORICAL, *BOOLEAN)), ("prediction", "prediction")]
    for name, role in numbers:
        values = held_out[name].dropna()
        edges = np.unique(values.quantile(np.linspace(0, 1, 9))).tolist()
        columns.append({"name": name, "role": role, "kind": "numerical", "edges": edges, "categories": []})
        counted.append([int(((values > a) & (values <= b)).sum()) for a, b in pairwise([-np.inf, *edges, np.inf])])
    for name, role in words:
        values = held_out[name].dropna().astype(str).str.lower() if name in BOOLEAN else held_out[name].dropna()
        n = Counter(values.astype(str))
        columns.append({"name": name, "role": role, "kind": "categorical", "edges": [], "categories": sorted(n)})
        counted.append([*(n[c] for c in sorted(n)), 0])
    outcome = {"task": "binary", "classes": ["0", "1"], "scored": ["1"], "score_edges": [0.5], "error_edges": [],
               "centre": 0.0}  # fmt: skip
    facts = {"n": len(held_out), "n_nan": 0, "n_inf": 0, "n_zero": 0, "minimum": None, "maximum": None, "mean": 0.0,
             "m2": 0.0}  # fmt: skip
    return {
        "format": 1, "monitor": "late15_live", "model_version": models.VERSION, "n_rows": len(held_out),
        "window": ["2013-01-01T00:00:00+00:00", "2013-04-01T00:00:00+00:00"],
        "layout": {"columns": columns, "outcome": outcome},
        "columns": [facts | {"name": c["name"], "role": c["role"], "counts": k, "n_missing": len(held_out) - sum(k)}
                    for c, k in zip(columns, counted, strict=True)],
    }  # fmt: skip


@pytest.fixture(scope="module")
def flights() -> pd.DataFrame:
    return load_flights().frame


@pytest.fixture(scope="module")
def model(flights: pd.DataFrame) -> ServiceModel:
    fitted = models.fit("late15", models.training_rows(flights).sample(5000, random_state=1))
    return ServiceModel(models.VERSION, FEATURES, fitted)


@pytest.fixture
def place(tmp_path: Path, flights: pd.DataFrame, model: ServiceModel, monkeypatch: pytest.MonkeyPatch) -> Place:
    held_out = models.reference_rows(flights).sample(2000, random_state=2)
    place = Place(tmp_path)
    place.root.mkdir()
    place.reference.write_text(json.dumps(document(held_out.join(model.model.predict(held_out)))))
    monkeypatch.setenv("MONITORING_HOME", str(tmp_path))
    monkeypatch.delenv("PROMETHEUS_MULTIPROC_DIR", raising=False)
    monkeypatch.setattr(service, "load_service_model", lambda home, name: model)
    return place


def requests(flights: pd.DataFrame) -> list[Request]:
    """Real flights, with holes as they come; one of a carrier that nobody knows, one of which next to nothing is."""
    drawn = drawn_from_reference(flights, N)
    drawn[0].features["carrier"] = "ZZ"
    drawn[1].features.clear()
    return drawn


@pytest.mark.slow
def test_imputed_values_are_counted_and_the_models_own_decision_is_logged_once(
    place: Place, flights: pd.DataFrame, model: ServiceModel
) -> None:
    sent = requests(flights)
    with TestClient(service.create_app()) as client:
        answers = [client.post("/predict", json=r.to_json()).raise_for_status().json() for r in sent]
        page = samples(client.get("/metrics").content)

    # as scikit-learn's own pipeline answers, at the threshold the model was fitted with
    expected = model.model.predict(model.frame([r.features for r in sent]))
    assert [a["score"] for a in answers] == expected["score"].tolist()
    assert [a["prediction"] for a in answers] == expected["prediction"].tolist()
    assert ((expected["score"] >= 0.5) != (expected["prediction"] == 1)).any(), "0.5 would do; the test says nothing"

    logged = {r["prediction_id"]: r for r in rows(place.landed / "late15_live" / "predictions")}
    assert len(rows(place.landed / "late15_live" / "predictions")) == len(logged) == N
    assert page["model_predictions_total", frozenset()] == N, (
        "predict_proba below the decision is no request of its own"
    )
    for answer in answers:
        row = logged[answer["prediction_id"]]
        assert (row["prediction"], row["score"]) == (str(answer["prediction"]), answer["score"])

    found = {
        (dict(k[1])["column"], dict(k[1])["transformer"]): v
        for k, v in page.items()
        if k[0] == "model_column_imputed_total"
    }
    missing = {name: sum(r.features.get(name) is None for r in sent) for name in FEATURES}
    imputed = {(name, "prepare.numerical"): missing[name] for name in NUMERICAL}
    imputed |= {(name, "prepare.categorical.fill"): missing[name] for name in CATEGORICAL}
    unknown = {k: v for k, v in found.items() if k[1] == "prepare.categorical.encode"}
    assert {k: v for k, v in found.items() if k not in unknown} == {k: n for k, n in imputed.items() if n}
    assert missing["wind_gust"] > N / 2, "three in four hours have no gusts"
    assert unknown["carrier", "prepare.categorical.encode"] == 2, "one made up, one absent, which no training flight is"
