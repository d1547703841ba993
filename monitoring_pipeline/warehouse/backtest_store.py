"""What replays of another retrain policy found: written once, never changed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

RUN = text("""
insert into monitoring.backtest (monitor, policy_name, policy, first_window, last_window, all_promoted, metric,
  higher_is_better, n_retrainings, n_promoted, minutes, mean_happened, mean_replayed, worst_happened, worst_replayed,
  gain, least_gain, code_version)
values (:monitor, :policy_name, cast(:policy as jsonb), :first, :last, :all_promoted, :metric, :higher_is_better,
  :n_retrainings, :n_promoted, :minutes, nullif(:mean_happened, 'NaN'), nullif(:mean_replayed, 'NaN'),
  nullif(:worst_happened, 'NaN'), nullif(:worst_replayed, 'NaN'), nullif(:gain, 'NaN'), nullif(:least_gain, 'NaN'),
  :code_version)
returning backtest_id
""")
MONTH = text("""
insert into monitoring.backtest_month (backtest_id, month, n, happened, replayed)
values (:backtest_id, :month, :n, nullif(:happened, 'NaN'), nullif(:replayed, 'NaN'))
""")
RETRAINING = text("""
insert into monitoring.backtest_retraining (backtest_id, position, as_of, trigger, reason, n_rows, seconds, outcome,
  ended, why)
values (:backtest_id, :position, :as_of, :trigger, :reason, :n_rows, :seconds, :outcome, :ended, :why)
""")
NEWEST = text("""
select policy_name, last_window as last, metric, n_retrainings, n_promoted, mean_happened, mean_replayed, gain,
  least_gain
from monitoring.backtest where monitor = :monitor and policy_name = :policy_name order by backtest_id desc limit 1
""")


@dataclass(frozen=True)
class Replayed:
    """One replay as it is kept. ``last`` (UTC): end of its last window. Means and gains are over months, positive gains
    better; None where the metric is undefined.
    """

    policy_name: str
    last: datetime
    metric: str
    n_retrainings: int
    n_promoted: int
    mean_happened: float | None
    mean_replayed: float | None
    gain: float | None
    least_gain: float | None


def newest(conn: Connection, monitor: str, policy_name: str) -> Replayed | None:
    """The newest replay of a policy of that name."""
    row = conn.execute(NEWEST, {"monitor": monitor, "policy_name": policy_name}).mappings().one_or_none()
    return Replayed(**row) if row is not None else None


def add(
    conn: Connection,
    run: Mapping[str, Any],
    months: Sequence[Mapping[str, Any]],
    retrainings: Sequence[Mapping[str, Any]],
) -> int:
    """The number of the replay. Values that are NaN are kept as null; ``run["policy"]`` is plain JSON values."""
    values = dict(run) | {"policy": json.dumps(run["policy"], sort_keys=True)}
    number = int(conn.execute(RUN, values).scalar_one())
    for statement, rows in ((MONTH, months), (RETRAINING, retrainings)):
        if rows:
            conn.execute(statement, [{"backtest_id": number, **row} for row in rows])
    return number
