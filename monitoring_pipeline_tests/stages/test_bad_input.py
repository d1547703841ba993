"""Windows of every kind of bad rows go through all stages; figures say what is wrong, nothing breaks."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from monitoring_pipeline_tests import toy
from monitoring_pipeline_tests.front_door import FrontDoor
from monitoring_pipeline_tests.toy import Toy, ready

NASTY = '"; drop table x; --'


def quality(door: FrontDoor, day: int, column: str, metric: str) -> pd.Series:
    return door.query(
        "select value, violated, detail, n from monitoring.quality_current"
        " where window_start = :w and segment = '*' and column_name = :column and metric = :metric",
        w=toy.day(day).start,
        column=column,
        metric=metric,
    ).iloc[0]


def test_a_window_without_rows_is_one(door: FrontDoor) -> None:
    _it, monitor = ready(door.base, 2)
    assert door.run(monitor, 0, 2) is None
    last = door.query("select * from monitoring.window_status order by window_start").iloc[-1]
    assert last["n_rows"] == 0 and pd.isna(last["coverage"]) and not last["stale"]
    assert quality(door, 2, "*", "rows")["value"] == 0
    drift = "select count(*) from monitoring.drift_current where window_start = :w"
    assert door.query(drift, w=toy.day(2).start).iat[0, 0] == 0
    assert door.materialized(monitor, "performance") == {"2024-03-01", "2024-03-02", "2024-03-03"}


def test_values_of_every_bad_kind(door: FrontDoor) -> None:
    it, monitor = ready(door.base, 1)
    rows = it.rows(1)
    missing = rows.assign(x=np.nan, amount=np.nan, channel=None, returning=None)
    it.write_log(missing, "2024-03-02")
    infinite = it.rows(2)
    infinite.loc[:9, "x"], infinite.loc[10:14, "x"], infinite["amount"] = np.inf, -np.inf, 3.5
    it.write_log(infinite, "2024-03-03")
    unseen = it.rows(3).assign(channel="fax")
    it.write_log(unseen, "2024-03-04")
    assert door.run(monitor, 0, 3) is None

    for column in ("x", "amount", "channel", "returning"):
        found = quality(door, 1, column, "missing_share")
        assert found["value"] == 1.0 and found["violated"], column
    assert quality(door, 2, "x", "inf_share")["value"] == pytest.approx(15 / 300)
    assert quality(door, 2, "amount", "constant")["violated"]
    assert quality(door, 3, "channel", "unseen_share")["value"] == 1.0
    drifted = (
        "select drifted from monitoring.drift_current where window_start = :w and column_name = 'channel'"
        " and method = 'psi' and baseline = 'training' and segment = '*'"
    )
    assert door.query(drifted, w=toy.day(3).start).iat[0, 0]


def test_a_category_of_a_hundred_thousand_values(door: FrontDoor) -> None:
    it = Toy(door.base)
    it.write_reference()
    n = 100_000
    it.write_log(it.rows(0, n).assign(channel=[f"channel {i}" for i in range(n)]), "2024-03-01")
    assert door.run(it.declare(ground_truth=None, segments=[]), 0) is None
    found = quality(door, 0, "channel", "unseen_share")
    assert found["value"] == 1.0 and found["n"] == n
    assert (
        door.query("select max(array_length(counts, 1)) from monitoring.profile where part = 'columns'").iat[0, 0]
        < 1000
    )


def test_names_and_values_that_look_like_sql(door: FrontDoor) -> None:
    it = Toy(door.base)
    features = {"numerical": ["x", f"{NASTY}'"], "categorical": ["channel", NASTY], "boolean": ["returning"]}

    def renamed(rows: pd.DataFrame) -> pd.DataFrame:
        region = rows["region"].map({"north": NASTY, "south": "it's=a,b"})
        return rows.rename(columns={"amount": f"{NASTY}'"}).assign(**{NASTY: region}).drop(columns="region")

    it.write_reference(renamed(it.rows(toy.START - pd.Timedelta(days=10), 1500)))
    rows = renamed(it.rows(0))
    it.write_log(rows, "2024-03-01")
    it.write_labels(rows, "2024-03-01")
    schema = it.declaration()["schema"] | features
    assert door.run(it.declare(schema=schema, segments=[NASTY]), 0) is None

    columns = door.query("select distinct column_name from monitoring.drift_current")["column_name"]
    assert {NASTY, f"{NASTY}'"} <= set(columns)
    segments = door.query(
        "select segment, n_predictions from monitoring.performance_current"
        " where kind = 'realized' and metric = 'accuracy' order by segment"
    ).set_index("segment")["n_predictions"]
    assert len(segments) == 3 and segments["*"] == 300
    counts = rows[NASTY].value_counts()
    assert sorted(segments.drop("*")) == sorted(counts)
    assert all(NASTY in segment for segment in segments.index if segment != "*")


def test_two_versions_in_one_day_are_judged_apart(door: FrontDoor) -> None:
    it, monitor = ready(door.base, 1)
    rows = it.rows(0)
    rows.loc[200:, "version"] = "v2"
    it.write_log(rows, "2024-03-01")
    assert door.run(monitor, 0) is None
    found = door.query(
        "select model_version, n_predictions, value from monitoring.performance_current"
        " where kind = 'realized' and metric = 'accuracy' and segment = '*' order by model_version"
    )
    assert found["n_predictions"].tolist() == [200, 100]
    for version, value in zip(found["model_version"], found["value"], strict=True):
        own = rows[rows["version"] == version]
        assert value == pytest.approx((own["y"] == own["predicted"]).mean(), abs=1e-12)


@pytest.mark.parametrize(
    ("reference", "finding"),
    [
        (lambda rows: rows.head(20), "has 20 rows"),
        (lambda rows: rows.assign(y=1), "only one outcome"),
        (lambda rows: rows.assign(x=np.nan), "no value in x"),
    ],
    ids=["too few rows", "one class", "empty column"],
)
def test_a_poor_reference_stops_what_would_rest_on_it(door: FrontDoor, reference: object, finding: str) -> None:
    it = Toy(door.base)
    it.write_reference(reference(it.rows(toy.START - pd.Timedelta(days=10), 1500)))  # type: ignore[operator]
    it.write_days([0])
    said = door.run(it.declare(), 0)
    assert said is not None and finding in said and "Traceback" not in said
    assert door.materialized(it.declare(), "profile") == set()
    assert door.query("select count(*) from monitoring.profile where scope = 'window'").iat[0, 0] == 0

    it.write_reference()
    assert door.run(it.declare(), 0) is None


def test_a_reference_that_is_not_there(door: FrontDoor) -> None:
    it = Toy(door.base)
    it.write_days([0])
    said = door.run(it.declare(), 0)
    assert said is not None and "reference" in said and "Traceback" not in said


def test_duplicates_within_and_across_files_are_counted_once(door: FrontDoor) -> None:
    it, monitor = ready(door.base, 1)
    rows = it.rows(0)
    it.write_log(pd.concat([rows, rows.head(9)]), "2024-03-01")
    it.write_log(rows.tail(4), "2024-03-01 again")
    assert door.run(monitor, 0) is None
    status = door.query("select n_rows, n_duplicates from monitoring.window_status").iloc[0]
    assert (status["n_rows"], status["n_duplicates"]) == (300, 13)


def test_hours_of_a_night_when_clocks_change(door: FrontDoor) -> None:
    """10 March 2024: in New York it is never 2:30. Local times carry no zone; the hours are those of UTC."""
    it = Toy(door.base)
    it.write_reference()
    rows = it.rows(0, 400)
    utc = pd.date_range("2024-03-10T04:00", "2024-03-10T08:59:59", periods=400, tz="UTC").floor("s")
    local = utc.tz_convert("America/New_York").tz_localize(None)
    rows["at"] = local
    it.write_log(rows, "night")
    it.write_labels(rows, "night")
    schema = it.declaration()["schema"] | {"timezone": "America/New_York"}
    monitor = it.declare(schema=schema, window="hour", segments=[])
    first, last = (toy.Window.from_key(f"2024-03-10-0{h}:00", "hour") for h in (4, 8))
    assert door.run(monitor, first, last) is None
    status = door.query("select window_start, n_rows, coverage from monitoring.window_status order by window_start")
    assert status["n_rows"].tolist() == utc.floor("h").value_counts().sort_index().tolist()
    assert status["n_rows"].sum() == 400 and (status["coverage"] == 1.0).all()
    assert [t.hour for t in status["window_start"]] == [4, 5, 6, 7, 8]


def test_a_changed_type_and_a_missing_feature_are_breaches_of_the_contract(door: FrontDoor) -> None:
    it, monitor = ready(door.base, 1)
    rows = it.rows(1)
    written = rows["x"].map(lambda v: "many" if abs(v) > 2 else f"{v}").where(rows["x"].notna(), None)
    it.write_log(rows.assign(x=written).drop(columns="returning").assign(surprise=1), "2024-03-02")
    assert door.run(monitor, 0, 1) is None
    assert quality(door, 1, "returning", "column_missing")["violated"]
    assert quality(door, 1, "x", "type_violation_share")["value"] == pytest.approx((written == "many").mean())
    assert quality(door, 1, "*", "column_extra")["detail"] == "surprise"
    contract = door.query("select contract from monitoring.prediction_window order by window_start").iat[1, 0]
    assert json.loads(json.dumps(contract))["missing"] == ["returning"]
