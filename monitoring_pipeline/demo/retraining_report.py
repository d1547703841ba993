"""What retraining did in the demo, as text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from textwrap import wrap

from monitoring_pipeline.demo.retrained import MonthCompared
from monitoring_pipeline.warehouse.backtest_store import Replayed


@dataclass(frozen=True)
class Retraining:
    """One decision to retrain: when, what asked for it and why, which challenger, what came of it and why."""

    day: date
    trigger: str
    reason: str
    challenger: str
    outcome: str
    because: str


@dataclass(frozen=True)
class RetrainingReport:
    """``n_evaluations``: how often the policy was asked. ``training_seconds``: of all challengers together.
    ``replayed``: what another policy would have done with the same days.
    """

    monitor: str
    n_evaluations: int
    retrainings: Sequence[Retraining]
    training_seconds: float
    months: Sequence[MonthCompared]
    replayed: Replayed | None = None


def render(report: RetrainingReport) -> str:
    """The report as text of at most 100 columns."""
    promoted = sum(one.outcome == "promoted" for one in report.retrainings)
    lines = [
        f"{report.monitor}: the policy was asked {report.n_evaluations} times; {len(report.retrainings)} retrainings,"
        f" {promoted} promoted, {report.training_seconds:.0f} s of training"
    ]
    for one in report.retrainings:
        lines.append(f"  {one.day}  {one.challenger} {one.outcome} ({one.trigger})")
        for said in (one.reason, one.because):
            lines += wrap(said, width=100, initial_indent="    ", subsequent_indent="      ")
    return "\n".join([*lines, *_months(report.months), *_backtest(report)])


def _backtest(report: RetrainingReport) -> list[str]:
    """What another policy comes to, in one sentence."""
    one = report.replayed
    if one is None:
        return []
    trained = f"{one.n_retrainings} retraining{'' if one.n_retrainings == 1 else 's'}"
    said = f"backtest of {one.policy_name}: {trained} ({one.n_promoted} promoted) instead of"
    said += f" {len(report.retrainings)}"
    if one.gain is not None:
        said += (
            f"; mean monthly {one.metric} {one.mean_replayed:.4f} instead of {one.mean_happened:.4f} ({one.gain:+.4f}),"
            f" the month that gained least {one.least_gain:+.4f}"
        )
    return wrap(said, width=100, initial_indent="  ", subsequent_indent="    ")


def _months(months: Sequence[MonthCompared]) -> list[str]:
    if not months:
        return ["  no outcomes yet"]
    lines = ["  roc_auc by month, the same flights: static, retrained, difference"]
    lines += [
        f"    {m.month:%Y-%m}  {m.static:.3f}  {m.retrained:.3f}  {m.retrained - m.static:+.3f}   {m.n:>7,} outcomes"
        for m in months
    ]
    gains = [m.retrained - m.static for m in months]
    worse = ", ".join(f"{m.month:%Y-%m}" for m in months if m.retrained < m.static)
    said = (
        f"    mean difference {sum(gains) / len(gains):+.4f}; worst month {min(m.static for m in months):.3f} static,"
    )
    said += f" {min(m.retrained for m in months):.3f} retrained"
    return [*lines, said + (f"; worse in {worse}" if worse else "")]
