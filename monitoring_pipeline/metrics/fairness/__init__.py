"""Whether a model treats the groups of a protected column alike: rates of each group and their differences.

Belongs here: rates by group from stored counts, differences and ratios between groups, and their intervals. Does not
belong here: which difference is too large (``alerting``), and the guard that compares a challenger's groups
(``retraining``).
"""

from monitoring_pipeline.metrics.fairness.measure import Group, label_free, measure_fairness

__all__ = ["Group", "label_free", "measure_fairness"]
