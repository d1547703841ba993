"""When a window's labels may be judged, whatever order they arrive in.

A window is mature once it is older than the largest label delay, or so complete that its missing labels, all of one
class at the worst, cannot move the count of the rarer class by more than a tenth: 0.1 in log odds, half of the level's
floor. A labelled share of 95 %, by contrast, alarms in most windows where negatives arrive first. The cost: where
labels arrive at random, a window waits for nearly all of them.
"""

from __future__ import annotations

import numpy as np

from monitoring_pipeline.alerting.budget import Floats
from monitoring_pipeline.alerting.performance.settings import PerformanceSettings
from monitoring_pipeline.alerting.status import Flags


def mature(
    predictions: Floats, labelled: Floats, rarer: Floats, usual_share: Floats, old: Flags, settings: PerformanceSettings
) -> Flags:
    """Whether windows are mature. All arguments broadcast.

    ``predictions``, ``labelled``: rows, of which labelled. ``rarer``: labelled rows of the rarer class
    (``evidence.rarer_of``); NaN for a regression, in which ``missing_rows`` of all rows may be missing.
    ``usual_share``: share of the rarer class in the reference; more of them than usual do not make a window mature.
    ``old``: age of at least the largest label delay.

    >>> mature(1000, 995, 80, 0.1, False, PerformanceSettings()).item()
    True
    >>> mature(1000, 950, 80, 0.1, False, PerformanceSettings()).item()
    False
    """
    predictions, labelled, rarer = (np.asarray(a, float) for a in (predictions, labelled, rarer))
    missing = predictions - labelled
    by_class = settings.missing_share * np.minimum(rarer, np.asarray(usual_share) * predictions)
    allowed = np.where(np.isnan(rarer), settings.missing_rows * predictions, by_class)
    covered = labelled >= settings.least_coverage * predictions
    return np.asarray(old) | ((missing <= allowed) & covered & (predictions > 0))
