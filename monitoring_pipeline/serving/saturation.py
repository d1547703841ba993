"""Saturation: how busy the process is, sampled every second into gauges."""

from __future__ import annotations

import logging
import os
import threading
import time
import weakref
from pathlib import Path

from monitoring_pipeline.prediction_log.prediction_log import PredictionLog
from monitoring_pipeline.serving.counters import GAUGE
from monitoring_pipeline.serving.gpus import Gpus
from monitoring_pipeline.serving.recorder import Recorder

logger = logging.getLogger(__name__)
INTERVAL = 1.0  # seconds
GAUGES = (
    "cpu_share", "memory_bytes", "in_flight", "http_in_flight", "spool_bytes", "oldest_seconds", "sink_down", "apart",
)  # fmt: skip
GPU = "gpu "
"""Before a GPU's number in the key of its cells: busy share, bytes used, bytes in all, and how many workers read it.
All of them read the same, and cells are added up over workers: the exposition divides."""


class Saturation:
    """A thread that also counts pending rows, so that a quiet worker's counts do not lag behind."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = weakref.ref(recorder)
        self._cells = {name: recorder.gauge(name) for name in GAUGES}
        self._stop = threading.Event()
        self._cpu, self._wall = time.process_time(), time.monotonic()
        self._lock = threading.Lock()
        self._gpus: Gpus | None = None
        self._said = False
        threading.Thread(target=self._run, name="monitoring-saturation", daemon=True).start()

    def stop(self) -> None:
        """Ends the thread within ``INTERVAL``."""
        self._stop.set()

    def _run(self) -> None:
        while not self._stop.wait(INTERVAL):
            recorder = self._recorder()
            if recorder is None:
                return
            recorder.count_pending()
            self.sample()
            recorder.counters.maintain()
            del recorder

    def sample(self) -> None:
        """Sets the gauges to what is true now; the share of CPU is of all cores, since the last sample."""
        recorder = self._recorder()
        if recorder is None:
            return
        cells = self._cells
        with self._lock:
            cpu, wall = time.process_time(), time.monotonic()
            if wall - self._wall >= INTERVAL / 2:
                cells["cpu_share"][0] = (cpu - self._cpu) / (wall - self._wall) / (os.cpu_count() or 1)
                self._cpu, self._wall = cpu, wall
            cells["memory_bytes"][0] = resident_bytes()
            cells["in_flight"][0] = recorder.in_flight
            cells["http_in_flight"][0] = len(recorder.http_active)
            if recorder.log is not None:
                cells["spool_bytes"][0] = recorder.log.spool_bytes
                cells["oldest_seconds"][0] = recorder.log.oldest_seconds
                cells["sink_down"][0] = 0.0 if recorder.log.sink_up else 1.0
                cells["apart"][0] = self._others(recorder.log)
            gpus = self._sample_gpus(recorder)
            with recorder.counters.lock:
                recorder.counters.publish(*((GAUGE, name) for name in (*GAUGES, *gpus)))

    def _others(self, log: PredictionLog) -> float:
        """Workers whose counts are not on this one's page, though whoever scrapes the service takes it for all."""
        if log.n_apart and not self._said:
            self._said = True
            logger.error(
                "%s: %d other workers predict with this model, and each counts for itself: /metrics shows whichever "
                "is asked. Set PROMETHEUS_MULTIPROC_DIR to an empty directory before they start; services that are "
                "scraped one by one need a spool directory each", log.directory, log.n_apart,
            )  # fmt: skip
        return float(log.n_apart)

    def _sample_gpus(self, recorder: Recorder) -> list[str]:
        """Keys of the GPUs; one that was read before and is not now counts no worker."""
        if self._gpus is None:
            self._gpus = Gpus()
        read = {one.gpu: one for one in self._gpus.read()}
        for gpu in self._gpus.known:
            one = read.get(gpu)
            values = (one.busy_share, one.memory_used_bytes, one.memory_total_bytes, 1.0) if one else (0.0,) * 4
            recorder.counters.block((GAUGE, GPU + gpu), 4)[:] = values
        return [GPU + gpu for gpu in self._gpus.known]


def resident_bytes() -> float:
    """Resident memory of this process in bytes; 0 where /proc is not."""
    try:
        return float(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError, ValueError):
        return 0.0
