"""Retention as a story: what is too old goes, what is left stays as it was, and nothing is computed again by itself."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from monitoring_pipeline.monitors import Monitor
from monitoring_pipeline.stages import retention
from monitoring_pipeline.warehouse.database import Warehouse
from monitoring_pipeline_tests import toy
from monitoring_pipeline_tests.front_door import FrontDoor, asked, assert_same
from monitoring_pipeline_tests.toy import Toy, ready

N_DAYS = 14
NOW = toy.day(N_DAYS).start
LONG_AGO = datetime(2024, 1, 1, tzinfo=UTC)
KEPT = {"profiles": "10d", "measurements": "5d", "verdicts": "4d", "lake_files": "3d"}
LABELS = {"max_delay": "2d"}
# As if all had been done when its windows were new: what was taken in within a day is left alone.
AGE = """
update monitoring.prediction_window set ingested_at = :then;
update monitoring.computation set computed_at = :then;
update monitoring.judgement set judged_at = :then;
"""


def settle(door: FrontDoor) -> None:
    with Warehouse.open(door.settings) as warehouse, warehouse.transaction() as conn:
        for statement in AGE.strip().splitlines():
            conn.execute(text(statement), {"then": LONG_AGO} if ":then" in statement else {})
    for path in lake_files(door):
        os.utime(path, (LONG_AGO.timestamp(), LONG_AGO.timestamp()))


def lake_files(door: FrontDoor) -> list[Path]:
    return sorted(path for path in Path(door.settings.lake).rglob("*") if path.is_file())


def prune(
    door: FrontDoor,
    monitor: Monitor,
    now: datetime = NOW,
    dry_run: bool = False,
) -> retention.Pruned:
    with Warehouse.open(door.settings) as warehouse:
        return retention.prune(warehouse, door.settings, monitor, now, dry_run)


def days_in(door: FrontDoor, table: str) -> list[int]:
    """Days, counted from 0, that a table holds rows of."""
    windows = "where scope = 'window'" if table == "profile" else ""  # the reference and its blocks lie there too
    found = door.query(f"select distinct window_start from monitoring.{table} {windows} order by 1")["window_start"]
    return [(start.to_pydatetime() - toy.day(0).start).days for start in found]


def days_in_lake(door: FrontDoor, kind: str) -> list[int]:
    names = {path.parent.name for path in lake_files(door) if f"/{kind}/window=" in str(path)}
    starts = sorted(datetime.strptime(name, "window=%Y-%m-%dT%H").replace(tzinfo=UTC) for name in names)
    return [(start - toy.day(0).start).days for start in starts]


@pytest.fixture
def old(door: FrontDoor) -> tuple[Toy, Monitor]:
    """Two weeks computed long ago, under a declaration that keeps all; then one that does not."""
    it, monitor = ready(door.base, N_DAYS, labels=LABELS)
    assert door.run(monitor, 0, N_DAYS - 1) is None
    settle(door)
    return it, it.declare(retention=KEPT)


def test_each_kind_goes_at_its_own_age(door: FrontDoor, old: tuple[Toy, Monitor]) -> None:
    _, monitor = old
    announced = prune(door, monitor, dry_run=True)
    assert days_in(door, "measurement") == days_in_lake(door, "predictions") == list(range(N_DAYS)), "a dry run"
    files, size = len(lake_files(door)), sum(path.stat().st_size for path in lake_files(door))
    assert prune(door, monitor) == announced
    assert days_in(door, "profile") == list(range(4, N_DAYS))
    assert days_in(door, "measurement") == days_in(door, "computation") == list(range(9, N_DAYS))
    assert days_in(door, "verdict") == list(range(10, N_DAYS))
    assert days_in_lake(door, "predictions") == days_in_lake(door, "labels") == list(range(11, N_DAYS))
    assert announced.lake_files == files - len(lake_files(door)) == 2 * 11
    assert announced.lake_bytes == size - sum(path.stat().st_size for path in lake_files(door))
    assert min(announced.profiles, announced.measurements, announced.verdicts) > 0 == announced.revisions
    assert not [path for path in Path(door.settings.lake).rglob("window=*") if not any(path.iterdir())]
    again = prune(door, monitor)
    assert set(vars(again).values()) == {monitor.name, 0}


def test_a_kept_window_says_what_it_said(door: FrontDoor, old: tuple[Toy, Monitor]) -> None:
    _, monitor = old
    said = "select * from monitoring.drift_current where window_start >= :first order by 1, 2, 3, 5, 6, 7, 9"
    before = door.query(said, first=toy.day(10).start)
    prune(door, monitor)
    assert door.query(said, first=toy.day(10).start).equals(before)
    assert days_in(door, "drift_current") == list(range(9, N_DAYS))


def test_what_was_pruned_is_neither_stale_nor_computed_again(
    door: FrontDoor,
    old: tuple[Toy, Monitor],
) -> None:
    _, monitor = old
    prune(door, monitor)
    views, files = door.views(), lake_files(door)
    assert door.query("select * from monitoring.stale_window").empty
    assert door.ask(monitor, "stale_windows") == door.ask(monitor, "new_labels") == []
    assert door.run(monitor, 0, N_DAYS - 1) is None
    assert_same(door.views(), views)
    assert lake_files(door) == files
    assert days_in(door, "profile") == list(range(4, N_DAYS))


def test_a_new_reference_does_not_call_pruned_windows_back(
    door: FrontDoor,
    old: tuple[Toy, Monitor],
) -> None:
    it, monitor = old
    prune(door, monitor)
    it.write_reference(it.rows(toy.START - timedelta(days=20), 900))
    assert door.run(monitor, N_DAYS - 1) is None
    stale = door.query("select distinct window_start from monitoring.stale_window where reason = 'reference'")
    assert min(stale["window_start"]) == toy.day(11).start, "those with a lake file, and none that lost theirs"


def test_new_rows_make_a_pruned_window_an_ordinary_one(door: FrontDoor, old: tuple[Toy, Monitor]) -> None:
    it, monitor = old
    prune(door, monitor)
    it.write_log(it.rows(1, 200), f"{toy.START + timedelta(days=1)}")
    requests = door.ask(monitor, "stale_windows")
    assert [first_last[:2] for first_last in asked(requests)] == [("2024-03-02", "2024-03-02")]
    assert door.do(monitor, requests[0])
    assert 1 in days_in(door, "measurement") and days_in_lake(door, "predictions") == [1, 11, 12, 13]
    counted = "select n_rows from monitoring.prediction_window where window_start = :w and pruned_at is null"
    assert door.query(counted, w=toy.day(1).start)["n_rows"].tolist() == [200]
    (later,) = door.ask(monitor, "stale_windows")
    assert asked([later])[0][:2] == ("2024-03-12", "2024-03-14"), "their estimates rest on its record"
    assert door.do(monitor, later) and door.ask(monitor, "stale_windows") == []
    prune(door, monitor)
    assert 1 in days_in(door, "measurement"), "it was taken in less than a day ago"
    settle(door)
    prune(door, monitor)
    assert 1 not in days_in(door, "measurement") and days_in_lake(door, "predictions") == [11, 12, 13]
    assert door.ask(monitor, "stale_windows") == []


def test_a_longer_retention_and_a_run_bring_all_back(door: FrontDoor, old: tuple[Toy, Monitor]) -> None:
    it, monitor = old
    before = door.views()
    prune(door, monitor)
    assert door.run(it.declare(retention={}), 0, N_DAYS - 1) is None
    assert_same(door.views(), before)
    assert days_in_lake(door, "predictions") == list(range(N_DAYS))
    assert door.query("select * from monitoring.prediction_window where pruned_at is not null").empty


def test_labels_for_a_pruned_window_match_nothing_and_harm_nothing(
    door: FrontDoor,
    old: tuple[Toy, Monitor],
) -> None:
    it, monitor = old
    prune(door, monitor)
    it.write_labels(it.rows(0), "again")
    for request in door.ask(monitor, "new_labels"):
        assert door.do(monitor, request)
    batch = door.query(
        "select n_matched, n_unknown, pending_file from monitoring.label_batch order by batch desc"
    ).iloc[0]
    assert (batch["n_matched"], batch["n_unknown"]) == (0, toy.N_ROWS)
    settle(door)
    prune(door, monitor, now=NOW + timedelta(days=300))
    assert Path(batch["pending_file"]).exists(), "labels that wait for their predictions are no window's"
    assert days_in_lake(door, "predictions") == days_in_lake(door, "labels") == []


def test_sources_read_in_place_are_not_touched(door: FrontDoor) -> None:
    it, monitor = ready(
        door.base, 5, predictions={"path": "../log/*.parquet", "immutable": True}, labels=LABELS, retention=KEPT
    )
    assert door.run(monitor, 0, 4) is None
    settle(door)
    found = prune(door, monitor, now=NOW + timedelta(days=300))
    assert found.measurements > 0 == found.lake_files
    assert all(it.log_path(day).exists() for day in range(5))
    assert days_in_lake(door, "labels") == list(range(5)), "the window's rows are still there to be labelled"


def test_files_left_by_a_crash_are_deleted_the_next_time(
    door: FrontDoor,
    old: tuple[Toy, Monitor],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _, monitor = old
    with monkeypatch.context() as patch:
        patch.setattr(retention, "remove_windows", crash)
        with pytest.raises(KeyboardInterrupt):
            prune(door, monitor)
    assert len(days_in_lake(door, "predictions")) == N_DAYS
    assert door.ask(monitor, "stale_windows") == []
    assert prune(door, monitor).lake_files == 2 * 11
    assert days_in_lake(door, "predictions") == [11, 12, 13]


def crash(*_: object) -> None:
    raise KeyboardInterrupt


def test_revisions_go_by_when_they_were_replaced(door: FrontDoor) -> None:
    it, monitor = ready(door.base, 3, labels=LABELS)
    assert door.run(monitor, 0, 2) is None
    it.write_log(it.rows(1, 200), f"{toy.START + timedelta(days=1)}")
    assert door.run(monitor, 0, 2) is None
    replaced = "select measurement_id from monitoring.measurement where superseded_at is not null"
    n = len(door.query(replaced))
    assert n > 0
    current = door.views()
    monitor = it.declare(retention={"revisions": "30d"})
    now = datetime.now(UTC)
    assert prune(door, monitor, now + timedelta(days=29)).revisions == 0
    found = prune(door, monitor, now + timedelta(days=31))
    assert (found.revisions, found.measurements) == (n, 0)
    assert door.query(replaced).empty
    assert door.query(
        "select * from monitoring.verdict v where not exists (select from monitoring.measurement m"
        " where m.measurement_id = v.measurement_id)"
    ).empty
    assert_same(door.views(), current)


def test_months_that_nobody_needs_are_dropped_and_the_next_ones_made(
    door: FrontDoor,
    old: tuple[Toy, Monitor],
) -> None:
    it, monitor = old
    other = Toy(door.base, name="other", declared=it.declared | {"retention": {}}).declare()
    now = datetime(2024, 6, 15, tzinfo=UTC)
    prune(door, monitor, now)
    with Warehouse.open(door.settings) as warehouse:
        assert retention.keep_months(warehouse, [monitor, other], now) == [], "another monitor keeps all"
        assert "measurement_y2024m03" in retention.keep_months(warehouse, [monitor], now)
    there = set(door.query("select relname from pg_class where relispartition and relkind = 'r'")["relname"])
    assert {f"{table}_y2024m0{m}" for table in ("measurement", "verdict") for m in (6, 7, 8)} <= there
    assert not {name for name in there if name.endswith("y2024m03")} - {"profile_y2024m03"}


def test_a_process_that_knew_a_dropped_month_makes_it_again(door: FrontDoor, old: tuple[Toy, Monitor]) -> None:
    _, monitor = old
    prune(door, monitor, datetime(2024, 6, 15, tzinfo=UTC))
    with Warehouse.open(door.settings) as other:
        assert "measurement_y2024m03" in retention.keep_months(other, [monitor], datetime(2024, 6, 15, tzinfo=UTC))
    it = Toy(door.base, declared={"labels": LABELS})
    it.write_days([0])
    it.write_log(it.rows(0).assign(id=lambda rows: rows["id"] + "-late"), "late")
    assert door.run(it.declare(), 0) is None
    assert 0 in days_in(door, "measurement") and 0 in days_in(door, "profile")


def test_a_month_with_rows_is_not_dropped(door: FrontDoor, old: tuple[Toy, Monitor]) -> None:
    _, monitor = old
    with Warehouse.open(door.settings) as warehouse:
        retention.keep_months(warehouse, [monitor], datetime(2024, 6, 15, tzinfo=UTC))
    assert days_in(door, "measurement") == list(range(N_DAYS))


def test_references_are_kept_and_new_windows_go_on(door: FrontDoor, old: tuple[Toy, Monitor]) -> None:
    it, monitor = old
    prune(door, monitor, now=NOW + timedelta(days=300))
    assert days_in(door, "measurement") == days_in(door, "profile") == []
    it.write_days([N_DAYS])
    assert door.run(monitor, N_DAYS) is None
    compared = door.query("select distinct baseline, segment from monitoring.drift_current order by 1, 2")
    assert set(compared["baseline"]) == {"training"}
    assert set(compared["segment"]) == {"*", "region=north", "region=south"}
    performance = door.query("select max(n_labelled) as n from monitoring.performance_current where segment = '*'")
    assert performance["n"].tolist() == [toy.N_ROWS]
