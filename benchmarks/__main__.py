"""Runs the benchmarks and writes their tables to README.md beside this file.

python -m benchmarks [--rows 1000000] [--large 10000000] [--without-evidently] [--peers PYTHON] [--idle-fleet]
"""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import backfill, full_pass, idle_fleet, serving, stored_profiles
from benchmarks.detection import section
from benchmarks.measuring import machine

README = Path(__file__).with_name("README.md")
TEXT = """# Benchmarks

Written by `make bench` on {day}: {machine}.

## The full pass

One window of 28 columns (21 numerical, 5 categorical, 2 boolean), score, prediction and outcome, as Parquet: profile,
quality, drift by six methods against the reference, performance with intervals. Every line is a process of its own;
CPU is user and system time of all threads from after the imports, the best of three rounds (Evidently: one); peak
memory is of the whole process. The goals: at most 2.2 bare scans (2.7 with all parts of a profile) and 1/200 of
Evidently's CPU, and at most 450 MB at ten million rows.

{full_pass}

The bare scan decodes every value and looks at it once (`sum` of numbers, `max` of texts). Evidently gets the same rows
in pandas and the reference's {reference_rows:,} besides, since it keeps no profile of them.

## Asked again from stored profiles

Ninety days in Postgres, one segment, best of seven; no raw row is read. The goal is 100 ms.

{stored_profiles}

## Ninety days in one run of the graph

{backfill}

## The serving side

{instrumentation}

The peers boxkite and whylogs need older libraries; they run in an interpreter of their own (`--peers`).

## The monitor's exporter

{exporter}

## `up` with many idle monitors

The goals with 100 monitors: at most 10 % of a core for all processes together, and 5 commits a second.

{idle_fleet}
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--large", type=int, default=10_000_000, help="0: leave it out")
    parser.add_argument("--without-evidently", action="store_true")
    parser.add_argument("--peers", help="interpreter that has boxkite and whylogs")
    parser.add_argument("--idle-fleet", action="store_true", help="measure an idle `up` too, which takes six minutes")
    arguments = parser.parse_args()
    idle = idle_fleet.table(idle_fleet.measure()) if arguments.idle_fleet else "Left out; `--idle-fleet` measures it."
    costs = full_pass.measure(arguments.rows, arguments.large, not arguments.without_evidently)
    written = TEXT.format(
        day=datetime.now(UTC).date(),
        machine=machine(),
        full_pass=full_pass.table(costs, arguments.rows, arguments.large),
        reference_rows=full_pass.REFERENCE_ROWS,
        stored_profiles=stored_profiles.table(stored_profiles.measure(90), 90),
        backfill=backfill.tables(90, 10_000),
        instrumentation=serving.instrumentation(arguments.peers),
        exporter=serving.exporter(),
        idle_fleet=idle,
    )
    written += "\n" + section.kept(README.read_text())
    README.write_text(written)
    print(written)


if __name__ == "__main__":
    main()
