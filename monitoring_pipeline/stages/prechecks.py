"""What `validate` finds wrong between a monitor and the world, and what of it stops a run before it computes anything.

A mistake of the declaration stops it: every row would be measured wrong, without an error. A few bad rows do not: that
they are counted is what a monitor is for.
"""

from __future__ import annotations

from monitoring_pipeline.errors import DeclarationError
from monitoring_pipeline.lake.inspection import SourceFinding, check_sources
from monitoring_pipeline.monitors.declaration import Monitor
from monitoring_pipeline.monitors.trainer import check_contract
from monitoring_pipeline.settings import Settings

FILES_BEFORE_A_RUN = 4  # of each source, the first and the last: a run of one new day looks at no more


def check_monitor(monitor: Monitor, settings: Settings) -> list[SourceFinding]:
    """Everything `validate` says of a declaration that loads. Never raises for what a user can mend."""
    return _trainer(monitor) + check_sources(monitor, settings)


def what_stops_a_run(monitor: Monitor, settings: Settings) -> list[SourceFinding]:
    """The findings of ``check_monitor`` that make every metric wrong, from a smaller sample."""
    found = _trainer(monitor) + check_sources(monitor, settings, FILES_BEFORE_A_RUN)
    return [one for one in found if one.stops]


def _trainer(monitor: Monitor) -> list[SourceFinding]:
    """What would make every training fail: a trainer that is not there or takes something else, a wrong estimator."""
    if monitor.retrain.estimator is not None:
        from monitoring_pipeline.retraining.estimators import misfits  # brings scikit-learn

        return [SourceFinding(("retrain", *where), said) for where, said in misfits(monitor)]
    if monitor.retrain.trainer is None:
        return []
    try:
        check_contract(monitor.retrain.trainer)
    except DeclarationError as error:
        return [SourceFinding(("retrain", "trainer"), str(error))]
    return []
