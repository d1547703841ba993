"""Whatever happens to the counters' directory, the service counts on, and its metrics answer."""

from __future__ import annotations

import logging
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from monitoring_pipeline.serving import Monitoring
from monitoring_pipeline.serving.counters import SharedCounters
from monitoring_pipeline_tests.serving.reference import SEED, reference_document
from monitoring_pipeline_tests.serving.small_disk import small_disk_at

KEY = ("n",)


def add(counters: SharedCounters, n: float, key: tuple[str, ...] = KEY) -> None:
    """As the recorder does: under the lock, and published."""
    cells = counters.block(key, 1)
    with counters.lock:
        cells[0] += n
        counters.publish(key)


def total(counters: SharedCounters) -> float:
    return float(counters.totals()[KEY][0])


def dead_worker(place: Path, n: float) -> Path:
    counters = SharedCounters(place, "m")
    add(counters, n)
    counters.close()
    return counters._path


def remove(path: Path) -> None:
    path.unlink()


def make_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def make_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def make_loop(path: Path) -> None:
    path.unlink()
    path.symlink_to(path)


DAMAGE: dict[str, Callable[[Path], object]] = {
    "empty": lambda p: os.truncate(p, 0),
    "zeros": lambda p: p.write_bytes(bytes(5000)),
    "text": lambda p: p.write_text("not a counter file"),
    "former format": lambda p: os.truncate(p, 9 << 20) or p.write_bytes(b"\x05\0\0\0\1\0\0\0" + bytes(1 << 20)),
    "truncated": lambda p: os.truncate(p, p.stat().st_size - 40),
    "directory": make_directory,
    "pipe": make_pipe,
}


@pytest.mark.parametrize("name", DAMAGE)
def test_a_dead_workers_damaged_file_is_renamed(tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture) -> None:
    alive = SharedCounters(tmp_path, "m")
    add(alive, 5)
    path = dead_worker(tmp_path, 7)
    DAMAGE[name](path)
    assert total(alive) in (5, 12), "a file that was cut may still hold one slot"
    assert total(alive) in (5, 12)
    if name != "truncated":
        assert not path.exists() and path.with_name(path.name + ".damaged").exists()
        assert sum(path.name in r.message for r in caplog.records) == 1
    add(alive, 1)
    assert total(alive) in (6, 13)


@pytest.mark.parametrize("name", [*DAMAGE, "removed", "loop"])
def test_a_living_worker_survives_damage_to_its_file_and_repairs_it(tmp_path: Path, name: str) -> None:
    one, other = SharedCounters(tmp_path, "m"), SharedCounters(tmp_path, "m")
    add(one, 5)
    add(other, 7)
    assert total(one) == 12
    (DAMAGE | {"removed": remove, "loop": make_loop})[name](other._path)
    assert total(other) == 12, "its own memory"
    assert total(one) in (5, 12)
    add(other, 1)
    other.maintain()
    assert total(one) == total(other) == 13
    other.close()
    assert total(one) == 13


def test_random_bytes_anywhere_neither_fail_nor_invent_counts(tmp_path: Path) -> None:
    rng = random.Random(SEED)
    whole = dead_worker(tmp_path / "whole", 7).read_bytes()
    for i in range(300):
        place = tmp_path / str(i)
        alive = SharedCounters(place, "m")
        add(alive, 5)
        data = bytearray(whole)
        for _ in range(rng.choice((1, 3, 40))):
            data[rng.randrange(len(data))] ^= rng.randrange(1, 256)
        if rng.random() < 0.3:
            del data[rng.randrange(len(data)) :]
        (place / f"monitoring-m-{i}.counters").write_bytes(data)
        folded = bytes(rng.randrange(256) for _ in range(rng.randrange(60)))
        (place / "monitoring-m.folded").write_bytes(rng.choice((folded, b"{}", b"[]", b'{"names": 1, "terms": 2}')))
        assert total(alive) in (5, 12)
        assert total(alive) in (5, 12)
        alive.close()
        shutil.rmtree(place)


def test_the_directory_is_removed_while_it_runs(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    place = tmp_path / "counters"
    one, other = SharedCounters(place, "m"), SharedCounters(place, "m")
    add(one, 1)
    shutil.rmtree(place)
    add(one, 1)
    assert total(one) == 2
    one.maintain()
    other.maintain()
    add(other, 3)
    assert total(one) == total(other) == 5


def test_a_directory_that_cannot_be_made_is_logged_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("")
    with caplog.at_level(logging.ERROR):
        counters = SharedCounters(tmp_path / "file" / "below", "m")
        for _ in range(3):
            add(counters, 1)
            counters.maintain()
            assert total(counters) > 0
    assert sum("cannot be published" in r.message for r in caplog.records) == 1
    (tmp_path / "file").unlink()
    counters.maintain()
    assert total(SharedCounters(tmp_path / "file" / "below", "m")) == 3


FULL = """
import logging, os, sys
from pathlib import Path
from monitoring_pipeline.serving import Monitoring
from monitoring_pipeline_tests.serving.reference import reference_document
logging.basicConfig(level=logging.ERROR)
place, when = Path(os.environ["PROMETHEUS_MULTIPROC_DIR"]), sys.argv[1]
def fill():
    with open(place.parent / "filler", "wb", buffering=0) as out:
        try:
            while True:
                out.write(bytes(4096))
        except OSError:
            pass
if when == "start":
    fill()
m = Monitoring(reference_document())
if when == "later":
    fill()
for i in range(200):
    m.note_input_error(f"column {i}" * 50, "type", 1)
page = m.metrics().decode()
assert page.count("model_input_errors_total{") == 200, page
(place.parent / "filler").unlink()
m.counters.maintain()
print("published", sum(p.stat().st_size for p in place.glob("*.counters")) > 20000)
m.close()
"""


@pytest.mark.parametrize("when", ["start", "later"])
def test_a_full_disk_does_not_end_the_service(tmp_path: Path, when: str) -> None:
    with small_disk_at(tmp_path / "disk", 2) as disk:
        environment = os.environ | {"PROMETHEUS_MULTIPROC_DIR": str(disk / "counters")}
        done = subprocess.run([sys.executable, "-c", FULL, when], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "published True\n"
    assert done.stderr.count("cannot be published") == 1


def test_metrics_answer_beside_damaged_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    m = Monitoring(reference_document())
    try:
        m.wrap(lambda row: 0.5)({})
        stem = m.counters._path.name.rsplit("-", 2)[0]  # type: ignore[attr-defined]
        (tmp_path / f"{stem}-1-foreign.counters").write_bytes(os.urandom(3000))
        os.truncate(m.counters._path, 0)  # type: ignore[attr-defined]
        (tmp_path / f"{stem}.folded").write_bytes(b"")
        m.wrap(lambda row: 0.5)({})
        assert (
            b'model_predictions_total{model_version="v1",monitor="toy"} 2.0' in m.metrics() or b"} 2.0" in m.metrics()
        )
    finally:
        m.close()
