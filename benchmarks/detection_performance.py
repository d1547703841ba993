"""False incidents a month and power of the verdicts on performance, volume and coverage, on streams of known truth.

python -m benchmarks.detection_performance [--seed 701] [--repeat 20] [TABLE …]

Tables: null, power, regression, hourly, volume, coverage; by default all, in about four minutes of CPU.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

import numpy as np
from scipy.special import expit, logit

from benchmarks import detection_streams as streams
from benchmarks.detection_streams import Change, Floats, incidents
from monitoring_pipeline.alerting import coverage, volume
from monitoring_pipeline.alerting.budget import level as level_of
from monitoring_pipeline.alerting.performance import (
    Calibration,
    PerformanceSettings,
    calibrate,
    decide,
    errors,
    judge,
    scores,
    stacked,
)
from monitoring_pipeline.alerting.status import Flags
from monitoring_pipeline.monitors.alarms import Alarms

DAY = 86_400.0
REFERENCE = 30
WINDOWS = 90
SIZES = (30, 100, 300, 1000, 5000, 50_000)
BASES = (0.01, 0.1, 0.3, 0.5)
REGRESSION_SIZES = (30, 100, 300, 1000, 5000)
ALARMS = Alarms()
CHANGES = (
    Change("concept", 0.03), Change("concept", 0.05), Change("concept", 0.1), Change("odds", 1.5), Change("odds", 2.0),
    Change("flip", 0.1), Change("prior", 1.5), Change("harder", 0.8),
)  # fmt: skip


def scores_alarms(drawn: Sequence[tuple[Floats, Floats]], reference: int = REFERENCE, seconds: float = DAY) -> Flags:
    """(S, T) alarms of S independent monitors, each (x, evidence), of which the first windows are the reference."""
    settings = PerformanceSettings().for_windows(seconds)
    each = [
        calibrate(scores.against_reference(x, e[:reference].sum(0), settings), e[:reference], settings)
        for x, e in drawn
    ]
    return _alarms(each, [e[reference:] for _, e in drawn], settings, seconds)


def errors_alarms(drawn: Sequence[Floats]) -> Flags:
    """The same of regressions."""
    settings = PerformanceSettings()
    each = [calibrate(errors.against_reference(e[:REFERENCE].sum(0), settings), e[:REFERENCE], settings) for e in drawn]
    return _alarms(each, [e[REFERENCE:] for e in drawn], settings, DAY)


def _alarms(
    each: Sequence[Calibration], windows: Sequence[Floats], settings: PerformanceSettings, seconds: float
) -> Flags:
    evidence = np.stack(windows)
    tests = judge(stacked(each), evidence, np.ones(evidence.shape[:2], bool), settings)
    level = level_of(ALARMS, "performance", seconds)
    return np.stack([decide([one], level)[0].status[0] == "alarm" for one in alone(tests)])


def volume_alarms(counts: np.ndarray, a_day: int, holidays: np.ndarray | None = None) -> Flags:
    """(S, T) alarms of S independent monitors' row counts; all with the same holidays."""
    tests = volume.judge(counts, volume.VolumeSettings(windows_a_day=a_day), holidays=holidays)
    level = level_of(ALARMS, "volume", DAY / a_day)
    return np.stack([volume.decide(one, level).status[0] == "alarm" for one in alone(tests)])


def alone(tests: Any) -> list[Any]:
    """The tests of each series by itself: the monitors here are independent, not segments of one."""
    named = [f.name for f in fields(tests) if f.name not in ("names", "horizons")]
    return [replace(tests, **{n: getattr(tests, n)[s : s + 1] for n in named}) for s in range(len(tests.p))]


def within(alarms: Flags, since: int, lengths: Sequence[int]) -> str:
    """Share of series that alarm within so many windows of the change."""
    return "/".join(f"{alarms[:, since : since + k].any(1).mean():.2f}" for k in lengths)


def a_month(alarms: Flags, windows_a_month: float = 30.0) -> float:
    """Incidents a month of all series."""
    return sum(incidents(row) for row in alarms) / (alarms.size / windows_a_month)


def null(seed: int, repeat: int) -> None:
    """False incidents a month by kind of null and base rate, for each number of labelled rows a window."""
    print(
        f"false incidents a month, n = {SIZES}; reference of {REFERENCE} windows as large; {repeat * 3} months a cell"
    )
    found: dict[str, list[list[float]]] = {}
    for i, kind in enumerate(streams.NULLS):
        for base in BASES:
            row = []
            for n in SIZES:
                random = np.random.default_rng([seed, n, int(base * 1000), i])
                drawn = [streams.labelled_scores(base, n, kind, REFERENCE + WINDOWS, random) for _ in range(repeat)]
                row.append(a_month(scores_alarms(drawn)))
            found.setdefault(kind, []).append(row)
            print(f"{kind:10s} base {base:4} | " + " ".join(f"{v:5.2f}" for v in row), flush=True)
    print("means: " + ", ".join(f"{kind} {np.mean(rows):.3f}" for kind, rows in found.items()))
    everything = np.concatenate(list(found.values()))
    print(f"mean of all cells {everything.mean():.3f}, worst {everything.max():.2f}", flush=True)


def power(seed: int, repeat: int, base: float = 0.1) -> None:
    """Share of changes that alarm within 1 / 2 / 7 windows."""
    sizes, repeat = SIZES[2:], 3 * repeat
    print(f"power within 1/2/7 windows, base rate {base}, n = {sizes}; {repeat} runs a cell")
    for i, change in enumerate(CHANGES):
        for kind in ("iid", "all"):
            row = []
            for n in sizes:
                random = np.random.default_rng([seed, n, i])
                drawn = [
                    streams.labelled_scores(base, n, kind, REFERENCE + 47, random, change, REFERENCE + 40)
                    for _ in range(repeat)
                ]
                row.append(within(scores_alarms(drawn), 40, (1, 2, 7)))
            print(f"{change.kind:8s}{change.size:5} {kind:4s} | " + "  ".join(row), flush=True)


def hourly(seed: int, repeat: int) -> None:
    """Hourly windows, 21 days of reference: false incidents a month, and power within 1/24/168 windows."""
    print(f"hourly: false incidents a month | power within 1/24/168 of concept .05 | of .1; {repeat} runs a cell")
    for name, kind, each in (("iid", "iid", 1), ("effects by hour", "all", 1), ("effects by day", "all", 24)):
        for n in (20, 100, 1000):
            random = np.random.default_rng([seed, n, each])
            row = []
            for change, length in ((None, 720), (Change("concept", 0.05), 400), (Change("concept", 0.1), 400)):
                drawn = [
                    streams.labelled_scores(0.2, n, kind, 504 + length, random, change, 724, each)
                    for _ in range(repeat)
                ]
                found = scores_alarms(drawn, 504, DAY / 24)
                row.append(f"{a_month(found, 720):.2f}" if change is None else within(found, 220, (1, 24, 168)))
            print(f"{name:16s} n {n:5d} | " + " | ".join(row), flush=True)


def regression(seed: int, repeat: int) -> None:
    """False incidents a month and power of bias and scale."""
    print(f"regression: false incidents a month, n = {REGRESSION_SIZES}; {repeat * 3} months a cell")
    cells = []
    for kind in ("iid", "tails", "all", "ar", "heavy", "weekdays"):
        row = []
        for n in REGRESSION_SIZES:
            random = np.random.default_rng([seed, n])
            row.append(a_month(errors_alarms([streams.errors(kind, n, 120, random) for _ in range(repeat)])))
        cells.append(row)
        print(f"{kind:10s} | " + " ".join(f"{v:5.2f}" for v in row), flush=True)
    print(f"mean of all cells {np.mean(cells):.3f}, worst {np.max(cells):.2f}; power within 1/2/7 windows")
    for kind in ("iid", "tails", "all"):
        for bias, scale in ((0.0, 1.1), (0.0, 1.3), (0.2, 1.0)):
            texts = []
            for n in REGRESSION_SIZES:
                random = np.random.default_rng([seed + 1, n])
                drawn = [streams.errors(kind, n, 77, random, bias, scale, 70) for _ in range(2 * repeat)]
                texts.append(within(errors_alarms(drawn), 40, (1, 2, 7)))
            print(f"{kind:6s} bias {bias} scale {scale} | " + "  ".join(texts), flush=True)


def volumes(seed: int, repeat: int) -> None:
    """False incidents a month of volume from the fourth week on, and power at 14 and 60 days of history."""
    print("volume: false incidents a month; rows a window, shape (1/√shape is the noise)")
    days = {
        1: (
            (50, "pattern", 0.0),
            (10, "pattern", 0.0),
            (50, "days", 0.0),
            (50, "ar", 0.0),
            (50, "holidays", 0.0),
            (50, "pattern", 0.05),
        )
    }
    days[24] = ((20, "pattern", 0.0), (5, "pattern", 0.0), (50, "ar", 0.0), (50, "holidays", 0.0))
    for a_day, sizes in ((1, (30, 300, 5000)), (24, (5, 50, 1000))):
        for rows in sizes:
            row = []
            for shape, kind, growth in days[a_day]:
                random = np.random.default_rng([seed, a_day, rows, int(shape)])
                n = repeat if a_day == 1 else repeat // 2
                length = 150 if a_day == 1 else 84
                drawn = [streams.row_counts(length, a_day, rows, shape, random, kind, growth) for _ in range(n)]
                if kind == "holidays":  # each monitor has a calendar of its own
                    found = np.concatenate([volume_alarms(c[None], a_day, h.astype(int)) for c, h in drawn])
                else:
                    found = volume_alarms(np.stack([c for c, _ in drawn]), a_day)
                value = a_month(found[:, 28 * a_day :], 30 * a_day)
                row.append(f"{kind}{' growing' if growth else ''} {shape}: {value:.2f}")
            print(f"{a_day:2d} a day, {rows:4d} rows | " + ", ".join(row), flush=True)
    for shape in (50, 200):
        row = []
        for name, factor in (("half", 0.5), ("double", 2.0), ("none", 0.0)):
            for history in (14, 60):
                random = np.random.default_rng([seed, shape, history])
                c = np.stack([streams.row_counts(history + 1, 1, 5000, shape, random)[0] for _ in range(3 * repeat)])
                c[:, history] = c[:, history] * factor
                row.append(f"{name} after {history} d {volume_alarms(c, 1)[:, history].mean():.2f}")
        print(f"power in one day, noise {100 / np.sqrt(shape):.0f} %: " + ", ".join(row), flush=True)


def coverages(seed: int, repeat: int) -> None:
    """False incidents a month of coverage at one age, and power within two windows."""
    level, settings = level_of(ALARMS, "coverage", DAY), coverage.CoverageSettings()
    print("coverage at one age: false incidents a month; caught within two windows: none arrive, x .3, x .9")
    for usual in (0.6, 0.97, 0.999):
        for rows in (50, 1000, 50_000):
            random = np.random.default_rng([seed, rows])
            texts = []
            for factor in (1.0, 0.0, 0.3, 0.9):
                n = random.poisson(rows, (repeat, 120)) + 1
                share = expit(logit(usual) + 0.2 * random.standard_normal(n.shape))
                share[:, 100:] *= factor
                tests = coverage.judge(random.binomial(n, share), n, np.ones(n.shape, bool), settings)
                found = np.stack([coverage.decide([one], level)[0].status[0] == "alarm" for one in alone(tests)])
                texts.append(f"{a_month(found):.2f}" if factor == 1 else within(found, 100, (2,)))
            print(f"usual {usual:5} n {rows:6d} | {texts[0]} | " + " ".join(texts[1:]), flush=True)


TABLES = {
    "null": null, "power": power, "regression": regression, "hourly": hourly, "volume": volumes, "coverage": coverages,
}  # fmt: skip


def main() -> None:
    """Print the tables named on the command line, by default all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tables", nargs="*", metavar="TABLE", help=", ".join(TABLES))
    parser.add_argument("--seed", type=int, default=701)
    parser.add_argument("--repeat", type=int, default=20)
    arguments = parser.parse_args()
    for name in arguments.tables or TABLES:
        if name not in TABLES:
            parser.error(f"there is no table {name!r}; there are {', '.join(TABLES)}")
        started = time.process_time()
        TABLES[name](arguments.seed, arguments.repeat)
        print(f"[{name}: {time.process_time() - started:.0f} s of CPU]\n", flush=True)


if __name__ == "__main__":
    main()
