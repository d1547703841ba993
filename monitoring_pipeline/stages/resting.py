"""How long a monitor rests whose runs end before they note anything: no stage completed, no window noted as failed.

What fails in a stage is counted by the ledger and not tried again after a few attempts. A run that is killed, or that
cannot import its code, leaves no such count; asked for anew at each tick, it would keep the machine busy for nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from monitoring_pipeline.warehouse import fleet
from monitoring_pipeline.warehouse.database import Warehouse

LOOK_BACK = timedelta(hours=2)
AT_ONCE = 2
"""So many such runs are followed by another one at once."""
SHORTEST, LONGEST = timedelta(minutes=1), timedelta(hours=1)


@dataclass(frozen=True)
class FailedRun:
    """When a run that failed was asked for, and when it ended."""

    created_at: datetime
    ended_at: datetime


def resting(warehouse: Warehouse, failed: Mapping[str, Sequence[FailedRun]], now: datetime) -> dict[str, datetime]:
    """Until when each monitor rests, of those that do. ``failed``: its runs that failed within ``LOOK_BACK``.

    Only runs that were asked for after the ledger's last note of the monitor count. The rest doubles with each of them.
    """
    often = [name for name, runs in failed.items() if len(runs) > AT_ONCE]
    if not often:
        return {}
    noted = warehouse.run(lambda conn: fleet.last_noted(conn, often))
    until = {
        name: _until([r for r in failed[name] if name not in noted or r.created_at > noted[name]]) for name in often
    }
    return {name: end for name, end in until.items() if end is not None and end > now}


def _until(silent: Sequence[FailedRun]) -> datetime | None:
    if len(silent) <= AT_ONCE:
        return None
    rest = min(SHORTEST * 2 ** min(len(silent) - AT_ONCE - 1, 10), LONGEST)
    return max(run.ended_at for run in silent) + rest
