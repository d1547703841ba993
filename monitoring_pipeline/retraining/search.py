"""Hyperparameter search on training rows only: later rows validate models of earlier ones, and every trial is told.

Folds are consecutive stretches of whole days. A fold's model sees only rows whose label had arrived before its
validation rows begin, as the challenger itself does. Held-out days and the rows of the comparison are in no fold: a
search that looks at them gains .004 ROC AUC there and loses .005 later (measured on the demo).
"""

from __future__ import annotations

import itertools
import math
import resource
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from monitoring_pipeline.errors import RetrainError
from monitoring_pipeline.monitors.retraining import Search

KEPT = 3  # of the trials of a round one in three goes on, with three times the rows
MOST_COMBINATIONS = 10_000

Rows = NDArray[np.int64]
Fold = tuple[Rows, Rows]
Evaluate = Callable[[Mapping[str, Any], Rows, Rows], float]
"""(parameters, positions of rows to fit on, of rows to validate on) -> the metric. Raises what the trainer does."""


@dataclass(frozen=True)
class Trial:
    """One set of hyperparameters. ``value``: mean over the folds of its last round (``rung``), whose largest fold was
    fitted on ``n_resources`` rows. ``cpu_seconds``: of all its rounds. ``pruned``: a later round went without it.
    """

    trial: int
    hyperparameters: Mapping[str, Any]
    state: Literal["complete", "pruned", "failed"] = "complete"
    value: float | None = None
    fold_values: tuple[float, ...] = ()
    rung: int = 0
    n_resources: int = 0
    cpu_seconds: float = 0.0
    started_at: datetime | None = None
    finished_at: datetime | None = None
    error: str | None = None


@dataclass(frozen=True)
class Found:
    """The best parameters, every trial, and how many rows validated them."""

    parameters: Mapping[str, Any]
    trials: tuple[Trial, ...]
    value: float
    n_validated: int = field(default=0)


def search(
    declared: Search, rows: pd.DataFrame, evaluate: Evaluate, better_high: bool, told: Callable[[Trial], None]
) -> Found:
    """Try combinations of the declared space; ``rows``: labelled rows in the order of time.

    Equal rows, space and seed give equal trials. Raises RetrainError when no trial succeeds or the rows are too few.
    """
    folds = folds_of(rows, declared.folds)
    trials = [Trial(i, parameters) for i, parameters in enumerate(_candidates(declared))]
    rungs = _rungs(declared, len(trials))
    done: dict[int, Trial] = {}
    for rung in range(rungs):
        share = float(KEPT ** -(rungs - 1 - rung))
        given = [_part_of(fold, share, declared.seed) for fold in folds]
        for one in trials:
            done[one.trial] = _tried(one, rung, given, evaluate)
            told(done[one.trial])
        alive = sorted((done[t.trial] for t in trials if done[t.trial].state == "complete"), key=_order(better_high))
        if rung < rungs - 1:
            trials = alive[: max(1, math.ceil(len(alive) / KEPT))]
            kept = {one.trial for one in trials}
            done |= {one.trial: replace(one, state="pruned") for one in alive if one.trial not in kept}
    if not alive:
        why = next((one.error for one in done.values() if one.error), "no combination was tried")
        raise RetrainError(f"no trial of the search succeeded; the first failed: {why}")
    best = alive[0]
    assert best.value is not None
    return Found(best.hyperparameters, tuple(done[i] for i in sorted(done)), best.value, sum(len(v) for _, v in folds))


def folds_of(rows: pd.DataFrame, n: int) -> list[Fold]:
    """``n`` pairs (positions to fit on, positions to validate on): what is validated on is later, and no label of the
    rows fitted on arrived after it begins. Raises RetrainError when there are too few rows.
    """
    times = rows["event_time"]
    days = times.dt.floor("D")
    starts = sorted(days.dropna().unique())
    if len(starts) <= n:
        raise RetrainError(
            f"a search with {n} folds in the order of time needs rows of more than {n} days, and there are"
            f" {len(starts)}; lower retrain.training.search.folds or take a longer training window"
        )
    cuts = [part[0] for part in np.array_split(np.array(starts, dtype=object), n + 1)[1:]]
    folds = []
    for cut, end in zip(cuts, [*cuts[1:], None], strict=True):
        known = ~(rows["label_time"] >= cut)  # a row of the reference has no label time; it is from long before
        fitted = (times.isna() | (times < cut)) & known
        later = (times >= cut) & ((times < end) if end is not None else True)
        folds.append((np.flatnonzero(fitted), np.flatnonzero(later)))
    return folds


def _candidates(declared: Search) -> Sequence[Mapping[str, Any]]:
    names = list(declared.space)
    size = math.prod(len(values) for values in declared.space.values())
    if size > MOST_COMBINATIONS and declared.method == "grid":
        raise RetrainError(f"the grid has {size} combinations; use method: random or halving")
    if declared.method == "grid" or size <= declared.trials:
        return [dict(zip(names, values, strict=True)) for values in itertools.product(*declared.space.values())]
    rng = np.random.default_rng(declared.seed)
    picked = (
        rng.choice(size, declared.trials, replace=False) if size <= 2**31 else rng.integers(0, 2**31, declared.trials)
    )
    return [_combination(declared.space, int(number)) for number in picked]


def _combination(space: Mapping[str, Sequence[Any]], number: int) -> Mapping[str, Any]:
    """The combination of this number, counted like the digits of a clock."""
    found = {}
    for name, values in space.items():
        number, at = divmod(number, len(values))
        found[name] = values[at]
    return found


def _rungs(declared: Search, n: int) -> int:
    return 1 if declared.method != "halving" else 1 + math.ceil(math.log(max(n, 1), KEPT) - 1e-9)


def _part_of(fold: Fold, share: float, seed: int) -> Fold:
    fitted, validated = fold
    if share >= 1:
        return fold
    n = max(1, round(len(fitted) * share))
    return np.sort(np.random.default_rng(seed).choice(fitted, n, replace=False)), validated


def _tried(one: Trial, rung: int, folds: Sequence[Fold], evaluate: Evaluate) -> Trial:
    began, cpu, values = datetime.now(UTC), _cpu(), []
    tried = replace(one, rung=rung, n_resources=max(len(fitted) for fitted, _ in folds))
    error = None
    try:
        for fitted, validated in folds:
            values.append(float(evaluate(one.hyperparameters, fitted, validated)))
    except MemoryError:
        raise
    except Exception as raised:  # noqa: BLE001  one bad combination must not end the search
        error = f"{type(raised).__name__}: {raised}"[:500]
    ok = error is None
    return replace(
        tried, state="complete" if ok else "failed", value=float(np.mean(values)) if ok else None, error=error,
        fold_values=tuple(values), cpu_seconds=one.cpu_seconds + _cpu() - cpu,
        started_at=one.started_at or began, finished_at=datetime.now(UTC),
    )  # fmt: skip


def _order(better_high: bool) -> Callable[[Trial], tuple[float, int]]:
    """Best first; of equal ones the first tried."""
    return lambda one: ((-1 if better_high else 1) * (one.value or 0.0), one.trial)


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
