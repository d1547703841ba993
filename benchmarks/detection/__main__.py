"""Runs the harness and prints its tables; ``--write`` puts them into benchmarks/README.md.

python -m benchmarks.detection [--quick] [--choosing] [--nannyml PYTHON] [--write]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import numpy as np

from benchmarks.detection import peers, real_code
from benchmarks.detection.cells import CHOOSING, CONFIRMING, Cell, Found, Tally, cases, null, null_cells
from benchmarks.detection.faults import shift
from benchmarks.detection.section import write
from benchmarks.detection.streams import Setting, make

METHODS = ("ours", "Evidently", "NannyML", "GATE")


def main() -> None:
    """Everything, a line at a time."""
    arguments = _arguments()
    seed, began = CHOOSING if arguments.choosing else CONFIRMING, time.perf_counter()
    lines = []
    for line in _report(seed, quick=arguments.quick, nannyml=arguments.nannyml):
        print(line, flush=True)
        lines.append(line)
    took = f"{datetime.now(UTC):%Y-%m-%d}, seeds from {seed}, {time.perf_counter() - began:.0f} s on one core."
    print(took)
    if arguments.write:
        write([took, "", *lines])


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.detection", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="fewer cells and streams: two minutes instead of fifteen")
    parser.add_argument("--choosing", action="store_true", help="the seeds that constants were chosen on")
    parser.add_argument(
        "--nannyml", metavar="PYTHON", help="an interpreter that has nannyml: compare with its own code"
    )
    parser.add_argument("--write", action="store_true", help="put the tables into benchmarks/README.md")
    return parser.parse_args()


def _report(seed: int, *, quick: bool, nannyml: str | None) -> Iterator[str]:
    yield from _nulls(seed, 3 if quick else 10, quick=quick)
    yield ""
    yield from _powers(seed + 500, 6 if quick else 40, ("iid", "day05"))
    yield ""
    yield from _agreement(seed + 900, nannyml, windows=2 if quick else 5)


def _nulls(seed: int, repeats: int, *, quick: bool) -> Iterator[str]:
    yield "| without drift | rows | false incidents a month | column-windows a month | Evidently | NannyML | GATE |"
    yield "|---|---|---|---|---|---|---|"
    for i, cell in enumerate(null_cells(quick=quick)):
        yield _null_line(cell, null(cell, repeats, seed + i))


def _null_line(cell: Cell, tally: Tally) -> str:
    ours = f"{tally.incidents['ours']:.2f}"
    if "2 of 3" in tally.incidents:
        ours += f" (2 of 3: {tally.incidents['2 of 3']:.2f})"
    others = [f"{tally.windows[name]:.1f}" if name in tally.windows else "" for name in METHODS[1:]]
    columns = [f"{cell.kind}, {cell.what}", f"{cell.setting.n:,}", ours, f"{tally.windows['ours']:.1f}", *others]
    return "| " + " | ".join(columns) + " |"


def _powers(seed: int, repeats: int, kinds: tuple[str, ...]) -> Iterator[str]:
    yield "| fault, from one window on | ours | Evidently | NannyML | GATE | ours at Evidently's rate | at NannyML's |"
    yield "|---|---|---|---|---|---|---|"
    for i, kind in enumerate(kinds):
        for found in cases(kind, repeats, seed + 100 * i):
            yield _power_line(found)


def _power_line(found: Found) -> str:
    shown = [f"{found.power[name]:.2f} ({_windows(found.delay[name])})" for name in METHODS]
    shown += [f"{found.power[f'ours as {name}']:.2f}" for name in METHODS[1:3]]
    within = "" if found.case.within == 2 else f", within {found.case.within}"
    return f"| {found.case.name}{within}, {found.kind} | " + " | ".join(shown) + " |"


def _windows(delay: float) -> str:
    return f"{delay:.0f}" if np.isfinite(delay) else "–"


def _agreement(seed: int, nannyml: str | None, windows: int) -> Iterator[str]:
    """On streams where the peers flag some columns and leave others."""
    random = np.random.default_rng(seed)
    stream = make("day05", Setting(m=6_000, days=6, n=1_000, windows=windows), random, shift(0.4, (2, 5, 22), 0))
    reference, rows = real_code.frames(stream)
    rule = peers.evidently(stream)
    yield _agreed("Evidently", rule, real_code.evidently(reference, rows))
    rule = peers.nannyml(stream)
    if nannyml is None:
        yield "NannyML's own code was not run (`--nannyml PYTHON`)."
    else:
        yield _agreed("NannyML", rule, real_code.nannyml(reference, rows, nannyml))


def _agreed(name: str, rule: np.ndarray, itself: np.ndarray) -> str:
    return (
        f"{name}'s rule and its own code agree on {(rule == itself).sum()} of {rule.size} column-windows, of which "
        f"{itself.sum()} are flagged."
    )


if __name__ == "__main__":
    main()
