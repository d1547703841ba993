"""What a calibrated verdict may say, and where its threshold is from."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from monitoring_pipeline.alerting.budget import Floats, alarms

Status = Literal["alarm", "notice", "quiet", "abstained"]
Source = Literal["calibrated", "calibrated-short", "learnt", "provisional", "declared"]
Texts = NDArray[np.str_]
Flags = NDArray[np.bool_]
STATUS_TYPE = "<U9"


def statuses(q: Floats, level: float, notices: Flags | None = None) -> Texts:
    """``Status`` of q-values at a level, same shape: ``abstained`` where q is NaN. What would alarm is a ``notice``
    where ``notices`` holds.

    >>> statuses(np.array([0.001, 0.4, np.nan]), 0.01).tolist()
    ['alarm', 'quiet', 'abstained']
    """
    alarmed = alarms(q, level)
    found = np.where(np.isnan(q), "abstained", np.where(alarmed, "alarm", "quiet")).astype(STATUS_TYPE)
    if notices is not None:
        found[alarmed & notices] = "notice"
    return found
