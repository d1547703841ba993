"""The inside of the training process: ``python -m monitoring_pipeline.retraining.worker``, started by ``child``.

Reads ``task.json`` and the rows from a directory, writes ``model.bin`` and ``result.json`` there. What goes wrong in
the user's trainer is a sentence in the result.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import sys
import traceback
from pathlib import Path
from typing import Any

PARENT_DIED = 1  # PR_SET_PDEATHSIG


def confine(parent: int, memory_mb: int) -> None:
    """Die with the parent; no more memory than this; no core files."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PARENT_DIED, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit(3)  # it died before that
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_DATA, (memory_mb << 20, memory_mb << 20))


def main(directory: Path, progress: int, memory_mb: int) -> int:
    """0, or 0 with an error in the result: what went wrong is then known. 1: it could not even be said."""

    def report(**said: Any) -> None:
        os.write(progress, (json.dumps(said, default=str) + "\n").encode())

    try:
        from monitoring_pipeline.retraining.working import train_here  # within the limits

        result = train_here(directory, report)
    except MemoryError:
        result = {"error": f"training needs more than {memory_mb} MB; raise retrain.training.memory_limit_mb, or train"
                           " on fewer rows"}  # fmt: skip
    except SystemExit as error:
        result = {"error": f"the trainer ended its process by sys.exit({error.code!r}); return a TrainedModel"}
    except Exception as error:  # noqa: BLE001  a defect of ours is said too, with where it is
        told = type(error).__name__ == "RetrainError"
        result = {"error": str(error) if told else "".join(traceback.format_exception(error)[-2:]).strip()}
    temporary = directory / "result.tmp"
    temporary.write_text(json.dumps(result))
    temporary.replace(directory / "result.json")
    return 0


if __name__ == "__main__":
    confine(int(sys.argv[3]), int(sys.argv[4]))
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[4])))
