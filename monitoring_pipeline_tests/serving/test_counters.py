"""Counters over processes: what dead workers counted stays, once, in few files, whoever dies when."""

from __future__ import annotations

import fcntl
import json
import math
import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from monitoring_pipeline.serving import Monitoring, counter_file
from monitoring_pipeline.serving import counters as module
from monitoring_pipeline.serving.counters import GAUGE, LocalCounters, SharedCounters
from monitoring_pipeline.serving.folded_counters import Folded
from monitoring_pipeline_tests.serving.counting import SHARE, WORKERS
from monitoring_pipeline_tests.serving.reference import SEED, reference_document


def nursery(*arguments: str) -> Any:
    command = [sys.executable, "-m", "monitoring_pipeline_tests.serving.counting", *arguments]
    return json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=120).stdout)


def test_killed_before_any_step_of_folding_nothing_is_lost_or_counted_twice(tmp_path: Path) -> None:
    seen = nursery("steps", str(tmp_path))
    assert [s["killed"] for s in seen] == [True] * (len(seen) - 1) + [False]
    exact = math.fsum(_added(times) for times in range(1, WORKERS + 1))
    for found in (s[when] for s in seen for when in ("after", "folded")):
        assert (found["count"], found["sum"], found["gauges"]) == (15, [exact] * 5, 0), "to the last bit"
    assert {s["left"] for s in seen} == {1, 2, 3, 4, 5, 6}, "killed before, between and after all removals"
    assert {s["folded"]["files"] for s in seen} == {1}, "the next one finishes it"


def _added(times: int) -> float:
    cell = 0.0
    for _ in range(times):
        cell += SHARE
    return cell


def test_a_crowd_that_starts_counts_and_is_killed(tmp_path: Path) -> None:
    found = nursery("crowd", str(tmp_path))
    assert found["reads"] > 20 and found["falls"] == 0
    assert found["count"] == found["counted"] == found["seen"][0] > 50
    assert found["sum"] == found["expected"] == found["seen"][1]
    assert len(list(tmp_path.glob("*.counters"))) < 30


def add(counters: SharedCounters, key: tuple[str, ...], *values: float) -> None:
    """As the recorder does: under the lock, and published."""
    cells = counters.block(key, len(values))
    with counters.lock:
        cells += values
        counters.publish(key)


def test_gauges_are_of_the_living(tmp_path: Path) -> None:
    one, other = SharedCounters(tmp_path, "m"), SharedCounters(tmp_path, "m")
    for c in (one, other):
        add(c, ("n",), 1, 2.5)
        add(c, (GAUGE, "busy"), 1)
    assert {k: v.tolist() for k, v in one.totals().items()} == {("n",): [2, 5], (GAUGE, "busy"): [2]}
    other.close()
    assert {k: v.tolist() for k, v in one.totals().items()} == {("n",): [2, 5], (GAUGE, "busy"): [1]}
    assert one.totals()["n",] is not one.block(("n",), 2)
    one.close()


def test_another_versions_files_are_its_own(tmp_path: Path) -> None:
    for model in ("a", "b"):
        for _ in range(module.FOLDED_AT + 1):
            c = SharedCounters(tmp_path, model)
            add(c, ("n",), 1 if model == "a" else 100)
            c.close()
    assert SharedCounters(tmp_path, "a").totals()["n",] == [module.FOLDED_AT + 1]
    assert SharedCounters(tmp_path, "b").totals()["n",] == [100 * (module.FOLDED_AT + 1)]
    assert len(list(tmp_path.glob("*.folded"))) == 2


def test_what_is_folded_while_it_is_read_is_neither_missed_nor_counted_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = SharedCounters(tmp_path, "m")
    dead = [SharedCounters(tmp_path, "m") for _ in range(3)]
    for c in dead:
        add(c, ("n",), 1)
        c.close()
    real, times = counter_file.read, 0

    def read(path: Path) -> Any:
        """After the second file another worker starts, and folds all three."""
        nonlocal times
        times += 1
        if times == 3:
            monkeypatch.setattr(module, "FOLDED_AT", 1)
            SharedCounters(tmp_path, "m")
        return real(path)

    monkeypatch.setattr(counter_file, "read", read)
    assert reader.totals()["n",] == [3]
    assert not any(c._path.exists() for c in dead)
    assert reader.totals()["n",] == [3]


def test_a_file_that_cannot_be_read_is_not_taken_for_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dead = SharedCounters(tmp_path, "m")
    add(dead, ("n",), 7)
    dead.close()
    real, broken = counter_file.read, True

    def read(path: Path) -> Any:
        if broken and path == dead._path:
            raise OSError(24, "Too many open files")
        return real(path)

    monkeypatch.setattr(counter_file, "read", read)
    monkeypatch.setattr(module, "FOLDED_AT", 1)
    alive = SharedCounters(tmp_path, "m")
    with pytest.raises(OSError, match="Too many"):
        alive.totals()
    broken = False
    assert alive.totals()["n",] == [7]


def test_a_worker_is_not_seen_before_it_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = SharedCounters(tmp_path, "m")
    flock, pwrite, seen = fcntl.flock, os.pwrite, []

    def locking(*arguments: Any) -> None:
        monkeypatch.setattr(fcntl, "flock", flock)
        seen.append(reader.totals())
        flock(*arguments)

    def writing(*arguments: Any) -> int:
        seen.append(reader.totals())
        return pwrite(*arguments)

    monkeypatch.setattr(fcntl, "flock", locking)
    monkeypatch.setattr(os, "pwrite", writing)
    worker = SharedCounters(tmp_path, "m")
    assert seen == [{}, {}]
    add(worker, ("n",), 3)
    assert reader.totals()["n",] == [3], "not remembered as dead and empty"


def test_a_wide_model_has_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand features, and errors in long names of another script."""
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    document = reference_document(n_numerical=1000, bins=1)
    for column, counted in list(zip(document["layout"]["columns"], document["columns"], strict=True))[:1000]:
        column["edges"], counted["counts"] = np.linspace(-3, 3, 40).tolist(), [0] * 41
    names = [f"x{i}" if i >= 30 else chr(0x4E00 + i) * 500 for i in range(1000)]
    for columns in (document["layout"]["columns"], document["columns"]):
        for column, name in zip(columns, names, strict=False):
            column["name"] = name
    m = Monitoring(document)
    try:
        m.wrap(lambda row: 0.5)(dict.fromkeys(names[:30], "text"))
        m.count_pending()
        totals = m.counters.totals()
    finally:
        m.close()
    assert sum(key[0] == "input_error" for key in totals) == 1003
    missing = [totals["columns",][column.missing] for column in m.columns if column.layout.role == "feature"]
    assert missing == [1] * 1003
    assert sum(p.stat().st_size for p in tmp_path.iterdir()) < 2_000_000


def test_sums_are_exact_whatever_was_folded_in_which_order() -> None:
    rng = np.random.default_rng(SEED)
    workers = {f"{i}": {("x",): np.ldexp(rng.normal(size=3), rng.integers(-60, 60, 3))} for i in range(60)}
    names = list(workers)
    folded = Folded()
    for start in range(0, 50, 7):
        folded = folded.plus({n: workers[n] for n in names[start : start + 7]})
        folded = Folded.from_bytes(folded.to_bytes())
    left = names[start + 7 :]
    expected = [float(sum(Fraction(float(w["x",][i])) for w in workers.values())) for i in range(3)]
    assert folded.totals([workers[n] for n in left])["x",].tolist() == expected
    assert max(len(t) for t in folded.terms["x",]) < 10


def test_what_no_float_holds_is_infinite_and_breaks_nothing() -> None:
    big = {("x",): np.array([1e308, -1e308, np.inf])}
    folded = Folded.from_bytes(Folded().plus({"a": big, "b": big}).to_bytes())
    assert folded.totals([big])["x",].tolist() == [np.inf, -np.inf, np.inf]
    assert Folded().totals([big, big])["x",].tolist() == [np.inf, -np.inf, np.inf]


def test_in_one_process() -> None:
    c = LocalCounters()
    c.block(("n",), 2)[0] += 1
    assert c.block(("n",), 2) is c.block(("n",), 2)
    totals = c.totals()
    c.block(("n",), 2)[0] += 1
    assert totals["n",].tolist() == [1, 0]
