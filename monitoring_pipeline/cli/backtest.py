"""``backtest``: what another retrain policy would have done with the history that is stored."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from monitoring_pipeline.cli.environment import monitor_named, open_warehouse
from monitoring_pipeline.cli.output import JsonOption, print_json, print_table, wants_json
from monitoring_pipeline.errors import UserError
from monitoring_pipeline.settings import Settings

if TYPE_CHECKING:
    from monitoring_pipeline.retraining.backtest import Backtest

WIDTH = 90  # characters of a picture
DAYS = ["%Y-%m-%d"]


def backtest(
    name: Annotated[str, typer.Argument(help="Name of the monitor.")],
    policy: Annotated[Path, typer.Option(help="YAML file with `retrain:`, as in a monitor's file; what it leaves out"
                                              " stays as declared.")],
    from_: Annotated[datetime | None, typer.Option("--from", formats=DAYS, help="First day, UTC. [the first]")] = None,
    to: Annotated[datetime | None, typer.Option(formats=DAYS, help="Last day, UTC, included. [the last]")] = None,
    all_promoted: Annotated[
        bool, typer.Option("--all-promoted", help="Promote every challenger, without a comparison: what the triggers"
                                                  " alone are worth.")
    ] = False,
    keep: Annotated[
        bool, typer.Option("--keep/--no-keep", help="Keep what was found in `monitoring.backtest_current`.")
    ] = True,
    picture: Annotated[Path | None, typer.Option(help="Also draw it into this PNG file.")] = None,
    json: JsonOption = False,
) -> None:  # fmt: skip
    """Replay the stored history under another retrain policy: retrainings, minutes, and the metric by month.

    Models are fitted with the declared trainer on rows whose labels were known by then. Nothing of the monitor is
    changed; what was found is kept for the dashboard Retraining, unless --no-keep.
    """
    from monitoring_pipeline.monitors.policy import RETRAIN_PARTS, with_policy
    from monitoring_pipeline.retraining.context import RetrainContext
    from monitoring_pipeline.stages import backtesting

    settings = Settings()
    monitor = with_policy(monitor_named(name, settings), policy, RETRAIN_PARTS)
    if not (monitor.retrain.trainer or monitor.retrain.estimator):
        raise UserError(f"{policy}: retrain: nothing to train; write `trainer: module:function`, or `estimator`")
    if picture is not None and not picture.parent.is_dir():
        raise UserError(f"{picture}: there is no directory {picture.parent}; make it, or name another file")
    first, last = (moment.replace(tzinfo=UTC) if moment else None for moment in (from_, to))
    with open_warehouse(settings) as warehouse:
        ctx = RetrainContext(monitor, warehouse, settings, "backtest")
        found = backtesting.backtest(ctx, first, last, all_promoted)
        number = backtesting.keep(ctx, found, policy.name, all_promoted) if keep else None
    if picture is not None:
        _draw(found, name, picture)
    if wants_json(json):
        print_json(asdict(found) | {"summary": summary(found), "backtest_id": number})
    else:
        _print(found, name, policy, number)


def summary(found: Backtest) -> dict[str, Any]:
    """What the whole comes to."""
    outcomes = ("promoted", "kept", "inconclusive", "failed", "shadowing")
    return {
        "metric": found.metric, "retrainings": len(found.retrainings),
        **{name: found.count(name) for name in outcomes if found.count(name)},
        "minutes": round(found.minutes, 2), "mean_happened": found.mean("happened"),
        "mean_replayed": found.mean("replayed"), "gain": found.gain, "worst_happened": found.worst("happened"),
        "worst_replayed": found.worst("replayed"), "least_gain": found.least_gain,
    }  # fmt: skip


def _print(found: Backtest, name: str, policy: Path, number: int | None) -> None:
    retrainings = [
        {"as of": f"{one.as_of:%Y-%m-%d}", "trigger": one.trigger, "rows": one.n_rows, "seconds": round(one.seconds, 1),
         "outcome": one.outcome, "why": one.why if one.outcome != "promoted" else one.reason}
        for one in found.retrainings
    ]  # fmt: skip
    print_table(f"{name}: retrainings under {policy}", retrainings)
    months = [
        {"month": f"{one.month:%Y-%m}", "rows": one.n, "as it happened": round(one.happened, 4),
         "under the policy": round(one.replayed, 4), "gain": round(found.sign * (one.replayed - one.happened), 4)}
        for one in found.months
    ]  # fmt: skip
    print_table(f"{name}: {found.metric} by month", months)
    typer.echo("\n".join(_picture(found)))
    kept = "Nothing was written" if number is None else f"Kept as replay {number} of `monitoring.backtest_current`"
    typer.echo(f"{_sentence(found)} {kept}.")


def _sentence(found: Backtest) -> str:
    counts = [f"{found.count(name)} {name}" for name in ("promoted", "kept", "inconclusive", "failed", "shadowing")
              if found.count(name)]  # fmt: skip
    waits = ", ".join(f"{n} for {guard}" for guard, n in sorted(found.waits.items(), key=lambda item: -item[1]))
    done = (
        f"{len(found.retrainings)} retrainings ({', '.join(counts) or 'none'}), {found.minutes:.2f} minutes of training"
    )
    return (
        f"{done}. Mean {found.metric} {found.mean('happened'):.4f} as it happened, {found.mean('replayed'):.4f} under"
        f" the policy ({found.gain:+.4f}); worst month {found.worst('happened'):.4f} and {found.worst('replayed'):.4f};"
        f" the month that gained least: {found.least_gain:+.4f}.\nLooks without a retraining: {waits or 'none'}."
    )


def _picture(found: Backtest) -> list[str]:
    """Retrainings on a line of ``WIDTH`` characters."""
    line = ["·"] * WIDTH
    for one in found.retrainings:
        at = int((one.as_of - found.first) / (found.last - found.first) * WIDTH)
        line[min(max(at, 0), WIDTH - 1)] = one.outcome[0].upper()
    return [
        f"  {found.first:%Y-%m-%d}{'':{WIDTH - 20}}{found.last:%Y-%m-%d}",
        f"  {''.join(line)}",
        "  P promoted, K kept, I inconclusive, F failed, S still shadowing",
    ]


COLOURS = {"promoted": "#2b8a3e", "kept": "#9aa5b1", "inconclusive": "#e8a33d", "failed": "#c92a2a"}


def _draw(found: Backtest, name: str, path: Path) -> None:
    """The metric by month both ways, a line for each retraining."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.6), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    months: Any = [one.month for one in found.months]
    axes.plot(months, [one.happened for one in found.months], "o-", color="#9aa5b1", label="as it happened")
    axes.plot(months, [one.replayed for one in found.months], "o-", color="#1864ab", label="under the policy")
    seen: set[str] = set()
    for one in found.retrainings:
        label = None if one.outcome in seen else one.outcome
        axes.axvline(one.as_of, color=COLOURS.get(one.outcome, "#666666"), lw=1, ls="--", label=label)  # type: ignore[arg-type]
        seen.add(one.outcome)
    axes.set_ylabel(found.metric)
    axes.set_title(f"{name}: {len(found.retrainings)} retrainings, mean gain {found.gain:+.4f}", fontsize=10)
    axes.legend(fontsize=8)
    try:
        figure.savefig(path, format="png")
    except OSError as error:
        raise UserError(f"{path}: the picture cannot be written ({error.strerror})") from error
