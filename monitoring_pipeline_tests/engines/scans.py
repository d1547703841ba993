"""Scans over what was taken in, and the comparison of what two engines counted of them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from monitoring_pipeline.engines.counter import Counted
from monitoring_pipeline.engines.spark.tasks import files_to_cut, tasks_of
from monitoring_pipeline.graph.resources import warehouse_of
from monitoring_pipeline.lake.reference import most_slices, reference_rows
from monitoring_pipeline.lake.row_groups import row_groups
from monitoring_pipeline.lake.scan import Scan, labelled
from monitoring_pipeline.monitors import Monitor
from monitoring_pipeline.profiles.layout import Layout
from monitoring_pipeline.warehouse import ledger, profile_store
from monitoring_pipeline_tests import toy
from monitoring_pipeline_tests.front_door import FrontDoor

ROW_GROUP = 90


def one_large_file(door: FrontDoor, task: toy.Task, days: int) -> Monitor:
    """A monitor whose log, of two model versions, and whose reference are a file of many row groups each."""
    it = toy.Toy(door.base, task)
    of_days = [it.rows(day) for day in range(days)]
    of_v2 = [rows.assign(version="v2", id=rows["id"] + "-v2") for rows in of_days[:1]]
    log = pd.concat([*of_days, *of_v2], ignore_index=True)
    in_row_groups(it.write_log(log, "all"))
    it.write_labels(log, "all")
    before = pd.concat([it.rows(-12), it.rows(-11), it.rows(-10)], ignore_index=True)
    in_row_groups(it.write_reference(before))
    return it.declare(predictions={"path": "../log/*.parquet", "immutable": True})


def in_row_groups(path: object) -> None:
    """The file, written again in row groups of ``ROW_GROUP`` rows."""
    table = pq.read_table(path)
    pq.write_table(table, path, row_group_size=ROW_GROUP)


def scan_of(door: FrontDoor, monitor: Monitor, days: int) -> tuple[Scan, dict[str, Layout]]:
    """Everything that was taken in, with its labels, and the layouts by model version."""
    windows = [toy.day(i) for i in range(days)]
    with warehouse_of(door.settings).transaction() as conn:
        taken = list(ledger.ingested(conn, monitor.name, windows).values())
        files = ledger.label_files(conn, monitor.name, windows)
        layouts = {version: r.layout for version, r in profile_store.references(conn, monitor.name).items()}
    known = next(iter(layouts.values()))
    versions = {v for one in taken for v in one.versions}
    return labelled(monitor, taken, files), layouts | {v: layouts.get(v, known) for v in versions}


def reference_scan(door: FrontDoor, monitor: Monitor) -> Scan:
    """The reference in slices, as its stage profiles it."""
    of_version = reference_rows(monitor, door.settings).by_version["v1"]
    _, layouts = scan_of(door, monitor, 1)
    return Scan(monitor, reference=of_version.in_slices(monitor.window, most_slices(layouts["v1"])))


def cut(door: FrontDoor, scan: Scan) -> list[Scan]:
    return tasks_of(scan, row_groups(door.settings, files_to_cut(scan)))


def assert_equal(ours: list[Counted], theirs: list[Counted]) -> None:
    """Counts exactly, sums and moments to 1e-12."""
    assert [(c.window, c.version, c.segment, c.n_rows) for c in ours] == [
        (c.window, c.version, c.segment, c.n_rows) for c in theirs
    ]
    for mine, other in zip(ours, theirs, strict=True):
        assert mine.parts.keys() == other.parts.keys()
        for name in mine.parts:
            for a, b in zip(_numbers(mine.parts[name]), _numbers(other.parts[name]), strict=True):
                if a.dtype.kind == "i":
                    np.testing.assert_array_equal(a, b)
                else:
                    np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)


def _numbers(part: object) -> Iterator[np.ndarray]:
    """Every number that a part holds."""
    if isinstance(part, tuple):
        for each in part:
            yield from _numbers(each)
    elif isinstance(part, int | float | np.ndarray):
        yield np.asarray(part)
    elif hasattr(part, "__dataclass_fields__"):
        for name in part.__dataclass_fields__:
            if name != "layout":
                yield from _numbers(getattr(part, name))
