"""Requests as the pipeline takes them."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import pytest

from monitoring_pipeline.demo.flights import BOOLEAN, CATEGORICAL, FEATURES, NUMERICAL
from monitoring_pipeline.demo.models import FlightModel
from monitoring_pipeline.demo.service_model import ServiceModel

MODEL = ServiceModel("1", FEATURES, cast(FlightModel, None))


def test_requests_become_a_frame_of_the_columns_the_model_was_fitted_on() -> None:
    full: dict[str, Any] = dict.fromkeys(NUMERICAL, 3) | dict.fromkeys(CATEGORICAL, "UA") | dict.fromkeys(BOOLEAN, True)
    frame = MODEL.frame([full, {}, full | {"distance": None, "carrier": None, "peak": None, "airport": "?"}])
    assert list(frame.columns) == list(FEATURES)
    assert set(frame[list(NUMERICAL)].dtypes) == {np.dtype("float64")}
    assert set(frame[list(CATEGORICAL)].dtypes) == {np.dtype("object")}, "else scikit-learn meets pandas' own missing"
    assert set(frame[list(BOOLEAN)].dtypes) == {np.dtype("bool")}
    assert frame.loc[0].to_dict() == full
    assert frame.loc[1, [*NUMERICAL, *CATEGORICAL]].isna().all() and not frame.loc[1, list(BOOLEAN)].any()
    assert frame.loc[2, ["distance", "carrier"]].isna().all() and not frame.loc[2, "peak"]


@pytest.mark.parametrize("value", ["far", "12", [1.0]])
def test_what_is_no_number_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match=r"distance: .* is not a number"):
        MODEL.frame([{"distance": value}])
