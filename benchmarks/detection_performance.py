"""False incidents a month and power of the verdicts on performance, volume and coverage, on streams of known truth.

python -m benchmarks.detection_performance [--seed 701] [--repeat 10] [null power regression hourly volume coverage]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence

import numpy as np

from benchmarks import detection_streams as streams
from benchmarks.detection_streams import Change, Floats, incidents
from monitoring_pipeline.alerting.budget import BudgetSettings
from monitoring_pipeline.alerting.performance import (
    PerformanceSettings,
    calibrate,
    decide,
    errors,
    judge,
    scores,
    stacked,
)

DAY = 86_400.0
REFERENCE = 30
SIZES = (30, 100, 300, 1000, 5000, 50_000)
BASES = (0.01, 0.1, 0.3, 0.5)
BUDGET = BudgetSettings()


def alarms_of_scores(x: Floats, reference: Sequence[Floats], windows: Sequence[Floats], seconds: float = DAY) -> Floats:
    """(S, T) alarms of independent monitors, judged at once: ``reference`` and ``windows`` are evidence (B, D), (T, D)
    of each."""
    settings = PerformanceSettings().for_windows(seconds)
    each = [calibrate(scores.against_reference(x, r.sum(0), settings), r, settings) for r in reference]
    return _alarms(each, windows, settings, seconds)


def alarms_of_errors(reference: Sequence[Floats], windows: Sequence[Floats]) -> Floats:
    """The same of regressions."""
    settings = PerformanceSettings()
    each = [calibrate(errors.against_reference(r.sum(0), settings), r, settings) for r in reference]
    return _alarms(each, windows, settings, DAY)


def _alarms(each, windows, settings, seconds):
    evidence = np.stack(windows)
    tests = judge(stacked(each), evidence, np.ones(evidence.shape[:2], bool), settings)
    level = BUDGET.level("performance", seconds)
    return np.stack([decide([_row(tests, s)], level)[0].status[0] == "alarm" for s in range(len(each))])


def _row(tests, s):
    """One series of its own: the monitors here are independent, not segments of one."""
    from dataclasses import fields, replace

    at = slice(s, s + 1)
    return replace(
        tests, **{f.name: getattr(tests, f.name)[at] for f in fields(tests) if f.name not in ("names", "horizons")}
    )


def null_scores(seed: int, repeat: int) -> None:
    """False incidents a month by kind of null and base rate, for each number of labelled rows a window."""
    print(
        f"\nfalse incidents a month, n = {SIZES}; reference {REFERENCE} windows as large; {repeat} x 90 windows a cell"
    )
    cells = []
    for kind in streams.NULLS:
        for base in BASES:
            row = []
            for n in SIZES:
                random = np.random.default_rng([seed, n, int(base * 1000), streams.NULLS.index(kind)])
                drawn = [streams.labelled_scores(base, n, kind, REFERENCE + 90, random) for _ in range(repeat)]
                x = drawn[0][0]
                found = alarms_of_scores(x, [e[:REFERENCE] for _, e in drawn], [e[REFERENCE:] for _, e in drawn])
                row.append(sum(incidents(f) for f in found) / (3 * repeat))
            cells.append((kind, row))
            print(f"{kind:10s} base {base:4} | " + " ".join(f"{v:5.2f}" for v in row), flush=True)
    for kind in streams.NULLS:
        print(f"mean {kind:10s} {np.mean([row for k, row in cells if k == kind]):.3f}")
    everything = np.array([row for _, row in cells])
    print(f"mean of all cells {everything.mean():.3f}, worst {everything.max():.2f}", flush=True)


CHANGES = [
    Change("concept", 0.03), Change("concept", 0.05), Change("concept", 0.1), Change("odds", 1.5), Change("odds", 2.0),
    Change("flip", 0.1), Change("prior", 1.5), Change("harder", 0.8),
]  # fmt: skip


def power_scores(seed: int, repeat: int, bases: Sequence[float] = (0.1,)) -> None:
    """Share of changes that alarm within 1 / 2 / 7 windows."""
    print(f"\npower within 1/2/7 windows, n = {SIZES[2:]}; {repeat} runs a cell")
    for change in CHANGES:
        for kind in ("iid", "all"):
            for base in bases:
                row = []
                for n in SIZES[2:]:
                    random = np.random.default_rng(
                        [seed, n, int(base * 1000), len(change.kind), int(change.size * 100)]
                    )
                    drawn = [
                        streams.labelled_scores(base, n, kind, REFERENCE + 50, random, change, REFERENCE + 40)
                        for _ in range(repeat)
                    ]
                    found = alarms_of_scores(
                        drawn[0][0], [e[:REFERENCE] for _, e in drawn], [e[REFERENCE:] for _, e in drawn]
                    )
                    row.append([found[:, 40 : 40 + k].any(1).mean() for k in (1, 2, 7)])
                texts = "  ".join("/".join(f"{v:.2f}" for v in cell) for cell in row)
                print(f"{change.kind:8s}{change.size:5} {kind:4s} base {base:4} | {texts}", flush=True)


def hourly_scores(seed: int, repeat: int) -> None:
    """Hourly windows, 21 days of reference: false incidents a month, and power within 1/24/168 windows."""
    print(
        f"\nhourly: false incidents a month; power within 1/24/168 windows of concept .05 and .1; {repeat} runs a cell"
    )
    for name, kind, each in (("iid", "iid", 1), ("effects by hour", "all", 1), ("effects by day", "all", 24)):
        for n in (20, 100, 1000):
            random = np.random.default_rng([seed, n, each])
            texts = []
            for change, length in ((None, 720), (Change("concept", 0.05), 400), (Change("concept", 0.1), 400)):
                drawn = [
                    streams.labelled_scores(0.2, n, kind, 504 + length, random, change, 724, each)
                    for _ in range(repeat)
                ]
                found = alarms_of_scores(
                    drawn[0][0], [e[:504] for _, e in drawn], [e[504:] for _, e in drawn], DAY / 24
                )
                if change is None:
                    texts.append(f"null {sum(incidents(f) for f in found) / repeat:.2f}")
                else:
                    texts.append("/".join(f"{found[:, 220 : 220 + k].any(1).mean():.2f}" for k in (1, 24, 168)))
            print(f"{name:16s} n {n:5d} | " + " | ".join(texts), flush=True)


def regression(seed: int, repeat: int) -> None:
    """False incidents a month and power of bias and scale."""
    sizes = (30, 100, 300, 1000, 5000)
    print(f"\nregression: false incidents a month, n = {sizes}; {repeat} x 90 windows a cell")
    cells = []
    for kind in ("iid", "tails", "all", "ar", "heavy", "weekdays"):
        row = []
        for n in sizes:
            random = np.random.default_rng([seed, n])
            drawn = [
                streams.errors(kind, n, REFERENCE + 90, random) for _ in range(repeat if n < 5000 else repeat // 2)
            ]
            found = alarms_of_errors([e[:REFERENCE] for e in drawn], [e[REFERENCE:] for e in drawn])
            row.append(sum(incidents(f) for f in found) / (3 * len(drawn)))
        cells.append(row)
        print(f"{kind:10s} | " + " ".join(f"{v:5.2f}" for v in row), flush=True)
    print(f"mean of all cells {np.mean(cells):.3f}, worst {np.max(cells):.2f}")
    print("power within 1/2/7 windows")
    for kind in ("iid", "tails", "all"):
        for bias, scale in ((0.0, 1.1), (0.0, 1.3), (0.2, 1.0)):
            row = []
            for n in sizes:
                random = np.random.default_rng([seed + 1, n])
                drawn = [
                    streams.errors(kind, n, REFERENCE + 47, random, bias, scale, REFERENCE + 40) for _ in range(repeat)
                ]
                found = alarms_of_errors([e[:REFERENCE] for e in drawn], [e[REFERENCE:] for e in drawn])
                row.append("/".join(f"{found[:, 40 : 40 + k].any(1).mean():.2f}" for k in (1, 2, 7)))
            print(f"{kind:6s} bias {bias} scale {scale} | " + "  ".join(row), flush=True)


TABLES = {"null": null_scores, "power": power_scores, "regression": regression, "hourly": hourly_scores}


def main() -> None:
    """Print the tables named on the command line, by default all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tables", nargs="*", choices=[*TABLES, []], default=list(TABLES))
    parser.add_argument("--seed", type=int, default=701)
    parser.add_argument("--repeat", type=int, default=10)
    arguments = parser.parse_args()
    for name in arguments.tables or TABLES:
        started = time.process_time()
        TABLES[name](arguments.seed, arguments.repeat)
        print(f"{name}: {time.process_time() - started:.0f} s of CPU", flush=True)


if __name__ == "__main__":
    main()
