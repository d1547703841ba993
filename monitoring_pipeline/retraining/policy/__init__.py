"""Whether to retrain now: a pure function of the declared policy, the facts, and a moment.

Belongs here: triggers, guards, how they combine, and the sentences that say why and why not. Does not belong here:
reading facts and writing decisions (``warehouse.retrain_facts``, ``warehouse.retrain_decisions``), training.
"""

from monitoring_pipeline.retraining.policy.deciding import decide
from monitoring_pipeline.retraining.policy.decision import Decision
from monitoring_pipeline.retraining.policy.facts import Facts

__all__ = ["Decision", "Facts", "decide"]
