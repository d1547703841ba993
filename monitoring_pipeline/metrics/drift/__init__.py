"""How far a window's columns moved from a baseline: one method a file, all of them over bins fixed by the reference.

Belongs here: distances between two profiles of the same layout, their p-values, effects and bounds. Does not belong
here: which baseline to take, thresholds, and whether a column has drifted (``alerting``).
"""

from monitoring_pipeline.metrics.drift.measure import METHODS, PRIMARY_METHOD, Compared, measure_drift, measure_drifts

__all__ = ["METHODS", "PRIMARY_METHOD", "Compared", "measure_drift", "measure_drifts"]
