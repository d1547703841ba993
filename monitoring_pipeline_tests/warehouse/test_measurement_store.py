"""Measurements: writing replaces one family of a window, and running twice changes nothing."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from math import inf, nan
from typing import Any

import numpy as np
import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import IntegrityError

from monitoring_pipeline.measurements import Family, Measurement, same_values
from monitoring_pipeline.monitors import Window
from monitoring_pipeline.stages.declaring import declare
from monitoring_pipeline.warehouse import measurement_store, verdict_store
from monitoring_pipeline.warehouse.database import Warehouse
from monitoring_pipeline.warehouse.measurement_store import Provenance, current
from monitoring_pipeline.warehouse.verdict_store import Judged, Judgement

from . import samples as s

DAY = s.window(0)
ALL = ("drift", "quality", "realized", "estimated")
TABLE = "select * from monitoring.measurement order by measurement_id"
STAGE = {"drift": "drift", "quality": "quality", "realized": "performance", "estimated": "performance"}


@pytest.fixture
def declared(any_warehouse: Warehouse) -> Warehouse:
    with any_warehouse.transaction() as conn:
        declare(conn, s.monitor())
    return any_warehouse


def rows(conn: Connection, query: str, **parameters: Any) -> list[Any]:
    return list(conn.execute(text(query), parameters).mappings())


def write(
    conn: Connection,
    family: Family,
    *measurements: Measurement,
    window: Window = DAY,
    made: Provenance | None = None,
    monitor: str = s.NAME,
) -> int:
    """How many changed."""
    written = measurement_store.replace_family(
        conn, monitor, window, STAGE[family], family, measurements, made or s.provenance()
    )
    assert (written.computation_id is None) == (written.changed == 0)
    return written.changed


def test_values_read_back_as_written(declared: Warehouse) -> None:
    kept = [
        s.drift({("age", "psi"): 0.3, (s.HOSTILE, "wasserstein"): 0.1 + 0.2, ("plan", "chi_square"): nan}),
        s.drift({("age", "psi"): nan}, s.HOSTILE, "previous", "plan=naïve\\n\t∅"),
        s.quality({("age", "missing_share"): 1e-300, (s.HOSTILE, "new_category_share"): 0.5}),
        s.performance({"roc_auc": 0.7, "log_loss": nan}),
        s.performance({"roc_auc": 0.6}, family="estimated"),
    ]
    kept[2] = replace(kept[2], detail=(None, 'a "new"\\ {one}, NULL\n'))
    with declared.transaction() as conn:
        assert write(conn, "drift", *kept[:2]) == 2
        assert write(conn, "quality", kept[2]) == 1
        assert write(conn, "realized", kept[3], made=s.provenance(label_batch=4)) == 1
        assert write(conn, "estimated", kept[4]) == 1
        found = current(conn, s.NAME, [DAY], ALL)
    assert {one.window for one in found} == {DAY}
    ordered = sorted(kept, key=lambda m: (m.family, m.model_version, m.baseline, m.segment))
    again = sorted((one.measurement for one in found), key=lambda m: (m.family, m.model_version, m.baseline, m.segment))
    assert all(same_values(a, b) for a, b in zip(ordered, again, strict=True))
    assert [np.array_equal(a.value, b.value, equal_nan=True) for a, b in zip(ordered, again, strict=True)] == [True] * 5


def test_the_views_unfold_them_with_their_verdicts(declared: Warehouse) -> None:
    drift = s.drift({("age", "psi"): 0.3, (s.HOSTILE, "wasserstein"): 0.1, ("plan", "chi_square"): nan})
    quality, performance = s.quality(), s.performance()
    with declared.transaction() as conn:
        write(conn, "drift", drift)
        write(conn, "quality", quality)
        write(conn, "realized", performance, made=s.provenance(label_batch=4))
        assert [r["drifted"] for r in rows(conn, "select drifted from monitoring.drift_current")] == [None] * 3
        judged = {"drift": s.verdict(drift, 0.2), "quality": s.verdict(quality, 0.05)}
        judged["realized"] = s.verdict(performance, 0.75, above=False, mature=True)
        number = verdict_store.open_judgement(conn, s.NAME, Judgement("c", "p1", None, "0.1.0", "run-2"))
        found = current(conn, s.NAME, [DAY], ALL)
        verdicts = [Judged(one.measurement_id, DAY, judged[one.measurement.family]) for one in found]
        assert verdict_store.write_verdicts(conn, s.NAME, number, verdicts) == 3
        assert verdict_store.write_verdicts(conn, s.NAME, number, verdicts) == 0
        shown = rows(conn, "select * from monitoring.drift_current order by column_name desc")
        (missing,) = rows(conn, "select * from monitoring.quality_current")
        (auc,) = rows(conn, "select * from monitoring.performance_current")
    wanted = ("column_name", "role", "method", "value", "threshold", "threshold_source", "p_value", "effect", "drifted")
    assert [tuple(row[k] for k in wanted) for row in shown] == [
        ("plan", "feature", "chi_square", None, 0.2, "declared", 0.01, None, None),
        ("age", "feature", "psi", 0.3, 0.2, "declared", 0.01, None, True),
        (s.HOSTILE, "feature", "wasserstein", 0.1, 0.2, "declared", 0.01, None, False),
    ]
    assert {(row["error_bound"], row["n_reference"], row["n_current"]) for row in shown} == {(0.05, 1000, 100)}
    assert (missing["column_name"], missing["metric"], missing["value"], missing["violated"], missing["detail"]) == (
        "age", "missing_share", 0.02, False, "two\tnew",
    )  # fmt: skip
    wanted = ("metric", "kind", "value", "ci_low", "ci_high", "threshold", "degraded", "n_predictions", "n_labelled")
    assert tuple(auc[k] for k in wanted) == ("roc_auc", "realized", 0.7, 0.7 - 0.05, 0.7 + 0.05, 0.75, True, 100, 60)
    assert (auc["coverage"], auc["mature"]) == (0.6, True)
    assert (auc["monitor"], auc["model_version"], auc["window_start"], auc["window_end"]) == (
        s.NAME, "1", DAY.start, DAY.end,
    )  # fmt: skip
    assert (auc["label_batch"], auc["data_version"], auc["run_id"], auc["code_version"]) == (4, "d1", "run-1", "0.1.0")
    assert (auc["policy_version"], auc["judged_at"] is None) == ("p1", False)


def test_running_twice_changes_nothing(declared: Warehouse) -> None:
    kept = [s.drift({("age", "psi"): 0.3, ("age", "hellinger"): nan}), s.drift(segment="plan=basic")]
    with declared.transaction() as conn:
        write(conn, "drift", *kept)
        before = str(rows(conn, TABLE))  # as text: NaN differs from itself
    with declared.transaction() as conn:
        assert write(conn, "drift", *reversed(kept), made=s.provenance(run_id="run-2")) == 0
        assert str(rows(conn, TABLE)) == before
        assert len(rows(conn, "select 1 from monitoring.computation")) == 1


def test_the_noise_of_summing_is_no_change_but_a_real_one_is(declared: Warehouse) -> None:
    with declared.transaction() as conn:
        write(conn, "drift", s.drift({("age", "psi"): 0.3}))
        assert write(conn, "drift", s.drift({("age", "psi"): 0.3 * (1 + 1e-15)})) == 0
        assert write(conn, "drift", s.drift({("age", "psi"): 0.3 * (1 + 1e-9)})) == 1
        assert write(conn, "drift", s.drift({("age", "psi"): nan})) == 1
        assert write(conn, "drift", s.drift({("age", "psi"): nan})) == 0
        assert write(conn, "drift", s.drift({("age", "psi"): 0.3})) == 1
        assert write(conn, "drift", s.drift({("age", "hellinger"): 0.3})) == 1, "another metric, the same number"


def test_changed_new_and_vanished_ones_make_revisions_and_equal_ones_stay(declared: Warehouse) -> None:
    same, changed, vanishing, new = (s.drift(segment=f"plan={i}") for i in range(4))
    with declared.transaction() as conn:
        write(conn, "drift", same, changed, vanishing)
    with declared.transaction() as conn:
        other = replace(changed, value=np.array([0.1]))
        assert write(conn, "drift", same, other, new, made=s.provenance("d2", run_id="run-2")) == 3
        shown = {r["segment"]: r for r in rows(conn, "select * from monitoring.drift_current")}
        everything = rows(conn, TABLE)
    assert {segment: r["run_id"] for segment, r in shown.items()} == {
        "plan=0": "run-1", "plan=1": "run-2", "plan=3": "run-2",
    }  # fmt: skip
    assert len(everything) == 5
    (old,) = (r for r in everything if r["segment"] == "plan=1" and r["superseded_at"])
    assert old["value"] == [0.3]
    assert old["superseded_at"] == shown["plan=1"]["as_known_at"], "one revision ends where the next begins"
    (gone,) = (r for r in everything if r["segment"] == "plan=2")
    assert gone["superseded_at"] == shown["plan=1"]["as_known_at"]


def test_a_family_without_measurements_is_superseded_whole(declared: Warehouse) -> None:
    with declared.transaction() as conn:
        write(conn, "quality", s.quality(), s.quality(version="2"))
        assert write(conn, "quality") == 2
        assert write(conn, "quality") == 0
        assert rows(conn, "select * from monitoring.quality_current") == []
        assert len(rows(conn, TABLE)) == 2


def test_a_model_version_that_is_no_longer_there_is_superseded(declared: Warehouse) -> None:
    with declared.transaction() as conn:
        for family, make in (("drift", s.drift), ("quality", s.quality), ("realized", s.performance)):
            write(conn, family, make(), make(version="2"), make(version="2", segment="plan=basic"))
            assert write(conn, family, make()) == 2
        left = current(conn, s.NAME, [DAY], ALL)
    assert {(one.measurement.family, one.measurement.model_version) for one in left} == {
        ("drift", "1"), ("quality", "1"), ("realized", "1"),
    }  # fmt: skip


def test_families_windows_and_monitors_do_not_touch_each_other(declared: Warehouse) -> None:
    def standing(conn: Connection) -> set[tuple[str, str, datetime]]:
        current = "select monitor, family, window_start from monitoring.measurement where superseded_at is null"
        found = rows(conn, current)
        return {tuple(r.values()) for r in found}

    kept: dict[Family, Measurement] = {
        "drift": s.drift(), "quality": s.quality(), "realized": s.performance(),
        "estimated": s.performance(family="estimated"),
    }  # fmt: skip
    places = [(s.NAME, DAY), (s.NAME, s.window(1)), ("other", DAY)]
    with declared.transaction() as conn:
        declare(conn, s.monitor("other"))
        for monitor, window in places:
            for family, one in kept.items():
                write(conn, family, one, monitor=monitor, window=window)
        whole = standing(conn)
        assert len(whole) == 12
        for family in kept:
            assert write(conn, family) == 1
            gone = {(s.NAME, family, DAY.start)}
            assert standing(conn) == whole - gone
            write(conn, family, kept[family])
            assert standing(conn) == whole


def test_an_estimate_leaves_the_realized_metrics_current(declared: Warehouse) -> None:
    with declared.transaction() as conn:
        write(conn, "realized", s.performance(), s.performance(segment="plan=basic"))
        before = [str(r) for r in rows(conn, TABLE)]
        write(conn, "estimated", s.performance({"roc_auc": 0.9}, 0, family="estimated"))
        write(conn, "estimated", s.performance({"roc_auc": 0.8}, 0, family="estimated"))
        after = [str(r) for r in rows(conn, TABLE)]
        shown = rows(conn, "select kind, segment, value from monitoring.performance_current order by kind, segment")
    assert after[: len(before)] == before
    assert [tuple(r.values()) for r in shown] == [
        ("estimated", "*", 0.8), ("realized", "*", 0.7), ("realized", "plan=basic", 0.7),
    ]  # fmt: skip


def test_windows_of_two_lengths_that_start_together_stand_apart(declared: Warehouse) -> None:
    week = Window(DAY.start, s.window(7).start)
    with declared.transaction() as conn:
        write(conn, "drift", s.drift())
        write(conn, "drift", s.drift({("age", "psi"): 0.9}), window=week)
        found = {one.window: one.measurement.value.tolist() for one in current(conn, s.NAME, [DAY], ALL)}
        assert write(conn, "drift", window=week) == 1
        left = [one.window for one in current(conn, s.NAME, [DAY], ALL)]
    assert found == {DAY: [0.3], week: [0.9]}
    assert left == [DAY]


def test_late_labels_keep_what_was_known_before(declared: Warehouse) -> None:
    with declared.transaction() as conn:
        write(conn, "realized", s.performance({"roc_auc": 0.80}, 30), made=s.provenance(label_batch=1))
    with declared.transaction() as conn:
        between = conn.execute(text("select clock_timestamp()")).scalar_one()
    with declared.transaction() as conn:
        write(conn, "realized", s.performance({"roc_auc": 0.72}, 97), made=s.provenance(label_batch=2))
        assert [r["value"] for r in rows(conn, "select value from monitoring.performance_current")] == [0.72]
        then = rows(
            conn,
            "select value, label_batch from monitoring.performance_history"
            " where as_known_at <= :t and (superseded_at > :t or superseded_at is null)",
            t=between,
        )
    assert [tuple(r.values()) for r in then] == [(0.80, 1)]


def test_a_transaction_that_fails_leaves_the_former_values(declared: Warehouse) -> None:
    with declared.transaction() as conn:
        write(conn, "drift", s.drift())
    other = s.drift({("age", "hellinger"): 0.9})  # new keys too, which must not be remembered
    with pytest.raises(RuntimeError), declared.transaction() as conn:
        write(conn, "drift", other)
        raise RuntimeError
    with declared.transaction() as conn:
        assert [r["value"] for r in rows(conn, TABLE)] == [[0.3]]
        assert write(conn, "drift", other) == 1
        assert [one.measurement.keys.metrics for one in current(conn, s.NAME, [DAY], ALL)] == [("hellinger",)]


def test_a_month_and_the_next_lie_in_partitions_of_their_own(declared: Warehouse) -> None:
    april = Window(datetime(2026, 4, 1, tzinfo=UTC), datetime(2026, 4, 2, tzinfo=UTC))
    with declared.transaction() as conn:
        for window in (DAY, april):
            write(conn, "drift", s.drift(), window=window)
        found = rows(conn, "select tableoid::regclass::text as part from monitoring.measurement order by window_start")
    assert [r["part"] for r in found] == ["monitoring.measurement_y2026m03", "monitoring.measurement_y2026m04"]


NONSENSE = {
    "an infinite value": s.drift({("age", "psi"): inf}),
    "a value of minus infinity": s.drift({("age", "psi"): -inf}),
    "a probability above one": replace(s.drift(), p_value=np.array([1.5])),
    "a negative probability": replace(s.drift(), p_value=np.array([-0.5])),
    "a negative bound": replace(s.drift(), error_bound=np.array([-0.5])),
    "a negative count": replace(s.drift(), n=np.array([-1])),
    "a negative count of the baseline": replace(s.drift(), n_reference=np.array([-1])),
    "an array of another length": replace(s.drift(), effect=np.array([0.1, 0.2])),
    "more labels than predictions": replace(s.performance(), n_labelled=101),
}


@pytest.mark.parametrize("what", NONSENSE)
def test_nonsense_is_refused(warehouse: Warehouse, what: str) -> None:
    with warehouse.transaction() as conn:
        declare(conn, s.monitor())
    with pytest.raises(IntegrityError), warehouse.transaction() as conn:
        write(conn, NONSENSE[what].family, NONSENSE[what])
    with warehouse.transaction() as conn:
        assert rows(conn, TABLE) == []


def test_other_nonsense_is_refused(warehouse: Warehouse) -> None:
    with warehouse.transaction() as conn:
        declare(conn, s.monitor())
        with pytest.raises(ValueError, match="two measurements of model version, baseline and segment"):
            write(conn, "drift", s.drift(), s.drift({("age", "psi"): 0.4}))
        with pytest.raises(ValueError, match="family 'estimated' cannot replace one of 'realized'"):
            write(conn, "realized", s.performance(), s.performance(family="estimated", segment="plan=basic"))
        with pytest.raises(ValueError, match="ends before it begins"):
            write(conn, "realized", replace(s.performance(), low=np.array([0.9]), high=np.array([0.1])))
        assert rows(conn, TABLE) == []
    with pytest.raises(IntegrityError), warehouse.transaction() as conn:
        write(conn, "drift", s.drift(), monitor="undeclared")
    with pytest.raises(IntegrityError), warehouse.transaction() as conn:
        write(conn, "drift", s.drift())
        (one,) = current(conn, s.NAME, [DAY], ALL)
        guess = replace(s.verdict(one.measurement, 0.2), source=("guess",))  # type: ignore[arg-type]
        number = verdict_store.open_judgement(conn, s.NAME, Judgement("c", "p", None, "0.1.0", None))
        verdict_store.write_verdicts(conn, s.NAME, number, [Judged(one.measurement_id, DAY, guess)])


def test_values_of_the_reference_are_kept_once_and_those_of_older_rows_read(declared: Warehouse) -> None:
    kept = s.quality({("age", "missing_share"): 0.5, ("plan", "missing_share"): 0.25})
    kept = replace(kept, reference_value=np.array([0.1, nan]))
    shown = "select window_start, reference_value from monitoring.quality_current order by window_start, column_name"
    older = """
    update monitoring.measurement m set reference_value = r.reference_values, reference_values_id = null
    from monitoring.reference_values r where r.reference_values_id = m.reference_values_id"""
    with declared.transaction() as conn:
        for day in (DAY, s.window(1)):
            assert write(conn, "quality", kept, window=day) == 1
        before, views = current(conn, s.NAME, [DAY, s.window(1)], ALL), rows(conn, shown)
        assert rows(conn, "select count(*) as n from monitoring.reference_values")[0]["n"] == 1
        assert conn.execute(text(older)).rowcount == 2
        assert rows(conn, shown) == views
        after = current(conn, s.NAME, [DAY, s.window(1)], ALL)
        assert all(same_values(a.measurement, b.measurement) for a, b in zip(before, after, strict=True))
        assert write(conn, "quality", kept) == 0


def test_an_equal_verdict_under_another_policy_says_so(declared: Warehouse) -> None:
    drift = s.drift({("age", "psi"): 0.3})
    policy = "select distinct policy_version from monitoring.drift_current"
    with declared.transaction() as conn:
        write(conn, "drift", drift)
        (kept,) = current(conn, s.NAME, [DAY], ALL)
        judged = [Judged(kept.measurement_id, DAY, s.verdict(drift, 0.2))]
        assert verdict_store.changes(conn, s.NAME, "p1", judged) == (judged, [])
        for version in ("p1", "p2"):
            number = verdict_store.open_judgement(conn, s.NAME, Judgement("c", version, None, "0.1.0", None))
            assert verdict_store.write_verdicts(conn, s.NAME, number, judged) == 1
            assert verdict_store.write_verdicts(conn, s.NAME, number, judged) == 0
            assert [row["policy_version"] for row in rows(conn, policy)] == [version]
            assert verdict_store.changes(conn, s.NAME, "p2" if version == "p1" else "p3", judged) == ([], judged)
            assert verdict_store.changes(conn, s.NAME, version, judged) == ([], [])
        other = [Judged(kept.measurement_id, DAY, s.verdict(drift, 0.4))]
        assert verdict_store.changes(conn, s.NAME, "p2", other) == (other, [])
