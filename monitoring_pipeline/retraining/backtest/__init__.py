"""History replayed under another retrain policy: what would have been retrained, at what cost, and with what gain.

Belongs here: the replay over stored rows, models fitted on leak-free rows, metrics by month beside what happened. Does
not belong here: reading the rows (``stages.backtesting``), tables and pictures (``cli``).
"""

from monitoring_pipeline.retraining.backtest.history import History
from monitoring_pipeline.retraining.backtest.replay import replay
from monitoring_pipeline.retraining.backtest.report import Backtest, Month, Retraining

__all__ = ["Backtest", "History", "Month", "Retraining", "replay"]
