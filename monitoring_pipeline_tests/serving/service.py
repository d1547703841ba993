"""A nursery of services to be killed. Each predicts in threads as fast as it can and tells of each answer, by its id.

The nursery imports once and forks, so that twenty deaths cost twenty forks and not twenty start-ups. Ids go to standard
output, one write each: what can be read there was answered before the kill.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import threading
import time
from pathlib import Path

import pyarrow.parquet  # noqa: F401 — imported before the forks

from monitoring_pipeline.serving import Monitoring, ParquetSink, PredictionLog
from monitoring_pipeline.serving.reference_series import load_reference
from monitoring_pipeline_tests.serving.reference import good_row, reference_document


def serve(place: Path, threads: int) -> None:
    log = PredictionLog(place / "spool", ParquetSink(place / "lake"), segment_bytes=60_000, max_age=0.1)
    monitoring = Monitoring(reference_document(), log)
    predict = monitoring.wrap(lambda row: 0.5)

    def work() -> None:
        i = 0
        while True:
            name = monitoring.new_id()
            predict(good_row(i), prediction_id=name)
            os.write(1, f"{name}\n".encode())
            i += 1

    for _ in range(threads):
        threading.Thread(target=work, daemon=True).start()
    threading.Event().wait()


def main(place: Path, kills: int, threads: int, seed: int) -> None:
    load_reference(reference_document())
    rng = random.Random(seed)
    for _ in range(kills):
        pid = os.fork()
        if pid == 0:
            serve(place, threads)
        time.sleep(rng.uniform(0.02, 0.5))
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(int, sys.argv[2:]))
