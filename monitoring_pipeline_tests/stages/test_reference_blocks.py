"""A reference is counted once: as a whole, by segment, and cut into blocks of the window's length."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pandas as pd
import pytest

from monitoring_pipeline.profiles.parts import PARTS
from monitoring_pipeline.profiles.profile import EVERYTHING
from monitoring_pipeline.stages.context import StageContext
from monitoring_pipeline.stages.reference import profile_reference
from monitoring_pipeline.warehouse import profile_store, reference_store
from monitoring_pipeline.warehouse.database import Warehouse
from monitoring_pipeline_tests.front_door import FrontDoor
from monitoring_pipeline_tests.toy import START, Task, Toy

SIZES = (200, 300, 19, 250)  # rows of each day; the third has too few for a block


def prepared(door: FrontDoor, task: Task) -> tuple[Toy, pd.DataFrame]:
    toy = Toy(door.base, task)
    days = [toy.rows(START - timedelta(days=10 - i), n) for i, n in enumerate(SIZES)]
    rows = pd.concat(days, ignore_index=True)
    toy.write_reference(rows)
    return toy, rows


def profile(door: FrontDoor, toy: Toy) -> Warehouse:
    monitor = toy.declare()
    warehouse = Warehouse.open(door.settings)
    profile_reference(StageContext(monitor, warehouse, door.settings, "run-1"))
    return warehouse


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_blocks_are_the_days_and_add_up_to_the_reference(door: FrontDoor, task: Task) -> None:
    toy, rows = prepared(door, task)
    rows = rows[rows["at"].dt.date.map(rows["at"].dt.date.value_counts()) >= 20]
    toy.write_reference(rows)
    with profile(door, toy) as warehouse, warehouse.transaction() as conn:
        blocks = profile_store.load_blocks(conn, toy.name, "v1")
        assert profile_store.load_blocks(conn, toy.name, "v2") == []
        alone = profile_store.load_block_outcomes(conn, toy.name, "v1")
        reference = profile_store.references(conn, toy.name)["v1"]
        segments = reference_store.load_segments(conn, toy.name)
    assert len(alone) == len(blocks) > 0
    for (_, labelled), outcomes in zip(blocks, alone, strict=True):
        assert (labelled.window, labelled.segment, labelled.batch) == (
            outcomes.window,
            outcomes.segment,
            outcomes.batch,
        )
        one, other = (PARTS["outcomes"].flatten(half.outcome) for half in (labelled, outcomes))
        assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True)) and not outcomes.parts
    for segment in (EVERYTHING, "region=north", "region=south"):
        mine = rows if segment == EVERYTHING else rows[rows["region"] == segment.partition("=")[2]]
        these = [(p, q) for p, q in blocks if p.segment == segment]
        assert [p.n_rows for p, _ in these] == mine.groupby(mine["at"].dt.date).size().tolist()
        whole = segments["v1", segment]
        assert sum(p.n_rows for p, _ in these) == whole.profile.n_rows == len(mine)
        values = [(p.columns, q.outcome) for p, q in these]
        for name, index in (("columns", 0), ("outcomes", 1)):
            part = PARTS[name]
            counts, sums = part.flatten(part.merge([v[index] for v in values]))
            expected = part.flatten(whole.profile.columns if index == 0 else whole.labelled.outcome)
            assert counts.tolist() == expected[0].tolist()
            np.testing.assert_allclose(sums, expected[1], rtol=1e-12, atol=1e-12)
    everything = segments["v1", EVERYTHING]
    stored = {"columns", "outcomes", "target", *everything.profile.parts, *everything.labelled.parts}
    assert stored == {name for name, part in PARTS.items() if part.applies(reference.layout)}
    first = rows[rows["at"].dt.date == rows["at"].dt.date.min()]
    missing = next(c for c in blocks[0][0].columns if c.layout.name == "x").n_nan + sum(
        c.n_missing for c in blocks[0][0].columns if c.layout.name == "x"
    )
    assert missing == first["x"].isna().sum()


def test_a_slice_of_few_rows_is_no_block_but_counts(door: FrontDoor) -> None:
    toy, rows = prepared(door, "binary")
    with profile(door, toy) as warehouse, warehouse.transaction() as conn:
        whole = [p for p, _ in profile_store.load_blocks(conn, toy.name) if p.segment == EVERYTHING]
        assert [p.n_rows for p in whole] == [200, 300, 250]
        assert profile_store.references(conn, toy.name)["v1"].profile.n_rows == len(rows)


def test_a_reference_without_times_has_no_blocks(door: FrontDoor) -> None:
    toy, rows = prepared(door, "binary")
    toy.write_reference(rows.drop(columns="at"))
    with profile(door, toy) as warehouse, warehouse.transaction() as conn:
        assert profile_store.load_blocks(conn, toy.name) == []
        assert profile_store.references(conn, toy.name)["v1"].profile.n_rows == len(rows)
