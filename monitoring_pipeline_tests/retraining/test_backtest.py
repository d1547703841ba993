"""A policy replayed over stored history: leak-free fits, promotions that serve what follows, nothing written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sqlalchemy import text
from typer.testing import CliRunner

from monitoring_pipeline.cli.app import app
from monitoring_pipeline.cli.demo_backtest import replay_policy
from monitoring_pipeline.errors import DeclarationError, RetrainError, UserError
from monitoring_pipeline.monitors import Monitor
from monitoring_pipeline.retraining.backtest import replay
from monitoring_pipeline.retraining.backtest.challenger import fit_with_trainer
from monitoring_pipeline.retraining.model import Model
from monitoring_pipeline.retraining.promotion import crown
from monitoring_pipeline.stages.backtesting import backtest, history_of
from monitoring_pipeline.warehouse import backtest_store
from monitoring_pipeline.warehouse.model_versions import ModelVersion, register_version
from monitoring_pipeline_tests.retraining.flipped import DAYS, FLIPPED, LAG, end_of, with_policy
from monitoring_pipeline_tests.stages.story import ROWS, Story
from monitoring_pipeline_tests.toy import day

FLIP = {
    "when": {"performance": {}}, "training": {"window": "since_change"}, "cooldown": "3d",
    "guards": {"min_labels": 200}, "promote": {"least_days": 2, "least_rows": 200, "shadow_for": "5d"},
}  # fmt: skip


def contents(story: Story) -> list[tuple[Any, ...]]:
    tables = ("retrain_decision", "retrain_attempt", "model_version", "promotion", "measurement")
    return [tuple(story.query(f"select count(*) from monitoring.{name}").iloc[0]) for name in tables]


def test_after_a_flip_the_replay_recovers_and_what_happened_stays(flipped: Story) -> None:
    before = contents(flipped)
    found = backtest(with_policy(flipped, **FLIP), all_promoted=True)
    fired, *_ = found.retrainings
    assert (fired.as_of, fired.trigger, fired.outcome) == (end_of(FLIPPED + LAG), "performance", "promoted")
    assert fired.n_rows == ROWS, "the one mature day since the flip"
    (month,) = found.months
    assert month.n == found.months[0].n == DAYS * ROWS and found.metric == "roc_auc"
    assert found.gain > 0.05 and found.worst("happened") == month.happened
    assert contents(flipped) == before
    again = backtest(with_policy(flipped, **FLIP), all_promoted=True)
    assert [one.as_of for one in again.retrainings] == [one.as_of for one in found.retrainings]
    assert again.months == found.months


def test_a_policy_that_never_fires_changes_nothing(flipped: Story) -> None:
    found = backtest(with_policy(flipped, when={"schedule": "0 0 31 12 *"}))
    assert found.retrainings == () and found.gain == 0 and found.waits == {"nothing": DAYS}
    assert found.months[0].happened == found.months[0].replayed


def test_no_fit_sees_a_label_or_an_event_that_came_later(flipped: Story) -> None:
    """Labels that were known at the cut or later are made wrong: the fits stay bit-equal."""
    ctx = with_policy(flipped, **FLIP)
    seen: list[pd.DataFrame] = []

    def fits(monitor: Monitor, rows: pd.DataFrame, classes: tuple[str, ...]) -> Model:
        seen.append(rows)
        return fit_with_trainer(monitor, rows, classes)

    history = history_of(ctx)
    first, last = day(0).start, end_of(FLIPPED + LAG)
    replay(history, first, last, fits, all_promoted=True)
    (honest,) = seen
    cut = pd.Timestamp(last)
    rows = history.rows.copy()
    later = (rows["label_time"] >= cut) | (rows["event_time"] >= cut)
    rows.loc[later, "outcome"] = 1 - rows.loc[later, "outcome"]
    rows.loc[rows["event_time"] >= cut, "x"] = 1e6
    assert later.sum() > 4 * ROWS and (honest["label_time"] < cut).all() and (honest["event_time"] < cut).all()
    planted = type(history)(**{**vars_of(history), "rows": rows})
    replay(planted, first, last, fits, all_promoted=True)
    pd.testing.assert_frame_equal(seen[1], honest)


def vars_of(history: Any) -> dict[str, Any]:
    return {name: getattr(history, name) for name in history.__dataclass_fields__}


def test_a_challenger_is_compared_and_a_shadow_is_waited_for(flipped: Story) -> None:
    found = backtest(with_policy(flipped, **FLIP))
    fired = found.retrainings[0]
    assert fired.as_of == end_of(FLIPPED + LAG)
    assert fired.ended >= end_of(FLIPPED + LAG + 5), "five days of shadow, and their labels"
    assert fired.outcome == "promoted" and "roc_auc" in fired.why
    assert found.waits["open attempt"] == 6 and found.gain == 0, "it serves from the end of the history on"


def test_a_trainer_that_fails_is_a_failed_retraining(flipped: Story) -> None:
    def fails(monitor: Monitor, rows: pd.DataFrame, classes: tuple[str, ...]) -> Model:
        raise RetrainError("the trainer raised ValueError: no")

    found = replay(history_of(with_policy(flipped, **FLIP)), day(0).start, end_of(DAYS - 1), fails)
    assert found.retrainings and {one.outcome for one in found.retrainings} == {"failed"}
    assert found.gain == 0 and found.retrainings[0].why == "the trainer raised ValueError: no"
    with pytest.raises(UserError, match="no window between 2023-01-01 and 2023-02-01 is judged"):
        replay(history_of(with_policy(flipped)), day(-425).start, day(-394).start)


def test_the_command_prints_draws_and_says_what_is_wrong(flipped: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    with_policy(flipped)
    base = flipped.toy.base
    monkeypatch.setenv("DATABASE_URL", flipped.url)
    monkeypatch.setenv("MONITORING_HOME", str(flipped.settings.home))
    monkeypatch.setenv("MONITORS_DIR", str(flipped.settings.monitors_dir))
    policy, picture = base / "policy.yaml", base / "replay.png"

    def run(*arguments: str, **retrain: Any) -> str:
        policy.write_text(json.dumps({"retrain": retrain}))
        command = ["backtest", "toy", "--policy", str(policy), "--all-promoted", *arguments]
        result = CliRunner().invoke(app, command, catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result.output

    printed = run("--picture", str(picture), **FLIP)
    assert picture.read_bytes().startswith(b"\x89PNG") and "2024-03" in printed and "P promoted" in printed
    said = " ".join(printed.split())
    assert "minutes of training. Mean roc_auc" in said and "Kept as replay 1 of `monitoring.backtest_current`." in said
    (kept,) = flipped.query("select * from monitoring.backtest_current").to_dict("records")
    assert (kept["policy_name"], kept["metric"], kept["all_promoted"]) == ("policy.yaml", "roc_auc", True)
    assert kept["policy"]["cooldown"] == "PT72H" or kept["policy"]["cooldown"] == "P3D", kept["policy"]["cooldown"]
    months = flipped.query("select * from monitoring.backtest_month_current")
    assert months["replayed"].mean() - months["happened"].mean() == pytest.approx(kept["gain"])
    done = flipped.query("select * from monitoring.backtest_retraining_current order by position")
    assert len(done) == kept["n_retrainings"] and (done["outcome"] == "promoted").sum() == kept["n_promoted"] > 0
    found = json.loads(run("--json", "--no-keep", "--to", "2024-03-08", **FLIP))
    assert found["backtest_id"] is None and len(flipped.query("select 1 from monitoring.backtest_current")) == 1
    assert found["retrainings"] == [] and found["summary"]["gain"] == 0 and found["waits"]["nothing"] == 8
    assert np.isfinite(found["summary"]["mean_happened"])

    with pytest.raises(DeclarationError, match=r"policy.yaml:\d+: thresholds: not part of a policy; write retrain"):
        policy.write_text(json.dumps({"thresholds": {}}))
        CliRunner().invoke(app, ["backtest", "toy", "--policy", str(policy)], catch_exceptions=False)
    with pytest.raises(UserError, match="there is no directory"):
        run("--picture", str(Path(base / "absent" / "x.png")), **FLIP)
    with pytest.raises(DeclarationError, match=r"policy.yaml:\d+: retrain.cooldwn"):
        run(cooldwn="3d")
    assert CliRunner().invoke(app, ["backtest", "toy"]).exit_code == 2


def test_the_replay_of_a_retrained_monitor_begins_with_the_champion_of_its_first_window(flipped: Story) -> None:
    """A champion of day 10 knows no label that is new on day 6: only the one before it can be retrained then."""
    ctx = with_policy(flipped, when={"new_labels": {"rows": 4 * ROWS}}, cooldown="60d", guards={"min_labels": 200})
    later = ModelVersion("v2", "challenger", train_end=day(10).start, labels_known_at=day(10).start)
    with flipped.warehouse.transaction() as conn:
        register_version(conn, "toy", later, run_id=None)
    crown(ctx, "v2", "manual", "test", "test")
    with flipped.warehouse.transaction() as conn:
        conn.execute(text("update monitoring.promotion set as_of = :at"), {"at": day(10).start})

    def began_with(first: int | None) -> str:
        champion = history_of(ctx, None if first is None else day(first).start).champion
        assert champion is not None
        return champion.model_version

    assert (began_with(None), began_with(9), began_with(10), began_with(12)) == ("v1", "v1", "v2", "v2")
    found = backtest(ctx, all_promoted=True)
    assert found.retrainings[0].as_of <= end_of(6), "labels since the first champion's cut"
    of_second = backtest(ctx, first=day(10).start, all_promoted=True)
    assert not of_second.retrainings or of_second.retrainings[0].as_of >= end_of(10 + 3)


def test_the_demo_replays_a_policy_once_and_again_when_days_were_added(flipped: Story, tmp_path: Path) -> None:
    ctx, policy = with_policy(flipped), tmp_path / "other.yaml"
    policy.write_text(json.dumps({"retrain": {"when": {"schedule": "0 0 31 12 *"}}}))
    number = replay_policy(ctx, policy, end_of(DAYS - 1))
    assert number is not None and replay_policy(ctx, policy, end_of(DAYS - 1)) is None
    with flipped.warehouse.transaction() as conn:
        kept = backtest_store.newest(conn, "toy", "other.yaml")
        assert backtest_store.newest(conn, "toy", "absent.yaml") is None
    assert kept is not None and (kept.last, kept.n_retrainings, kept.gain) == (end_of(DAYS - 1), 0, 0)
    again = replay_policy(ctx, policy, end_of(DAYS))
    assert again is not None and again > number
