"""Whether a window's data is fit for use: volume, freshness, contract, missing and impossible values.

Belongs here: metrics of the rows and columns of one window. Does not belong here: what counts as a violation
(``alerting``), distances between distributions (``drift``) and how well the model did (``performance``).
"""

from monitoring_pipeline.metrics.quality.facts import WindowFacts
from monitoring_pipeline.metrics.quality.measure import measure_quality

__all__ = ["WindowFacts", "measure_quality"]
