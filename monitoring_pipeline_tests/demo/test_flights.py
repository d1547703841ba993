"""The features know nothing that was not known at the scheduled departure."""

from __future__ import annotations

import pandas as pd
import pytest

from monitoring_pipeline.demo.flights import BOOLEAN, CATEGORICAL, FEATURES, FORBIDDEN, NUMERICAL
from monitoring_pipeline.demo.source import source_dir


@pytest.fixture(scope="module")
def raw() -> pd.DataFrame:
    """The raw flights beside the id the demo gives them."""
    found = pd.read_csv(source_dir() / "flights.csv.zip")
    day = pd.to_datetime(found[["year", "month", "day"]]).dt.strftime("%Y-%m-%d")
    scheduled = found["sched_dep_time"].map("{:04d}".format)
    found["prediction_id"] = day + "-" + found["carrier"] + "-" + found["flight"].astype(str)
    found["prediction_id"] += "-" + found["origin"] + "-" + scheduled
    found["scheduled"] = pd.to_datetime(found["time_hour"], utc=True) + pd.to_timedelta(found["minute"], unit="min")
    return found


def test_every_flight_is_there_once(flights: pd.DataFrame) -> None:
    assert len(flights) == 336_776
    assert flights["prediction_id"].is_unique
    assert len(FEATURES) == len(set(FEATURES)) == 25
    assert set(flights.columns) == {"prediction_id", "event_time", *FEATURES, "arr_delay", "late15", "label_time"}


def test_no_forbidden_column_is_a_feature() -> None:
    assert not set(FEATURES) & set(FORBIDDEN)


def test_no_feature_is_the_delay_in_disguise(flights: pd.DataFrame) -> None:
    """What the flight's own departure tells correlates with its arrival at 0.9; what is known before, at 0.3."""
    correlation = flights[list(NUMERICAL)].corrwith(flights["arr_delay"]).abs()
    assert correlation.max() < 0.45
    assert correlation["congestion_delay"] > 0.2


def test_changing_what_happens_later_changes_no_feature(flights: pd.DataFrame, raw: pd.DataFrame) -> None:
    """Congestion by hand: departures that took place in the three whole hours before."""
    sample = flights[flights["prediction_id"].str.startswith("2013-07-")].sample(25, random_state=1)
    left = raw["scheduled"] + pd.to_timedelta(raw["dep_delay"], unit="min")
    for flight in sample.itertuples():
        hour = flight.event_time.floor("h")
        before = raw[(raw["origin"] == flight.origin) & (left >= hour - pd.Timedelta(hours=3)) & (left < hour)]
        own = before[before["carrier"] == flight.carrier]
        assert flight.congestion_departures == len(before)
        assert flight.congestion_delay == pytest.approx(before["dep_delay"].mean(), nan_ok=True)
        assert flight.carrier_congestion_delay == pytest.approx(own["dep_delay"].mean(), nan_ok=True)


def test_weather_is_that_of_the_hour_before(flights: pd.DataFrame) -> None:
    weather = pd.read_csv(source_dir() / "weather.csv")
    weather["hour"] = pd.to_datetime(weather["time_hour"], utc=True)
    for flight in flights.sample(25, random_state=2).itertuples():
        at = flight.event_time.floor("h") - pd.Timedelta(hours=1)
        met = weather[(weather["origin"] == flight.origin) & (weather["hour"] == at)]
        expected = met["temp"].iloc[0] if len(met) else float("nan")
        assert flight.temperature == pytest.approx(expected, nan_ok=True)


def test_times_are_utc_in_summer_and_winter(flights: pd.DataFrame) -> None:
    by_id = flights.set_index("prediction_id")["event_time"]
    assert by_id["2013-01-01-UA-1545-EWR-0515"] == pd.Timestamp("2013-01-01 10:15", tz="UTC")
    july = flights[flights["prediction_id"].str.startswith("2013-07-01")]
    local = july["event_time"].dt.tz_convert("America/New_York").dt.strftime("%H%M")
    assert (local == july["prediction_id"].str[-4:]).all()


def test_outcomes_are_known_after_departure_and_some_never(flights: pd.DataFrame) -> None:
    labelled = flights.dropna(subset=["label_time"])
    assert ((labelled["label_time"] - labelled["event_time"]) > pd.Timedelta(0)).all()
    assert 1 - len(labelled) / len(flights) == pytest.approx(0.028, abs=0.0005)
    assert labelled["arr_delay"].notna().all()
    assert (labelled["late15"] == (labelled["arr_delay"] > 15)).all()
    assert flights[flights["label_time"].isna()][["arr_delay", "late15"]].isna().all(axis=None)


def test_known_facts_of_the_data(flights: pd.DataFrame) -> None:
    unknown_maker = flights["manufacturer"].isna().groupby(flights["carrier"]).mean()
    assert unknown_maker["MQ"] == pytest.approx(0.96, abs=0.01)
    assert unknown_maker["AA"] == pytest.approx(0.69, abs=0.01)
    local_day = flights["prediction_id"].str[:10]
    never = flights["label_time"].isna().groupby(local_day).mean()
    assert set(never.nlargest(2).index) == {"2013-02-08", "2013-02-09"}


def test_types(flights: pd.DataFrame) -> None:
    assert (flights[list(NUMERICAL)].dtypes == "float64").all()
    assert (flights[list(BOOLEAN)].dtypes == "bool").all()
    assert all(isinstance(value, str) for name in CATEGORICAL for value in flights[name].dropna().unique())
