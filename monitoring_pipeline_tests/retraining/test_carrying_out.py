"""A decision is carried out: from a decision's row to a champion, a kept champion, or a failure that says why."""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from monitoring_pipeline.errors import RetrainError, UserError, WarehouseError
from monitoring_pipeline.profiles.document import from_document
from monitoring_pipeline.retraining import artifacts, attempts, judged_rows, promotion
from monitoring_pipeline.retraining.context import Attempt, RetrainContext
from monitoring_pipeline.serving import read_champion
from monitoring_pipeline.settings import Settings
from monitoring_pipeline.stages import retraining
from monitoring_pipeline.stages.context import StageContext
from monitoring_pipeline.stages.reference import profile_reference
from monitoring_pipeline.warehouse import attempt_store, model_versions
from monitoring_pipeline.warehouse.database import Warehouse
from monitoring_pipeline_tests.retraining.fakes import FakeTrainer, QuickTrainer, decide, made_up_rows, quick
from monitoring_pipeline_tests.retraining.shop import RETRAIN, Shop, at
from monitoring_pipeline_tests.toy import Toy

PROMOTE: dict[str, Any] = {"compare_on": "10d", "least_days": 5, "least_rows": 100, "margin": 0.2}
DAYS = range(24)


def opened(warehouse: Warehouse, settings: Settings, base: Path, **promote: Any) -> Shop:
    declared = RETRAIN | {"promote": PROMOTE | promote}
    shop = Shop(warehouse, settings, Toy(base)).open(DAYS, retrain=declared, segments=["region"])
    profile_reference(StageContext(shop.monitor, warehouse, settings, "run"))
    return shop


@pytest.fixture
def shop(warehouse: Warehouse, settings: Settings, tmp_path: Path) -> Shop:
    return opened(warehouse, settings, tmp_path)


@pytest.fixture
def made_up(warehouse: Warehouse, settings: Settings, tmp_path: Path) -> Shop:
    """A shop of two days: rows and models are made up, the database and the files are not."""
    declared = RETRAIN | {"promote": PROMOTE | {"calibration": False}}
    shop = Shop(warehouse, settings, Toy(tmp_path)).open(range(2), retrain=declared)
    profile_reference(StageContext(shop.monitor, warehouse, settings, "run"))
    return shop


@pytest.fixture
def quick_trainer(monkeypatch: pytest.MonkeyPatch) -> QuickTrainer:
    trainer = QuickTrainer()
    quick(trainer, monkeypatch.setattr)
    return trainer


@pytest.fixture
def trainer(monkeypatch: pytest.MonkeyPatch) -> FakeTrainer:
    fake = FakeTrainer()
    monkeypatch.setattr(retraining, "train_challenger", fake)
    return fake


def roles(shop: Shop) -> dict[str, str]:
    return dict(shop.query("select model_version, role from monitoring.model_version_current order by 1"))


def pointer(shop: Shop) -> str | None:
    """The version that a service would follow."""
    path = Path(promotion.pointer_path(shop.ctx))
    return read_champion(path).model_version if path.exists() else None


def outcomes(shop: Shop) -> list[Any]:
    return [row.outcome for row in shop.query("select outcome from monitoring.retrain_decision_current order by as_of")]


def test_nothing_to_do(made_up: Shop, quick_trainer: QuickTrainer) -> None:
    assert retraining.carry_out(made_up.ctx) is None
    assert roles(made_up) == {"v1": "champion"}
    assert [row.kind for row in made_up.query("select kind from monitoring.promotion_current")] == ["first"]
    assert pointer(made_up) is None  # no artifact of v1 is kept here: the service has its own
    assert retraining.carry_out(made_up.ctx) is None
    assert len(made_up.query("select 1 from monitoring.promotion")) == 1


def test_a_challenger_is_promoted(shop: Shop, trainer: FakeTrainer) -> None:
    decide(shop.ctx, at(22))
    done = retraining.carry_out(shop.ctx)
    assert done is not None and (done.state, done.challenger_version) == ("promoted", "2024-03-23-1"), done
    assert roles(shop) == {"2024-03-23-1": "champion", "v1": "retired"}
    assert outcomes(shop) == ["promoted"]
    said = read_champion(promotion.pointer_path(shop.ctx))
    assert said.model_version == "2024-03-23-1" and said.format == "skops"
    assert artifacts.open_artifact(said.uri, said.sha256, said.format).task == "binary"
    assert from_document(json.loads(Path(said.reference).read_text())).model_version == "2024-03-23-1"
    (last,) = shop.query("select * from monitoring.promotion_current where kind = 'promotion'")
    assert (last.previous_version, last.by_whom, last.seq) == ("v1", "policy", said.seq)
    assert "against the champion's" in last.reason

    # The rows that judged were seen by neither.
    (headline,) = shop.query("select * from monitoring.model_comparison_current where guard = 'headline'")
    version = model_version(shop, "2024-03-23-1")
    # Labels come 20 hours after the event: on day 22 the last window that is labelled to 95 % is that of day 20.
    assert (headline.rows_from, headline.rows_to, headline.labels_known_at) == (at(11), at(21), at(22))
    assert version.train_end == at(11)
    assert (headline.n, headline.n_blocks) == (10 * shop.n_rows, 10)
    segments = shop.query("select segment, verdict from monitoring.model_comparison_current where guard = 'segment'")
    assert {row.segment for row in segments} == {"region=north", "region=south"}


def model_version(shop: Shop, name: str) -> model_versions.ModelVersion:
    return shop.warehouse.run(lambda conn: model_versions.model_versions(conn, "toy"))[name]


def test_a_champion_trained_here_is_scored_anew(shop: Shop, trainer: FakeTrainer) -> None:
    decide(shop.ctx, at(22))
    retraining.carry_out(shop.ctx)
    decide(shop.ctx, at(23))
    facts = {done.step: done.facts for done in retraining.steps(shop.ctx)}
    assert facts["comparison"]["champion_answers"] == "scored by its artifact"
    headlines = "select * from monitoring.model_comparison_current where guard = 'headline' order by attempt_id"
    last = shop.query(headlines)[-1]
    assert last.champion_version == "2024-03-23-1"
    assert last.verdict in ("better", "not worse") and abs(last.difference) < 0.05  # nearly the same model

    # The next comparison begins no earlier than what the new champion was trained on.
    decide(shop.ctx, at(16))
    attempt = retraining.carry_out(shop.ctx)
    assert attempt is not None and attempt.state == "inconclusive"
    (again,) = shop.query(f"select * from monitoring.model_comparison_current where attempt_id = {attempt.attempt_id}")
    assert (again.rows_from, again.rows_to) == (at(12), at(15))
    assert "3 days with labelled rows that neither model was trained on; 5 are needed" in str(attempt.reason)

    # A champion whose artifact is damaged is compared by what it logged: here nothing, for v1 wrote all of the log.
    champion = next(name for name, role in roles(shop).items() if role == "champion")
    Path(str(model_version(shop, champion).artifact_uri)).unlink()
    decide(shop.ctx, at(22))
    facts = {done.step: done.facts for done in retraining.steps(shop.ctx)}
    assert str(facts["comparison"]["champion_answers"]).startswith("as logged, for its artifact cannot be used")
    assert str(facts["comparison"]["reason"]).startswith("0 days with labelled rows")


def test_a_useless_challenger_is_rejected(
    warehouse: Warehouse, settings: Settings, tmp_path: Path, trainer: FakeTrainer
) -> None:
    shop = opened(warehouse, settings, tmp_path, margin=0.01)
    trainer.useless = True
    decide(shop.ctx, at(22))
    done = retraining.carry_out(shop.ctx)
    assert done is not None and done.state == "kept" and "worse" in str(done.reason)
    assert roles(shop) == {"2024-03-23-1": "rejected", "v1": "champion"}
    assert outcomes(shop) == ["kept"]
    assert pointer(shop) is None


def no_better(ctx: RetrainContext, attempt: Attempt) -> judged_rows.Judged:
    """The made-up rows on which the challenger says what the champion says."""
    judged = made_up_rows(ctx, attempt)
    return replace(judged, rows=replace(judged.rows, challenger=judged.rows.champion))


def test_too_few_rows_are_inconclusive(
    made_up: Shop, quick_trainer: QuickTrainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retraining.judged_rows, "judged_rows", no_better)
    made_up.monitor = made_up.toy.declare(retrain=RETRAIN | {"promote": PROMOTE | {"least_rows": 5000}})
    decide(made_up.ctx, at(22))
    done = retraining.carry_out(made_up.ctx)
    assert done is not None and done.state == "inconclusive"
    assert str(done.reason).startswith(
        "900 labelled rows that neither model was trained on; 5,000 are needed of a chal"
    )
    (headline,) = made_up.query("select verdict from monitoring.model_comparison_current")
    assert headline.verdict == "abstained"


def test_a_challenger_that_widens_a_gap_is_kept_back(
    made_up: Shop, quick_trainer: QuickTrainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Better by the headline, but it selects nobody of the south any more: every second of the rows."""

    def of_two_regions(ctx: RetrainContext, attempt: Attempt) -> judged_rows.Judged:
        judged = made_up_rows(ctx, attempt)
        region = np.where(np.arange(len(judged.rows)) // 9 % 2, "region=south", "region=north")
        said = judged.rows.challenger.prediction * (region == "region=north")
        challenger = replace(judged.rows.challenger, prediction=said)
        return replace(judged, rows=replace(judged.rows, challenger=challenger, groups={"region": region}))

    monkeypatch.setattr(retraining.judged_rows, "judged_rows", of_two_regions)
    fairness = {"columns": ["region"], "metric": "selection_rate", "margin": 0.1}
    promote = PROMOTE | {"calibration": False, "fairness": fairness}
    made_up.monitor = made_up.toy.declare(retrain=RETRAIN | {"promote": promote})
    decide(made_up.ctx, at(22))
    done = retraining.carry_out(made_up.ctx)
    assert done is not None and done.state == "kept"
    said = "but fairness region=north against region=south is surely worse: selection_rate of region=north against"
    assert said in str(done.reason)
    (row,) = made_up.query("select * from monitoring.model_comparison_current where guard = 'fairness'")
    assert (row.segment, row.metric) == ("region=north against region=south", "selection_rate_difference")
    assert row.verdict == "worse" and row.challenger_value > 0.3 and row.delta == 0.1


def test_a_trainer_that_fails_is_tried_three_times(made_up: Shop, quick_trainer: QuickTrainer) -> None:
    quick_trainer.error = RetrainError("the trainer raised ValueError: no luck")
    decide(made_up.ctx, at(22))
    names = []
    for _ in range(3):
        done = retraining.carry_out(made_up.ctx)
        assert done is not None and (done.state, done.failed_in) == ("failed", "training")
        assert done.error == "the trainer raised ValueError: no luck"
        names.append(done.challenger_version)
    assert names == ["2024-03-23-1", "2024-03-23-2", "2024-03-23-3"]
    assert outcomes(made_up) == ["failed"]
    assert retraining.carry_out(made_up.ctx) is None
    assert roles(made_up) == {"v1": "champion"}


def test_a_metric_that_cannot_be_compared_fails_before_training(made_up: Shop, quick_trainer: QuickTrainer) -> None:
    made_up.monitor = made_up.toy.declare(retrain=RETRAIN | {"metric": "calibration_bias"})
    decide(made_up.ctx, at(22))
    done = retraining.carry_out(made_up.ctx)
    assert done is not None and done.state == "failed" and not quick_trainer.attempts
    assert "retrain.metric: 'calibration_bias' is neither good nor bad in itself" in str(done.error)


def test_a_defect_of_ours_fails_the_attempt_and_is_raised(made_up: Shop, quick_trainer: QuickTrainer) -> None:
    quick_trainer.error = ZeroDivisionError("oh")
    decide(made_up.ctx, at(22))
    with pytest.raises(ZeroDivisionError):
        retraining.carry_out(made_up.ctx)
    assert [(r.state, r.error) for r in made_up.query("select state, error from monitoring.retrain_attempt")] == [
        ("failed", "ZeroDivisionError: oh")
    ]
    quick_trainer.error = None
    done = retraining.carry_out(made_up.ctx)
    assert done is not None and done.state == "promoted"


def test_decisions_are_carried_out_in_their_order(made_up: Shop, quick_trainer: QuickTrainer) -> None:
    first, second = decide(made_up.ctx, at(21)), decide(made_up.ctx, at(22))
    carried = [retraining.carry_out(made_up.ctx), retraining.carry_out(made_up.ctx), retraining.carry_out(made_up.ctx)]
    assert [None if one is None else one.decision_id for one in carried] == [first, second, None]


# -- the shadow ----------------------------------------------------------------------------------------------------


def test_after_a_performance_trigger_it_waits_for_the_windows_that_follow(
    warehouse: Warehouse, settings: Settings, tmp_path: Path, trainer: FakeTrainer
) -> None:
    shop = opened(warehouse, settings, tmp_path, shadow_for="6d")
    decide(shop.ctx, at(15), trigger="new_labels+performance")
    waiting = retraining.carry_out(shop.ctx, now=at(15.2))
    assert waiting is not None and (waiting.state, waiting.shadow_until) == ("shadowing", at(21))
    assert outcomes(shop) == ["shadowing"] and roles(shop)["2024-03-16-1"] == "challenger"
    assert model_version(shop, "2024-03-16-1").train_end == at(14)  # the newest rows are in it

    # Over, but its last window is not labelled yet.
    still = retraining.carry_out(shop.ctx, now=at(21.1))
    assert still is not None and (still.state, still.attempt_id) == ("shadowing", waiting.attempt_id)
    done = retraining.carry_out(shop.ctx, now=at(22))
    assert done is not None and (done.state, done.attempt_id) == ("promoted", waiting.attempt_id)
    assert len(trainer.attempts) == 1
    (shadow,) = shop.query("select * from monitoring.model_comparison_current where guard = 'shadow'")
    assert (shadow.rows_from, shadow.rows_to, shadow.n_blocks) == (at(14), at(21), 7)
    assert not shop.query("select 1 from monitoring.model_comparison where guard = 'headline'")
    (last,) = shop.query("select as_of from monitoring.promotion where kind = 'promotion'")
    assert last.as_of == at(21)
    of_windows = shop.query(
        "select * from monitoring.performance_current where kind = 'shadow' and metric = 'accuracy'"
    )
    whole = {row.window_start: row for row in of_windows if row.segment == "*"}
    assert sorted(whole) == [at(day) for day in range(14, 21)]
    assert {row.model_version for row in of_windows} == {"2024-03-16-1"} and len(of_windows) == 7 * 3, "two regions"
    assert all((row.n_labelled, row.coverage, row.degraded) == (40, 1.0, None) for row in whole.values())
    assert not shop.query("select 1 from monitoring.performance_current where kind <> 'shadow'")
    model = artifacts.load(shop.ctx, "2024-03-16-1").estimator
    for day in range(14, 21):
        rows = shop.toy.rows(day, 40)
        right = (model.predict_proba(rows)[:, 1] >= 0.5) == rows["y"]
        assert whole[at(day)].value == pytest.approx(right.mean())


# -- faults --------------------------------------------------------------------------------------------------------


def test_a_changed_champion_makes_it_inconclusive(made_up: Shop, quick_trainer: QuickTrainer) -> None:
    decide(made_up.ctx, at(22))
    compared = retraining.carry_out(made_up.ctx, until="comparison")
    assert compared is not None and compared.state == "compared"
    with made_up.warehouse.transaction() as conn:
        other = model_versions.ModelVersion("by-hand", "challenger")
        model_versions.register_version(conn, "toy", other, run_id=None)
    promotion.crown(made_up.ctx, "by-hand", "manual", "ada", "we had to")
    done = retraining.carry_out(made_up.ctx)
    assert done is not None and done.state == "inconclusive"
    assert done.reason == "the champion is now by-hand, and the challenger was compared with v1"
    assert roles(made_up) == {"2024-03-23-1": "rejected", "by-hand": "champion", "v1": "retired"}
    assert outcomes(made_up) == ["inconclusive"]


@pytest.mark.parametrize("damage", ["gone", "altered"])
def test_a_damaged_artifact_is_refused_and_the_champion_stays(
    made_up: Shop, quick_trainer: QuickTrainer, damage: str
) -> None:
    decide(made_up.ctx, at(22))
    retraining.carry_out(made_up.ctx, until="comparison")
    path = Path(str(model_version(made_up, "2024-03-23-1").artifact_uri))
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-1] + b"!")
    done = retraining.carry_out(made_up.ctx)
    assert done is not None and (done.state, done.failed_in) == ("failed", "compared")
    assert ("cannot be read" if damage == "gone" else "the file was altered") in str(done.error)
    assert roles(made_up) == {"2024-03-23-1": "rejected", "v1": "champion"}
    assert pointer(made_up) is None


def test_a_lost_connection_at_promotion_leaves_nothing_half_done(
    made_up: Shop, quick_trainer: QuickTrainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    decide(made_up.ctx, at(22))
    record = attempt_store.record_promotion

    def cut(conn: Any, monitor: str, **values: Any) -> int:
        number = record(conn, monitor, **values)
        if values["kind"] == "promotion":
            conn.execute(text("select pg_terminate_backend(pg_backend_pid())"))
        return number

    with monkeypatch.context() as patch:
        patch.setattr(attempt_store, "record_promotion", cut)
        with pytest.raises(WarehouseError, match="nothing of this step was written"):
            retraining.carry_out(made_up.ctx)
    assert roles(made_up) == {"2024-03-23-1": "challenger", "v1": "champion"}
    assert [r.state for r in made_up.query("select state from monitoring.retrain_attempt")] == ["compared"]
    assert outcomes(made_up) == ["training"] and pointer(made_up) is None
    done = retraining.carry_out(made_up.ctx)
    assert done is not None and done.state == "promoted" and len(quick_trainer.attempts) == 1
    assert pointer(made_up) == "2024-03-23-1"


def test_a_database_that_restarts_in_training_costs_nothing(
    made_up: Shop, quick_trainer: QuickTrainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every connection dies, the one that holds the lock too; nobody else took the attempt over."""

    def train(*args: Any) -> model_versions.ModelVersion:
        with contextlib.suppress(OperationalError), made_up.warehouse.engine.connect() as conn:
            conn.execute(
                text("select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database()")
            )
        return quick_trainer(*args)

    monkeypatch.setattr(retraining, "train_challenger", train)
    decide(made_up.ctx, at(22))
    done = retraining.carry_out(made_up.ctx)
    assert done is not None and done.state == "promoted"
    decide(made_up.ctx, at(23))
    monkeypatch.setattr(retraining, "train_challenger", quick_trainer)
    again = retraining.carry_out(made_up.ctx)
    assert again is not None and again.state == "promoted"


def test_an_attempt_whose_trainer_died_is_begun_anew(made_up: Shop, quick_trainer: QuickTrainer) -> None:
    decision = decide(made_up.ctx, at(22))
    with attempts.ownership(made_up.ctx):
        died = attempts.resume_or_begin(made_up.ctx)
    done = retraining.carry_out(made_up.ctx)
    assert died is not None and done is not None
    assert (done.state, done.challenger_version, done.decision_id) == ("promoted", "2024-03-23-2", decision)
    (first,) = made_up.query(f"select * from monitoring.retrain_attempt where attempt_id = {died.attempt_id}")
    assert (first.state, first.failed_in, first.error) == ("failed", "training", attempts.DIED)


def test_a_stale_owner_changes_nothing(made_up: Shop, quick_trainer: QuickTrainer) -> None:
    """A process that lost its lock with its connection, and comes back after another went on."""
    decide(made_up.ctx, at(22))
    stale = retraining.carry_out(made_up.ctx, until="comparison")
    assert stale is not None
    with attempts.ownership(made_up.ctx):
        attempts.resume_or_begin(made_up.ctx)
    with pytest.raises(attempts.AttemptLostError, match="carried on by another process"):
        promotion.promote(made_up.ctx, stale, "late")
    assert attempts.fail(made_up.ctx, stale, "late").state == "compared"
    assert roles(made_up)["v1"] == "champion"


def test_only_one_of_two_drivers_works(made_up: Shop, quick_trainer: QuickTrainer) -> None:
    decide(made_up.ctx, at(22))
    with attempts.ownership(made_up.ctx) as mine:
        assert mine
        assert retraining.carry_out(made_up.ctx) is None
    assert not quick_trainer.attempts
    done = retraining.carry_out(made_up.ctx)
    assert done is not None and done.state == "promoted"


def test_files_that_a_killed_trainer_left_are_removed(made_up: Shop, quick_trainer: QuickTrainer) -> None:
    decide(made_up.ctx, at(22))
    retraining.carry_out(made_up.ctx)
    directory = Path(artifacts.model_directory(made_up.settings, "toy"))
    kept = {path.name for path in directory.iterdir()}
    (directory / f"{'0' * 64}.skops").write_bytes(b"x")
    (directory / ".tmp-half").write_bytes(b"x")
    (directory / "notes.txt").write_text("mine")
    retraining.carry_out(made_up.ctx)
    assert len(list(directory.iterdir())) == len(kept) + 3  # somebody may be about to register them
    for path in directory.iterdir():
        os.utime(path, (0, 0))
    retraining.carry_out(made_up.ctx)
    assert {path.name for path in directory.iterdir()} == {*kept, "notes.txt"}


# -- rollback ------------------------------------------------------------------------------------------------------


def test_a_person_may_bring_a_version_back(made_up: Shop, quick_trainer: QuickTrainer) -> None:
    decide(made_up.ctx, at(22))
    retraining.carry_out(made_up.ctx)
    before = read_champion(promotion.pointer_path(made_up.ctx)).seq
    promotion.crown(made_up.ctx, "v1", "rollback", "ada", "complaints")
    retraining.publish(made_up.ctx)
    assert roles(made_up) == {"2024-03-23-1": "retired", "v1": "champion"} and pointer(made_up) is None
    promotion.crown(made_up.ctx, "2024-03-23-1", "manual", "ada", "no, after all")
    retraining.publish(made_up.ctx)
    assert read_champion(promotion.pointer_path(made_up.ctx)).seq == before + 2
    with pytest.raises(UserError, match="is the champion of toy already"):
        promotion.crown(made_up.ctx, "2024-03-23-1", "manual", "ada", "again")
    with pytest.raises(UserError, match="no registered version 'nope'"):
        promotion.crown(made_up.ctx, "nope", "rollback", "ada", "?")


@pytest.mark.parametrize("damage", ["pruned", "gone"])
def test_a_version_whose_artifact_is_gone_is_not_brought_back(
    made_up: Shop, quick_trainer: QuickTrainer, damage: str
) -> None:
    decide(made_up.ctx, at(22))
    retraining.carry_out(made_up.ctx)
    promotion.crown(made_up.ctx, "v1", "rollback", "ada", "complaints")
    if damage == "gone":
        Path(str(model_version(made_up, "2024-03-23-1").artifact_uri)).unlink()
    else:
        with made_up.warehouse.transaction() as conn:
            conn.execute(text("update monitoring.model_version set pruned_at = now() where artifact_uri is not null"))
    with pytest.raises(RetrainError, match="was deleted on" if damage == "pruned" else "cannot be read"):
        promotion.crown(made_up.ctx, "2024-03-23-1", "rollback", "ada", "back")
    assert roles(made_up)["v1"] == "champion"
