"""GPUs, read through a module in the place of NVIDIA's library; nothing where there is none."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace

import pytest

from monitoring_pipeline.serving import Monitoring
from monitoring_pipeline_tests.serving.conftest import value
from monitoring_pipeline_tests.serving.reference import reference_document

NAMES = ("model_gpu_busy_share", "model_gpu_memory_used_bytes", "model_gpu_memory_total_bytes")


class NVMLError(Exception):
    """As the library raises."""


class FakeLibrary(ModuleType):
    """Two GPUs: the first 40 % busy with 6 of 8 GiB used; the second does not answer while ``lost``."""

    def __init__(self) -> None:
        super().__init__("pynvml")
        self.lost: set[int] = {1}
        self.NVMLError = NVMLError
        self.driver = True

    def nvmlInit(self) -> None:
        if not self.driver:
            raise NVMLError("Driver Not Loaded")

    def nvmlDeviceGetCount(self) -> int:
        return 2

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:
        return index

    def nvmlDeviceGetUtilizationRates(self, handle: int) -> SimpleNamespace:
        if handle in self.lost:
            raise NVMLError("GPU is lost")
        return SimpleNamespace(gpu=40, memory=10)

    def nvmlDeviceGetMemoryInfo(self, handle: int) -> SimpleNamespace:
        return SimpleNamespace(used=6 * 2**30, total=8 * 2**30)


def read(monitoring: Monitoring, gpu: str) -> list[float | None]:
    monitoring.saturation.sample()
    return [value(monitoring, name, gpu=gpu) for name in NAMES]


def test_gpus_that_answer_are_published(monkeypatch: pytest.MonkeyPatch) -> None:
    library = FakeLibrary()
    monkeypatch.setitem(sys.modules, "pynvml", library)
    monitoring = Monitoring(reference_document())
    try:
        assert read(monitoring, "0") == [0.4, 6 * 2**30, 8 * 2**30]
        assert read(monitoring, "1") == [None, None, None]
        library.lost = {0}
        assert read(monitoring, "1") == [0.4, 6 * 2**30, 8 * 2**30]
        assert read(monitoring, "0") == [None, None, None], "an old value would look current"
    finally:
        monitoring.close()


def test_workers_on_one_machine_do_not_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", FakeLibrary())
    monitoring = Monitoring(reference_document())
    try:
        monitoring.saturation.sample()
        totals = monitoring.counters.totals()
        doubled = {key: cells * 2 if key[-1].startswith("gpu ") else cells for key, cells in totals.items()}
        monkeypatch.setattr(monitoring.counters, "totals", lambda: doubled)
        assert value(monitoring, NAMES[0], gpu="0") == 0.4
    finally:
        monitoring.close()


@pytest.mark.parametrize("installed", [False, True])
def test_without_library_or_driver_there_are_no_series(installed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    library = FakeLibrary()
    library.driver = False
    monkeypatch.setitem(sys.modules, "pynvml", library if installed else None)  # importing None raises ImportError
    monitoring = Monitoring(reference_document())
    try:
        monitoring.saturation.sample()
        assert b"model_gpu" not in monitoring.metrics()
    finally:
        monitoring.close()
