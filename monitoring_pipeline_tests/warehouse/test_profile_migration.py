"""A database of migration 0008 that holds profiles: nothing of them is lost on the way to one store."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from sqlalchemy import Connection, create_engine, text

from monitoring_pipeline.profiles.column import ColumnProfile
from monitoring_pipeline.profiles.layout import ColumnLayout, Layout, OutcomeLayout
from monitoring_pipeline.profiles.parts.columns import flatten
from monitoring_pipeline.resources import data_dir
from monitoring_pipeline.warehouse import migrations, profile_store, reference_store
from monitoring_pipeline.windows import Window

X = ColumnLayout("x", "feature", "numerical", (0.0, 1.0))
C = ColumnLayout("c", "feature", "categorical", (), ("a", "b"))
TRUTH = ColumnLayout("truth", "target", "categorical", (), ("0", "1"))
LAYOUT = Layout((X, C, TRUTH), OutcomeLayout("binary", ("0", "1"), ("1",), (0.5,)))
FIRST = datetime(2025, 12, 30, tzinfo=UTC)
DAYS = [Window(FIRST + timedelta(days=d), FIRST + timedelta(days=d + 1)) for d in range(4)]
AGE_OF_REFERENCE = Window(datetime(1970, 1, 1, tzinfo=UTC), datetime(1970, 1, 2, tzinfo=UTC))
OUTCOME = [10, 8, 8, 0, *(6, 4), *(5, 3), *(1, 2), *(4, 1, 0, 0, 2, 1, 0, 0, 0)]  # of format 1: confusion (3, 3)
SUMS = [1.5, 2.5, 1.25, 2.25, 0.5, 0.25, 0.125, 0.0625]
VIEWS = {
    "column_profile_current": "monitor, window_start, model_version, segment, column_name, n, n_missing, minimum,"
    " maximum, mean, m2, bin_counts, layout_id, data_version, run_id",
    "window_status": "monitor, window_start, n_rows, n_labelled, coverage, profiled_at",
}


def columns(day: int) -> tuple[ColumnProfile, ...]:
    return (
        ColumnProfile(X, 10, 1, 1, 0, 2, np.array([1, 2, 5 + day]), -1.5, 2.5, 1 / 3, 4.0),
        ColumnProfile(C, 10, 3, 0, 0, 0, np.array([4, 2, 1])),
    )


def insert(conn: Connection, table: str, **values: Any) -> None:
    names = ", ".join(values)
    conn.execute(
        text(f"insert into monitoring.{table} ({names}) values ({', '.join(':' + n for n in values)})"),
        values,
    )


def fill(conn: Connection) -> None:
    """Four days, their labels, and a reference with a segment, as the code of 0008 wrote them."""
    insert(
        conn, "monitor", monitor="m", task="binary", window_size="day", starts_on="2025-12-30", has_ground_truth=True,
        label_coverage=0.9, label_max_delay="1 day", config_version="c1",
    )  # fmt: skip
    insert(conn, "known_version", monitor="m", model_version="1")
    insert(conn, "layout", layout_id=LAYOUT.layout_id, layout=json.dumps(LAYOUT.to_json()))
    for position, (column, count, total) in enumerate(zip(LAYOUT.columns, (1, 9, None), (1, 5, None), strict=True)):
        insert(
            conn, "layout_column", layout_id=LAYOUT.layout_id, position=position, column_name=column.name,
            role=column.role, kind=column.kind, edges=list(column.edges), categories=list(column.categories),
            first_count=count, n_bins=column.n_bins, first_sum=total,
        )  # fmt: skip
    target = {"target_counts": [8, 0, 0, 0, 0, 5, 3, 0], "target_sums": [float("inf"), float("-inf"), 0.0, 0.0]}
    labelled = {"n_predictions": 10, "n_labelled": 8, "counts": OUTCOME, "sums": SUMS} | target
    for number, day in enumerate(DAYS):
        at = {"monitor": "m", "window_start": day.start, "window_end": day.end}
        counts, sums = (a.tolist() for a in flatten(columns(number)))
        insert(
            conn, "prediction_window", **at, n_rows=10, n_duplicates=0, n_quarantined=0, data_version="d",
            source_revision=0,
            ingestion_revision=1, lake_files=[],
        )  # fmt: skip
        insert(
            conn, "window_stage", **at, stage="profile", data_version="d", config_version="c1", code_version="0",
            run_id="run-1", completed_at=day.end, changed_at=day.end,
        )  # fmt: skip
        key = at | {"model_version": "1", "segment": "*", "layout_id": LAYOUT.layout_id}
        insert(conn, "profile", **key, n_rows=10, counts=counts, sums=sums, data_version="d", run_id="run-1")
        insert(conn, "labelled_profile", **key, label_batch=number, data_version="d", **labelled)
    counts, sums = (a.tolist() for a in flatten(columns(7)))
    of = {"monitor": "m", "model_version": "1", "layout_id": LAYOUT.layout_id, "n_rows": 10}
    span = {"window_start": AGE_OF_REFERENCE.start, "window_end": AGE_OF_REFERENCE.end}
    insert(conn, "reference_profile", **of, **span, counts=counts, sums=sums, source_version="s1")
    outcome = {"n_labelled": 8, "outcome_counts": OUTCOME, "outcome_sums": SUMS} | target
    for segment in ("*", "c=a"):
        insert(conn, "reference_segment", **of, segment=segment, counts=counts, sums=sums, **outcome)


def seen(conn: Connection) -> dict[str, list[Any]]:
    return {
        view: conn.execute(text(f"select {names} from monitoring.{view} order by 1, 2, 3, 4, 5")).all()
        for view, names in VIEWS.items()
    }


def test_profiles_are_carried_over(warehouse_url: str) -> None:
    engine = create_engine(warehouse_url)
    old = [p for p in sorted((data_dir("sql") / "migrations").glob("*.sql")) if p.stem < "0009"]
    with engine.begin() as conn:
        for path in old:
            conn.exec_driver_sql(path.read_text(), execution_options={"no_parameters": True})
        fill(conn)
    assert migrations.migrate(engine) is True
    with engine.begin() as conn:
        found = profile_store.load_profiles(conn, "m", DAYS)
        assert [p.window for p in found] == DAYS
        for number, profile in enumerate(found):
            for column, expected in zip(profile.columns, columns(number), strict=True):
                assert column.counts.tolist() == expected.counts.tolist()
                assert (column.n, column.minimum, column.m2) == (expected.n, expected.minimum, expected.m2)
        labelled = profile_store.load_labelled(conn, "m", DAYS)
        assert [p.batch for p in labelled] == [0, 1, 2, 3]
        for one in labelled:
            assert one.outcome.confusion.tolist() == [[4, 1, 0, 0], [0, 2, 1, 0], [0, 0, 0, 0]]
            assert one.outcome.positive_counts.tolist() == [[1, 2]]
            assert one.outcome.sums.tolist() == SUMS[4:]
            assert one.target is not None
            assert one.target.counts.tolist() == [5, 3, 0]
        [reference] = profile_store.references(conn, "m").values()
        assert reference.layout.layout_id == LAYOUT.layout_id
        assert reference.profile.columns[0].counts.tolist() == columns(7)[0].counts.tolist()
        segments = reference_store.load_segments(conn, "m")
        assert sorted(segments) == [("1", "*"), ("1", "c=a")]
        assert segments["1", "c=a"].labelled.outcome.n_labelled == 8
        assert profile_store.reference_sources(conn, "m") == {"1": "s1"}
        after = seen(conn)
    rows = after["column_profile_current"]
    assert len(rows) == 2 * len(DAYS)
    assert {(r.data_version, r.run_id) for r in rows} == {("d", "run-1")}
    assert [list(r.bin_counts) for r in rows if r.column_name == "x"] == [[1, 2, 5 + d] for d in range(4)]
    assert [(r.n_rows, r.n_labelled, r.coverage) for r in after["window_status"]] == [(10, 8, 0.8)] * len(DAYS)
