"""Another retrain policy replayed over the demo's year: what fewer retrainings would have cost."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from monitoring_pipeline.retraining.context import RetrainContext

POLICY = "fewer_retrainings.yaml"


def policy_file() -> Path:
    """The policy that the demo replays."""
    from monitoring_pipeline import demo

    return Path(demo.__file__).parent / POLICY


def replay_policy(ctx: RetrainContext, path: Path, end: datetime) -> int | None:
    """Replays the policy of a file over the whole history, and keeps what was found: its number.

    None when it is kept already of the windows up to ``end`` (UTC). Raises what ``stages.backtesting.backtest`` raises.
    """
    from dataclasses import replace

    from monitoring_pipeline.monitors.policy import RETRAIN_PARTS, with_policy
    from monitoring_pipeline.stages import backtesting
    from monitoring_pipeline.warehouse import backtest_store

    kept = ctx.warehouse.run(lambda conn: backtest_store.newest(conn, ctx.monitor.name, path.name))
    if kept is not None and kept.last >= end:
        return None
    other = replace(ctx, monitor=with_policy(ctx.monitor, path, RETRAIN_PARTS))
    return backtesting.keep(other, backtesting.backtest(other), path.name)
