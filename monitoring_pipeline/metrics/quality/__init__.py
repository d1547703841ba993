"""Whether a window's data is fit to be judged: volume, freshness, contract, missing and impossible values.

Belongs here: figures about the rows and columns of one window and their verdicts. Does not belong here: distances
between distributions (``drift``) and how well the model did (``performance``).
"""

from monitoring_pipeline.metrics.quality.facts import WindowFacts
from monitoring_pipeline.metrics.quality.measure import measure_quality

__all__ = ["WindowFacts", "measure_quality"]
