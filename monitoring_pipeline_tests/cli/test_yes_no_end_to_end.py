"""An outcome in any spelling, from `init` to metrics that agree with scikit-learn; what stops a run early."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pandas as pd
import pytest
from sklearn import metrics
from typer.testing import CliRunner

from monitoring_pipeline.cli.app import app
from monitoring_pipeline.cli.run import _check
from monitoring_pipeline.errors import UserError
from monitoring_pipeline.graph.factory import build_monitor_graph
from monitoring_pipeline.graph.keys import asset_key
from monitoring_pipeline.monitors import Monitor
from monitoring_pipeline.monitors.loading import load_monitor
from monitoring_pipeline.windows import Window
from monitoring_pipeline_tests.cli.conftest import Shell
from monitoring_pipeline_tests.front_door import QUIET, FrontDoor, door
from monitoring_pipeline_tests.toy import ready

__all__ = ["door"]
DAYS = 3
A_DAY = 300


@dataclass
class Case:
    """A log, labels and a reference in one format, their positive rows ``truth``, and the day of each."""

    base: Path
    suffix: str
    log: pd.DataFrame
    truth: np.ndarray
    said: np.ndarray

    def path(self, name: str) -> Path:
        return self.base / f"{name}.{self.suffix}"

    def write(self, frame: pd.DataFrame, name: str) -> None:
        path = self.path(name)
        if self.suffix == "csv":
            frame.to_csv(path, index=False)
        elif self.suffix == "parquet":
            frame.to_parquet(path, index=False)
        else:
            rows = json.loads(frame.to_json(orient="records", date_format="iso"))
            path.write_text("\n".join(json.dumps(row) for row in rows) + "\n")

    def init(self, *more: str) -> Monitor:
        out = self.base / "monitors" / "m.yaml"
        out.parent.mkdir(exist_ok=True)
        sources = [f"--{name}={self.path(file)}" for name, file in SOURCES.items() if self.path(file).exists()]
        answer = CliRunner().invoke(app, ["init", "m", *sources, f"--out={out}", "--force", *more])
        assert answer.exit_code == 0, answer.output + str(answer.exception)
        return load_monitor(out)

    def validate(self) -> Any:
        return CliRunner().invoke(app, ["validate", str(self.base / "monitors" / "m.yaml")])


SOURCES = {"predictions": "log", "ground-truth": "labels", "reference": "reference"}


def case(base: Path, suffix: str, positive: Any, negative: Any, with_prediction: bool = True) -> Case:
    """``DAYS`` days; the outcome is ``positive`` in some 3 of 10 rows."""
    rng = np.random.default_rng(5)
    n = DAYS * A_DAY
    score = rng.random(n).round(4)
    truth, said = rng.random(n) < 0.15 + 0.4 * score, score > 0.6
    frame = pd.DataFrame(
        {
            "prediction_id": [f"req-18-{i}" for i in range(n)],
            "event_time": [f"2024-03-0{1 + i // A_DAY}T{i % A_DAY // 15:02d}:30:00Z" for i in range(n)],
            "score": score,
            "age": rng.integers(18, 80, n),
        }
    )

    def spelled(flags: np.ndarray) -> pd.Series:
        return pd.Series([(positive() if callable(positive) else positive) if f else negative for f in flags])

    if with_prediction:
        frame["prediction"] = spelled(said)
    it = Case(base, suffix, frame, truth, said)
    it.write(frame, "log")
    known = pd.to_datetime(frame["event_time"]) + pd.Timedelta(days=2)
    labels = pd.DataFrame(
        {"prediction_id": frame["prediction_id"], "outcome": spelled(truth), "label_time": known.astype(str)}
    )
    it.write(labels, "labels")
    before = frame.assign(event_time=frame["event_time"].str.replace("2024-03", "2024-02"), outcome=spelled(truth))
    it.write(before, "reference")
    return it


SPELLINGS = {
    "Yes/No": ("Yes", "No"),
    "yes/no": ("yes", "no"),
    "Y/N": ("Y", "N"),
    "y/n": ("y", "n"),
    "T/F": ("T", "F"),
    "True/False as text": ("True", "False"),
    "tRUE/fALSE": ("tRUE", "fALSE"),
    "booleans": (True, False),
    "text 0/1": ("1", "0"),
    "text 0.0/1.0": ("1.0", "0.0"),
    "integers": (1, 0),
    "floats": (1.0, 0.0),
    "with blanks": ("Yes ", "No  "),
    "mixed case": ("YES", "nO"),
    "positive/negative": ("positive", "negative"),
    "-1/1": (1, -1),
}
FORMATS = ("csv", "parquet", "jsonl")
# Each spelling in one format; in all of them where the formats differ: plain text, and a type that CSV lacks.
ALL = [(spelling, FORMATS[i % 3]) for i, spelling in enumerate(SPELLINGS)]
ALL += [(s, f) for s in ("Yes/No", "booleans") for f in FORMATS if (s, f) not in ALL]
QUICK = {("Yes/No", "csv"), ("booleans", "parquet"), ("with blanks", "jsonl")}


@pytest.mark.parametrize(("spelling", "suffix"), ALL, ids=[f"{a}, {b}" for a, b in ALL])
def test_a_draft_says_the_class_that_the_reader_keeps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spelling: str, suffix: str
) -> None:
    monkeypatch.setenv("MONITORING_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("MONITORS_DIR", str(tmp_path / "monitors"))
    it = case(tmp_path, suffix, *SPELLINGS[spelling])
    monitor = it.init()
    assert monitor.task == "binary" and monitor.schema_.prediction == "prediction"
    positive = SPELLINGS[spelling][0]
    kept = {"True": "true", "1.0": "1"}.get(str(positive).strip(), str(positive).strip())
    assert monitor.schema_.positive_class == kept
    answer = it.validate()
    assert answer.exit_code == 0, answer.output


@pytest.mark.slow
@pytest.mark.parametrize(("spelling", "suffix"), sorted(QUICK), ids=[f"{a}, {b}" for a, b in sorted(QUICK)])
def test_metrics_agree_with_scikit_learn(door: FrontDoor, spelling: str, suffix: str) -> None:
    it = case(door.base, suffix, *SPELLINGS[spelling])
    monitor = it.init()
    first, last = (Window.from_key(f"2024-03-0{d}", "day") for d in (1, DAYS))
    assert door.run(monitor, first, last) is None
    found = door.query(
        "select window_start, metric, value, n_labelled from monitoring.performance_current"
        " where segment = '*' and kind = 'realized'"
    )
    assert not found.empty
    for day in range(DAYS):
        rows = slice(day * A_DAY, (day + 1) * A_DAY)
        truth, said, score = it.truth[rows], it.said[rows], it.log["score"][rows]
        expected = {
            "accuracy": metrics.accuracy_score(truth, said),
            "precision": metrics.precision_score(truth, said),
            "recall": metrics.recall_score(truth, said),
            "f1": metrics.f1_score(truth, said),
            "roc_auc": metrics.roc_auc_score(truth, score),
        }
        of_day = found[pd.to_datetime(found["window_start"], utc=True).dt.day == day + 1].set_index("metric")
        for metric, value in expected.items():
            # The curve is counted in bins of the score: exact to their width.
            near = 0.01 if metric == "roc_auc" else 1e-9
            assert of_day.loc[metric, "value"] == pytest.approx(value, abs=near), (metric, day)
        assert (of_day.loc[list(expected), "n_labelled"] == A_DAY).all()


def test_a_positive_class_that_never_occurs_stops_run_validate_and_dagster_alike(door: FrontDoor) -> None:
    it = case(door.base, "csv", "Yes", "No")
    it.init()
    path = door.base / "monitors" / "m.yaml"
    path.write_text(path.read_text().replace('positive_class: "Yes"', 'positive_class: "true"'))
    monitor = load_monitor(path)
    said = (
        "the outcome 'outcome' of the reference is 'No', 'Yes', never 'true'; write the value that counts as positive"
    )
    answer = it.validate()
    assert answer.exit_code == 1 and f"m.yaml:{_line(path, 'positive_class')}: schema.positive_class: {said}" in (
        answer.output
    )
    with pytest.raises(UserError) as error:
        _check(monitor, door.settings.model_copy(update={"monitors_dir": path.parent}))
    assert str(error.value).splitlines()[0] in answer.output

    job = build_monitor_graph(monitor).resolve_implicit_global_asset_job_def()
    result = job.execute_in_process(
        instance=door.instance,
        asset_selection=[asset_key(monitor, "reference")],
        run_config=QUIET,
        raise_on_error=False,
    )
    failed = [e for e in result.all_events if e.event_type is dg.DagsterEventType.STEP_FAILURE]
    data = failed[0].step_failure_data.user_failure_data
    assert data is not None and data.description == f"schema.positive_class: {said}"
    assert door.query("select count(*) from monitoring.profile").iat[0, 0] == 0


def test_a_positive_class_that_lies_outside_of_the_references_bounds_never_occurs(door: FrontDoor) -> None:
    it = case(door.base, "parquet", "Yes", "No")
    frame = pd.read_parquet(it.path("reference"))
    late = pd.to_datetime(frame["event_time"]) >= pd.Timestamp("2024-02-02", tz="UTC")
    it.write(frame.assign(outcome=np.where(late, frame["outcome"], "No")), "reference")
    it.init()
    path = door.base / "monitors" / "m.yaml"
    _check(load_monitor(path), door.settings)
    path.write_text(path.read_text().replace("reference:\n", "reference:\n  to: 2024-02-02\n"))
    with pytest.raises(UserError, match="of the reference is 'No', never 'Yes'"):
        _check(load_monitor(path), door.settings)


def test_a_rare_positive_class_is_found_beyond_the_sample(door: FrontDoor, monkeypatch: pytest.MonkeyPatch) -> None:
    from monitoring_pipeline.lake import inspection

    it = case(door.base, "parquet", "Yes", "No", with_prediction=False)
    for name in ("reference", "labels"):
        frame = pd.read_parquet(it.path(name))
        it.write(frame.assign(outcome=["Yes" if i == 500 else "No" for i in range(len(frame))]), name)
    monitor = it.init()
    monkeypatch.setattr(inspection, "SAMPLE_ROWS", 20)
    _check(monitor, door.settings)


def test_the_first_labels_may_all_be_negative(door: FrontDoor) -> None:
    it = case(door.base, "csv", "Yes", "No")
    labels = pd.read_csv(it.path("labels"))
    monitor = it.init()
    it.write(labels.assign(outcome="No").head(20), "labels")
    assert it.validate().exit_code == 0
    _check(monitor, door.settings)
    it.write(labels.assign(outcome="0").head(20), "labels")
    with pytest.raises(UserError, match="of the ground truth is '0', never 'Yes'"):
        _check(monitor, door.settings)


def test_one_class_only(door: FrontDoor) -> None:
    it = case(door.base, "csv", "No", "No", with_prediction=False)
    monitor = it.init()
    assert monitor.schema_.positive_class == "Yes"  # the other class, in the same spelling
    with pytest.raises(UserError, match="of the reference is 'No', never 'Yes'"):
        _check(monitor, door.settings)


def test_a_positive_class_in_two_spellings_is_a_finding(door: FrontDoor) -> None:
    spellings = iter(["Yes", "yes"] * 10_000)
    it = case(door.base, "csv", lambda: next(spellings), "No")
    monitor = it.init()
    assert monitor.task == "binary" and "write them alike" in (door.base / "monitors" / "m.yaml").read_text()
    with pytest.raises(UserError, match="write the positive class alike everywhere"):
        _check(monitor, door.settings)


def test_a_prediction_in_other_words_is_left_out_beside_a_score(door: FrontDoor) -> None:
    it = case(door.base, "csv", "Yes", "No")
    for name in ("log", "reference"):
        frame = pd.read_csv(it.path(name))
        it.write(frame.assign(prediction=(frame["prediction"] == "Yes").astype(int)), name)
    monitor = it.init()
    assert monitor.schema_.prediction is None and monitor.schema_.score == "score"
    assert (
        "#   prediction: says '0', '1' where the outcome 'outcome' says"
        in (door.base / "monitors" / "m.yaml").read_text()
    )
    assert it.validate().exit_code == 0
    path = door.base / "monitors" / "m.yaml"
    path.write_text(path.read_text().replace("  score: score", "  prediction: prediction\n  score: score"))
    with pytest.raises(UserError, match="'0', '1' are predicted in the reference, and none of them is ever"):
        _check(load_monitor(path), door.settings)


def test_what_else_stops_a_run(door: FrontDoor) -> None:
    _it, monitor = ready(door.base, 2)
    _check(monitor, door.settings)
    schema = monitor.schema_
    wrong = {
        "schema.numerical: the prediction log has no column 'nope'": {
            "schema_": schema.model_copy(update={"numerical": ("x", "nope")})
        },
        "segments: the prediction log has no column 'nowhere'": {"segments": ("nowhere",)},
        "no file matches none": {"predictions": monitor.predictions.model_copy(update={"path": "none/*.parquet"})},
        "retrain.trainer: 'no.such:thing'": {
            "retrain": monitor.retrain.model_copy(update={"trainer": "no.such:thing"})
        },
        "ground_truth.outcome: the ground truth has no column 'nay'": {
            "ground_truth": monitor.ground_truth.model_copy(update={"outcome": "nay"})
        },
    }
    for said, update in wrong.items():
        with pytest.raises(UserError) as error:
            _check(monitor.model_copy(update=update), door.settings)
        assert said in str(error.value)
    texts = schema.model_copy(update={"numerical": ("x", "amount", "channel"), "categorical": ("region",)})
    with pytest.raises(UserError, match="values of 'channel' in the prediction log are not numbers"):
        _check(monitor.model_copy(update={"schema_": texts}), door.settings)


def test_a_few_bad_rows_and_a_damaged_file_stop_nothing(door: FrontDoor) -> None:
    it, monitor = ready(door.base, 3)
    rows = it.rows(1)
    rows["id"] = rows["id"].where(rows.index > 2)
    it.write_log(rows.assign(score=np.where(rows.index < 3, 7.0, rows["score"])), "2024-03-02")
    it.log_path(2).write_bytes(b"PAR1")
    _check(monitor, door.settings)


def test_labels_that_are_still_to_come_stop_nothing(door: FrontDoor) -> None:
    _it, monitor = ready(door.base, 1, labelled=False)
    assert monitor.ground_truth is not None
    with pytest.raises(UserError, match=r"no file matches \.\./truth"):
        _check(monitor, door.settings)  # a directory that is not there is a slip
    (door.base / "truth").mkdir()
    _check(monitor, door.settings)
    (door.base / "truth" / "a.parquet").write_bytes(b"PAR1")  # its own intake says so
    _check(monitor, door.settings)
    truth = monitor.ground_truth.model_copy(update={"path": "${NO_SUCH_VARIABLE}/*.parquet"})
    with pytest.raises(UserError, match="NO_SUCH_VARIABLE is not set"):
        _check(monitor.model_copy(update={"ground_truth": truth}), door.settings)


@pytest.mark.slow
def test_the_commands_one_after_the_other(shell: Shell, tmp_path: Path) -> None:
    it = case(tmp_path, "csv", "Yes", "No")
    sources = [f"--{name}={it.path(file)}" for name, file in SOURCES.items()]
    assert shell("init", "m", *sources).returncode == 0
    assert shell("validate").returncode == 0
    path = shell.monitors / "m.yaml"
    good = path.read_text()
    path.write_text(good.replace('positive_class: "Yes"', "positive_class: 1"))
    checked, ran = shell("validate"), shell("run", "m")
    assert (checked.returncode, ran.returncode) == (1, 1)
    line = next(line for line in checked.stderr.splitlines() if "of the reference" in line)
    assert "never '1'" in line and line in ran.stderr
    path.write_text(good)
    ran = shell("run", "m")
    assert ran.returncode == 0, ran.stderr
    accuracy = shell.query(
        "select value from monitoring.performance_current"
        " where metric = 'accuracy' and segment = '*' and kind = 'realized' order by window_start"
    )
    assert accuracy["value"].iat[0] == pytest.approx((it.truth == it.said)[:A_DAY].mean())


def _line(path: Path, key: str) -> int:
    return next(i for i, line in enumerate(path.read_text().splitlines(), start=1) if line.strip().startswith(key))
