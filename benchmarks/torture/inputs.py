"""Bad inputs to four commands: each ends soon, in little memory, with a sentence and the right exit code.

python -m benchmarks.torture.inputs [--seed N] [--n 600] [--patience 10] [--kind "csv shape"] [--first 0]
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from benchmarks.torture import cases, commands
from monitoring_pipeline.settings import Settings
from monitoring_pipeline.warehouse.database import Warehouse

COMMANDS = ("init", "validate", "run", "reference")
SECRET = "s3cr3t"
OURS = ("MONITORING_HOME", "MONITORS_DIR", "DATABASE_URL", "MONITORING_DATABASE_PATIENCE", "DAGSTER_HOME")


def called(case: cases.Case, command: str) -> list[str]:
    """The command's arguments."""
    globals_ = ["--home", case.home] if case.home else []
    if command == "init":
        sources = [part for pair in case.sources().items() for part in pair]
        return [
            *globals_,
            "init",
            f"{case.name}_drafted",
            *sources,
            "--out",
            str(case.base / "drafted.yaml"),
            "--force",
        ]
    if command == "validate":
        return [*globals_, "validate", str(case.yaml)]
    if command == "run":
        return [*globals_, "run", case.name]
    return [*globals_, "reference", "export", case.name, "--out", str(case.base / "reference.json")]


def attack(
    base: Path, name: str, seed: int, url: str, patience: float, kind: str | None = None
) -> Iterator[tuple[str, commands.Ended, list[str]]]:
    """(kind, how it ended, what was wrong) for each command on one bad input."""
    kind, case = cases.make(base, name, seed, kind)
    quiet = {"MONITORING_DATABASE_PATIENCE": "1", "PYTHONWARNINGS": "ignore", "DAGSTER_HOME": None}
    home = case.home or str(base / "home")
    environment = {"MONITORING_HOME": home, "MONITORS_DIR": str(case.base / "monitors"), **quiet}
    environment |= {"DATABASE_URL": None if case.home else url} | case.environment
    for command in COMMANDS:
        ended = commands.call(called(case, command), environment, base, patience, case.pictures)
        faults = ended.faults()
        if command in case.expected and ended.code != case.expected[command]:
            faults.append(f"exit code {ended.code}, not {case.expected[command]}")
        if SECRET in ended.said:
            faults.append("shows a password")
        yield kind, ended, faults


def main() -> None:
    """Exit code 1 when anything was wrong."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--n", type=int, default=600)
    parser.add_argument("--first", type=int, default=0, help="number of the first input")
    parser.add_argument(
        "--patience", type=float, default=10.0, help="seconds a command may take; more on a busy machine"
    )
    parser.add_argument("--kind", choices=list(cases.KINDS))
    arguments = parser.parse_args()
    commands.prepare()
    place = Path(tempfile.mkdtemp(prefix="torture-"))
    counts: Counter[str] = Counter()
    began, slowest, largest = time.monotonic(), 0.0, 0
    try:
        with Warehouse.open(Settings(home=place / "server")) as warehouse:
            url = warehouse.url
            with warehouse.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                connection.exec_driver_sql("alter system set fsync = off")
                connection.exec_driver_sql("select pg_reload_conf()")
            warehouse.engine.dispose()  # no connection of ours goes into a fork
            for number in range(arguments.first, arguments.first + arguments.n):
                base = place / f"{number}"
                base.mkdir()
                for kind, ended, faults in attack(
                    base, f"m{number}", arguments.seed, url, arguments.patience, arguments.kind
                ):
                    counts["commands"] += 1
                    counts[f"exit code {ended.code}"] += 1
                    slowest, largest = max(slowest, ended.cpu), max(largest, ended.peak)
                    for fault in faults:
                        counts[f"FAULT: {fault.split(' (')[0]}"] += 1
                        print(
                            f"{number} [{kind}] {' '.join(ended.command)[:160]!r}: {fault}\n{ended.said[-1500:]}\n",
                            flush=True,
                        )
                shutil.rmtree(base, ignore_errors=True)
    finally:
        shutil.rmtree(place, ignore_errors=True)
    took = time.monotonic() - began
    print(f"seed {arguments.seed}: {arguments.n} inputs in {took:.0f} s;", end=" ")
    print(f"a command's most CPU {slowest:.1f} s, most memory {largest / 1000:.0f} MB")
    print("\n".join(f"  {name}: {n}" for name, n in sorted(counts.items())))
    sys.exit(any(name.startswith("FAULT") for name in counts))


if __name__ == "__main__":
    main()
