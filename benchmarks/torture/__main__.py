"""Runs every module that stands here, one after the other, with one seed.

python -m benchmarks.torture [--seed N] [--only MODULE…]
"""

from __future__ import annotations

import argparse
import pkgutil
import subprocess
import sys
import time
from pathlib import Path

PARTS = {"inputs", "kills", "collector"}  # the others are what these are made of


def main() -> None:
    """Exit code 1 when a part failed."""
    found = [one.name for one in pkgutil.iter_modules([str(Path(__file__).parent)]) if one.name in PARTS]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seed", type=int, default=int(time.time()), help="default: the time")
    parser.add_argument("--only", nargs="*", choices=found, default=found)
    arguments = parser.parse_args()
    failed = []
    for name in arguments.only:
        print(f"== {name}, seed {arguments.seed}", flush=True)
        command = [sys.executable, "-m", f"benchmarks.torture.{name}", "--seed", str(arguments.seed)]
        if subprocess.run(command, check=False).returncode:
            failed.append(name)
    print(f"seed {arguments.seed}: " + (f"FAILED: {', '.join(failed)}" if failed else "everything held"))
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
