"""Champion against challenger on rows that neither was trained on: differences, intervals, guards, the rule.

Belongs here: pure statistics over paired outputs, the guards that may forbid a promotion, and the outcome with its
sentence. Does not belong here: which rows those are and where they come from (``retraining.judged_rows``), promotion.
"""

from monitoring_pipeline.retraining.comparison.compare import Comparison, check_metric, compare
from monitoring_pipeline.retraining.comparison.difference import Difference, Verdict
from monitoring_pipeline.retraining.comparison.guards import Compared
from monitoring_pipeline.retraining.comparison.rows import Outputs, PairedRows

__all__ = ["Compared", "Comparison", "Difference", "Outputs", "PairedRows", "Verdict", "check_metric", "compare"]
