"""What every step of a retraining is given."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Literal

from monitoring_pipeline.monitors import Monitor
from monitoring_pipeline.settings import Settings

if TYPE_CHECKING:  # the training process needs no database
    from monitoring_pipeline.warehouse.database import Warehouse

AttemptState = Literal["training", "trained", "compared", "shadowing", "promoted", "kept", "inconclusive", "failed"]


@dataclass(frozen=True)
class RetrainContext:
    """One run that retrains one monitor."""

    monitor: Monitor
    warehouse: Warehouse
    settings: Settings
    run_id: str


@dataclass(frozen=True)
class Attempt:
    """One try at a better model, as its row in ``retrain_attempt`` stands.

    ``as_of`` (UTC): the cut. Nothing that became known at or after it is used. ``epoch``: the owner's number; an update
    with an older one changes nothing. ``trigger``: what asked for it, as in the decision. ``reason``: one sentence on
    its outcome. ``error``: why it failed in state ``failed_in``, and the remedy.
    """

    attempt_id: int
    monitor: str
    decision_id: int
    challenger_version: str
    champion_version: str | None
    state: AttemptState
    epoch: int
    as_of: datetime
    trigger: str
    shadow_until: datetime | None = None
    reason: str | None = None
    error: str | None = None
    failed_in: str | None = None

    @property
    def ended(self) -> bool:
        """Whether nothing more will come of it."""
        return self.state in ("promoted", "kept", "inconclusive", "failed")
