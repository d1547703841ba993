"""How well a model does before outcomes are known: expected metrics from the scores of a window and the reference.

Belongs here: calibration of the reference's outcomes by score bin, the metrics that a window's scores lead to expect,
with 95 % intervals, what the estimate's own record adds to these, label shift. Does not belong here: metrics of known
outcomes (``metrics.performance``), verdicts.
"""

from monitoring_pipeline.metrics.estimation.estimates import Estimates, estimator_of, known_values
from monitoring_pipeline.metrics.estimation.measure import measure_estimated
from monitoring_pipeline.metrics.estimation.own_record import Past, widened

__all__ = ["Estimates", "Past", "estimator_of", "known_values", "measure_estimated", "widened"]
