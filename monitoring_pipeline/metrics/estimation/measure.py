"""Every estimated metric of one window, as one measurement."""

from __future__ import annotations

from math import nan

import numpy as np

from monitoring_pipeline.measurements import WHOLE_ROWS, Measurement, metric_keys
from monitoring_pipeline.metrics.estimation.estimates import Estimates
from monitoring_pipeline.profiles.profile import Profile


def measure_estimated(profile: Profile, estimates: Estimates, usual: Estimates) -> Measurement:
    """The estimates of the rows of ``profile`` beside the reference's realized values, ``usual``. ``n`` is 0: no
    outcome is behind them. Undefined values are NaN.
    """
    names = tuple(estimates)

    def floats(values: list[float | None]) -> np.ndarray:
        return np.array([nan if value is None else value for value in values], float)

    each = list(estimates.values())
    return Measurement(
        "estimated", profile.model_version, "", profile.segment,
        metric_keys("estimated", (WHOLE_ROWS,) * len(names), ("",) * len(names), names),
        floats([e.value for e in each]), np.zeros(len(names), np.int64),
        low=floats([e.low for e in each]), high=floats([e.high for e in each]),
        reference_value=floats([usual[name].value if name in usual else None for name in names]),
        n_predictions=profile.n_rows, n_labelled=0,
    )  # fmt: skip
