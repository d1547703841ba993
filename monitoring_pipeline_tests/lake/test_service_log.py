"""The log of an instrumented service as the source of its monitor: from the call to the same figures live and daily."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.profiles import Profiles
from monitoring_pipeline.alerting import judge_quality
from monitoring_pipeline.example.figures import drift_between, largest_difference, read
from monitoring_pipeline.lake import duck
from monitoring_pipeline.lake.reference import reference_rows
from monitoring_pipeline.lake.relation import Relation
from monitoring_pipeline.lake.scan import Scan
from monitoring_pipeline.lake.views import predictions_relation, relation_of
from monitoring_pipeline.metrics.drift import measure_drift
from monitoring_pipeline.metrics.quality import WindowFacts, measure_quality
from monitoring_pipeline.monitors.declaration import Monitor, Thresholds
from monitoring_pipeline.prediction_log.sinks import Sink
from monitoring_pipeline.profiles.document import Reference
from monitoring_pipeline.profiles.profile import EVERYTHING, Profile
from monitoring_pipeline.serving import Monitoring, ParquetSink, PredictionLog, SqlSink
from monitoring_pipeline.settings import Settings
from monitoring_pipeline_tests.metrics.reading import Row
from monitoring_pipeline_tests.metrics.reading import rows as measured_rows
from monitoring_pipeline_tests.toy import Toy

from .conftest import kept, take_in_one

AT = datetime(2024, 3, 1, 6, tzinfo=UTC)
GOOD: dict[str, Any] = {"x": 0.5, "amount": 7.0, "channel": "web", "region": "north", "returning": True}
# what a caller may send, and what is to be read of it: x, channel, returning
ODD: list[tuple[dict[str, Any], tuple[Any, ...]]] = [
    ({}, (0.5, "web", "true")),
    ({"returning": False}, (0.5, "web", "false")),
    ({"returning": None, "channel": None, "x": None}, (None, None, None)),
    ({"x": math.nan}, (math.nan, "web", "true")),
    ({"x": -math.inf}, (-math.inf, "web", "true")),
    ({"channel": 'Fähre, "neu"'}, (0.5, 'Fähre, "neu"', "true")),
    ({"x": "seven", "channel": "app"}, (None, "app", "true")),
    ({"x": 10**400}, (None, "web", "true")),
    ({"amount": [1, 2]}, (0.5, "web", "true")),
    ({"returning": "perhaps"}, (0.5, "web", None)),
]


@dataclass
class Service:
    """A monitored toy: the reference as it was profiled, and a monitoring that answers by a rule of its own."""

    monitor: Monitor
    settings: Settings
    reference: Reference
    monitoring: Monitoring
    knows_nan: bool  # SQLite does not: there NaN is null

    def profile(self, relation: Relation) -> Profile:
        layouts = {"v1": self.reference.layout}
        with duck.connected(self.settings, relation.protocols) as connection:
            profiles = Profiles(connection).profile(relation, layouts, [], self.monitor.window)
        return next(p for p in profiles if p.segment == EVERYTHING)


def profiled_reference(monitor: Monitor, settings: Settings) -> Reference:
    rows = reference_rows(monitor, settings).by_version["v1"].rows
    relation = relation_of(Scan(monitor, reference=rows))
    with duck.connected(settings, relation.protocols) as connection:
        engine = Profiles(connection)
        layout = engine.build_layout(relation, monitor)
        (whole,) = engine.profile(relation, {"v1": layout}, [], monitor.window)
    return Reference(monitor.name, "v1", layout, whole)


@pytest.fixture(params=["parquet", "sqlite", "postgres"])
def service(request: pytest.FixtureRequest, tmp_path: Path, settings: Settings) -> Iterator[Service]:
    """Its log goes to each of the sinks there are."""
    sink: Sink = ParquetSink(tmp_path / "service")
    source = {"path": "../service/*.parquet"}
    if request.param != "parquet":
        url = f"sqlite:///{tmp_path}/log.db" if request.param == "sqlite" else request.getfixturevalue("warehouse_url")
        sink, source = SqlSink(url, "answered"), {"url": url, "table": "answered"}
    toy = Toy(tmp_path)
    toy.write_reference()
    names = {"prediction_id": "prediction_id", "event_time": "event_time", "model_version": "model_version"}
    monitor = toy.declare(
        schema=toy.declaration()["schema"] | names,
        predictions=source,
        ground_truth=None,
    )
    reference = profiled_reference(monitor, settings)
    monitoring = Monitoring(reference, PredictionLog(tmp_path / "spool", sink))
    yield Service(monitor, settings, reference, monitoring, request.param != "sqlite")
    monitoring.close()


def test_what_was_sent_is_what_is_read(service: Service) -> None:
    predict = service.monitoring.wrap(lambda row: {"prediction": 1, "score": 0.3})
    for i, (change, _) in enumerate(ODD):
        predict(GOOD | change, prediction_id=f"p{i}", event_time=AT + timedelta(minutes=i))
    service.monitoring.close()

    window = take_in_one(service.monitor, service.settings)
    assert (window.n_rows, window.n_duplicates, window.n_quarantined) == (len(ODD), 0, 0)
    assert window.versions == {"v1": len(ODD)}
    select = '__id, __prediction, __score, x, channel, "returning"'
    found = kept(service.monitor, service.settings, window, select=select)
    for i, (expected, row) in enumerate(zip((e for _, e in ODD), found, strict=True)):
        assert row[:3] == (f"p{i}", "1", 0.3)
        x = expected[0] if service.knows_nan or expected[0] == expected[0] else None
        assert repr(row[3:]) == repr((x, *expected[1:])), ODD[i]

    contract = window.contract
    assert (contract.missing, contract.extra, dict(contract.retyped)) == ((), (), {}), "the log is as declared"
    assert {name: n for name, n in contract.invalid.items() if n} == {"x": 2, "amount": 1, "returning": 1}
    violated = {
        key for key, row in quality_of(service, WindowFacts(len(ODD), contract=contract)).items() if row.flagged
    }
    assert violated == {(name, "type_violation_share") for name in ("x", "amount", "returning")}


CONTRACT = ("column_extra", "column_missing", "retyped", "type_violation_share")


def quality_of(service: Service, facts: WindowFacts) -> dict[tuple[str, str], Row]:
    """Quality of the reference's own columns with these facts, judged by the default thresholds."""
    profile = service.reference.profile
    measurement = measure_quality(profile, profile, facts)
    return measured_rows(measurement, judge_quality(measurement, Thresholds(), mature=False))


def test_a_log_without_mistakes_breaks_no_contract(service: Service) -> None:
    service.monitoring.wrap(lambda row: 0.3)(GOOD, event_time=AT)
    service.monitoring.close()
    window = take_in_one(service.monitor, service.settings)
    found = quality_of(service, WindowFacts(1, contract=window.contract))
    contract = [row for (_, metric), row in found.items() if metric in CONTRACT]
    assert contract and not [row for row in contract if row.flagged or row.value]
    assert not [row for row in found.values() if row.flagged]


def test_live_figures_are_those_of_the_ingested_rows(service: Service) -> None:
    before = read(service.monitoring.metrics().decode())
    rng = np.random.default_rng(11)
    predict = service.monitoring.wrap(lambda row: float(rng.random()))
    for i in range(400):
        row = {"x": rng.normal(1), "amount": rng.lognormal(2.2, 0.5), "channel": rng.choice(["web", "app", "kiosk"]),
               "region": "south", "returning": bool(rng.random() < 0.7)}  # fmt: skip
        odd = {"x": [None, math.nan, math.inf, "seven"][i % 4]} if i % 20 < 4 else {}
        predict(row | odd, event_time=AT + timedelta(seconds=i))
    after = read(service.monitoring.metrics().decode())
    service.monitoring.close()

    window = take_in_one(service.monitor, service.settings)
    current = service.profile(predictions_relation(service.monitor, [window]))
    drift = measure_drift(
        service.reference.profile.columns, current.columns,
        model_version="v1", baseline="training", segment=EVERYTHING, methods=["psi", "kolmogorov_smirnov"],
    )  # fmt: skip
    found = measured_rows(drift)
    pipeline = {(method, name): row.value for (name, method), row in found.items() if row.value is not None}
    live = drift_between(before, after)
    assert len(live) == 10, "five features, the prediction and the score by PSI; three of them by KS"
    assert largest_difference(live, pipeline) < 1e-12
    assert live["psi", "x"] > 0.2 and live["psi", "channel"] > 0.2
    x = next(c for c in current.columns if c.layout.name == "x")
    assert (x.n_missing, x.n_nan, x.n_inf) == ((40, 20, 20) if service.knows_nan else (60, 0, 20))
