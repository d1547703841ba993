"""How busy the machine's NVIDIA GPUs are, where their library (``pip install nvidia-ml-py``) and a driver are there."""

from __future__ import annotations

import importlib
import logging
from dataclasses import dataclass
from typing import Any

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Reading:
    """One GPU now. ``busy_share``: share of the last second or less in which it ran anything; memory in bytes."""

    gpu: str
    busy_share: float
    memory_used_bytes: float
    memory_total_bytes: float


class Gpus:
    """Asks NVIDIA's library. Silent where it is not installed or finds no driver; a GPU that fails is left out."""

    def __init__(self) -> None:
        self._nvml: Any = None
        self._handles: dict[str, Any] = {}
        try:
            self._nvml = nvml = importlib.import_module("pynvml")
        except ImportError:
            return
        try:
            nvml.nvmlInit()
            self._handles = {str(n): nvml.nvmlDeviceGetHandleByIndex(n) for n in range(nvml.nvmlDeviceGetCount())}
        except nvml.NVMLError as error:  # no driver, no permission: a service runs without GPUs too
            logger.debug("no GPU is read: %s", error)

    @property
    def known(self) -> list[str]:
        """Their numbers, as the library counts them."""
        return list(self._handles)

    def read(self) -> list[Reading]:
        """Every GPU that answers; utilisation is of all processes on the machine, not of this service alone."""
        found = []
        for gpu, handle in self._handles.items():
            try:
                busy = self._nvml.nvmlDeviceGetUtilizationRates(handle).gpu / 100
                memory = self._nvml.nvmlDeviceGetMemoryInfo(handle)
                found.append(Reading(gpu, float(busy), float(memory.used), float(memory.total)))
            except (
                self._nvml.NVMLError
            ) as error:  # a device that fell off, or does not tell (MIG): the rest is still shown
                logger.debug("GPU %s is not read: %s", gpu, error)
        return found
