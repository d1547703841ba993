"""What a declaration says when it is wrong: the exact words, the exact line."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from monitoring_pipeline.errors import DeclarationError
from monitoring_pipeline.monitors.loading import (
    Finding,
    check_files,
    line_of,
    load_monitor,
    load_monitors,
    monitor_files,
)

GOOD = """\
name: churn
task: binary
schema:
  prediction_id: id
  event_time: at
  score: score
  numerical: [age, balance]
  categorical:
    - country
    - plan
predictions:
  path: logs/*.parquet
reference:
  path: reference.parquet
start: 2024-01-01
"""


@pytest.fixture
def write(tmp_path: Path):
    def _write(text: str, name: str = "m.yaml") -> Path:
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return _write


def findings_of(path: Path) -> list[str]:
    return [f"{finding.line}: {finding.field}: {finding.message}" for finding in check_files([path])]


def test_a_good_file_loads_with_its_directory(write) -> None:
    path = write(GOOD)
    monitor = load_monitor(path)
    assert monitor.name == "churn"
    assert monitor.start == date(2024, 1, 1)
    assert monitor.base_dir == path.parent
    assert monitor.labels.max_delay == timedelta(days=7)
    assert check_files([path]) == []


CASES = {
    "unknown key near a known one": (
        GOOD.replace("  numerical:", "  numericl:"),
        ["7: schema.numericl: unknown key; did you mean `numerical`?"],
    ),
    "unknown key far from all": (
        GOOD + "owner:\n  zzz: 1\n",
        ["17: owner.zzz: unknown key; known here: team, email"],
    ),
    "unknown key at the top": (GOOD + "tresholds: {}\n", ["16: tresholds: unknown key; did you mean `thresholds`?"]),
    "wrong choice": (
        GOOD.replace("task: binary", "task: clasification"),
        ["2: task: 'clasification' is not a choice; write one of: binary, multiclass, regression"],
    ),
    "wrong choice in a list": (
        GOOD + "baselines: [training, last]\n",
        [
            "16: baselines[1]: 'last' is not a choice; write one of: training, previous, seasonal; or must be"
            " a mapping of keys, not 'last'"
        ],
    ),
    "missing key at the top": (
        GOOD.replace("start: 2024-01-01\n", ""),
        ["1: start: missing; add `start:` at the top level (first day that is monitored)"],
    ),
    "missing key below another": (
        GOOD.replace("  event_time: at\n", ""),
        [
            "3: schema.event_time: missing; add `event_time:` under `schema`"
            " (column: when the prediction was made; it decides the window)"
        ],
    ),
    "empty mapping": (
        GOOD + "labels:\n",
        ["16: labels: is empty; known here: coverage, max_delay"],
    ),
    "text instead of a mapping": (
        GOOD.replace("predictions:\n  path: logs/*.parquet", "predictions: logs/*.parquet"),
        [
            "11: predictions: must be a mapping of keys, not 'logs/*.parquet'; known here: path, format, immutable,"
            " url, table, updated_at, delimiter"
        ],
    ),
    "neither files nor SQL": (
        GOOD.replace("  path: logs/*.parquet", "  format: csv"),
        ["11: predictions: give either `path` (files) or `url` and `table` (SQL), not both and not neither"],
    ),
    "SQL without a table": (
        GOOD.replace("  path: logs/*.parquet", "  url: sqlite:///x.db"),
        ["11: predictions: a SQL source needs `table`"],
    ),
    "column declared twice": (
        GOOD.replace("    - plan", "    - age"),
        ["10: schema.categorical: column 'age' is declared twice; give it one type"],
    ),
    "the id as a feature": (
        GOOD.replace("    - plan", "    - id"),
        ["10: schema.categorical: column 'id' is the id or the event time and cannot be a feature too"],
    ),
    "the score as a feature": (
        GOOD.replace("    - plan", "    - score"),
        ["10: schema.categorical: column 'score' is the output or the version and cannot be a feature too"],
    ),
    "the name of the whole window": (
        GOOD.replace("    - plan", "    - '*'"),
        ["10: schema.categorical: column '*': in the results `*` is the window as a whole; rename the column"],
    ),
    "a number for a column": (
        GOOD.replace("    - plan", "    - 7"),
        ['10: schema.categorical[1]: must be text; write "7" in quotes'],
    ),
    "a number among paths": (
        GOOD.replace("  path: logs/*.parquet", "  path: [a.csv, 3]"),
        ['12: predictions.path[1]: must be text; write "3" in quotes'],
    ),
    "neither score nor prediction": (
        GOOD.replace("  score: score\n", ""),
        ["3: schema.score: a binary monitor needs `score`, `prediction` or both"],
    ),
    "regression without a prediction": (
        GOOD.replace("  score: score\n", "").replace("binary", "regression"),
        ["3: schema.prediction: a regression monitor needs the column of the predicted value"],
    ),
    "a score for a regression": (
        GOOD.replace("score: score\n", "score: score\n  prediction: p\n").replace("binary", "regression"),
        ["6: schema.score: only a binary monitor has one score; this one is regression"],
    ),
    "threshold of an unknown column": (
        GOOD + "thresholds:\n  columns:\n    salary: {missing_share: 0.1}\n",
        ["18: thresholds.columns: 'salary' is not a declared column"],
    ),
    "unknown drift method": (
        GOOD + "thresholds:\n  drift: {psy: 0.2}\n",
        [
            "17: thresholds.drift: unknown drift method 'psy'; one of psi, jensen_shannon, kl_divergence, hellinger,"
            " total_variation, chi_square, kolmogorov_smirnov, wasserstein, missing_share_change"
        ],
    ),
    "share above one": (
        GOOD + "labels: {coverage: 95}\n",
        ["16: labels.coverage: must be at most 1, not 95"],
    ),
    "duration without a unit": (
        GOOD + "labels: {max_delay: 7}\n",
        [
            "16: labels.max_delay: '7' is not a duration; write a number and a unit (w, d, h, m, s), such as 7d, 6h or"
            " 1d 12h"
        ],
    ),
    "not a number": (
        GOOD + "bins: many\n",
        ["16: bins: must be a whole number, not 'many'"],
    ),
    "too few bins": (GOOD + "bins: 1\n", ["16: bins: must be at least 2, not 1"]),
    "list too short": (
        GOOD + "thresholds: {volume_ratio: [0.5]}\n",
        ["16: thresholds.volume_ratio[1]: the list is too short; write one item more"],
    ),
    "not a list": (
        GOOD.replace("numerical: [age, balance]", "numerical: age"),
        ["7: schema.numerical: must be a list, such as [a, b]"],
    ),
    "not a day": (
        GOOD.replace("2024-01-01", "yesterday"),
        ["15: start: 'yesterday' is not a day; write one such as 2013-04-01"],
    ),
    "end before start": (
        GOOD + "end: 2023-01-01\n",
        ["16: end: 2023-01-01 is not after start (2024-01-01); `end` is the day after the last one"],
    ),
    "reference bounds in disorder": (
        GOOD.replace("  path: reference.parquet", "  path: r.parquet\n  from: 2024-02-01\n  to: 2024-01-01"),
        ["13: reference: `to` must lie after `from`; rows with from <= event time < to are kept"],
    ),
    "unknown time zone": (
        GOOD.replace("  score: score", "  score: score\n  timezone: Europe/Berlim"),
        ["7: schema.timezone: 'Europe/Berlim' is not a time zone; did you mean Europe/Berlin?"],
    ),
    "not true or false": (
        GOOD.replace("  path: logs/*.parquet", "  path: x\n  immutable: perhaps"),
        ["13: predictions.immutable: must be true or false, not 'perhaps'"],
    ),
    "a name that is none": (
        GOOD.replace("name: churn", "name: 1-churn"),
        [
            "1: name: '1-churn' is not a name; write a letter, then letters, digits and _ (63 at most): it names assets"
            " and rows"
        ],
    ),
    "a schedule that never comes": (
        GOOD + "retrain: {when: {schedule: '0 3 31 2 *'}}\n",
        [
            "16: retrain.when.schedule: '0 3 31 2 *' names a day that never comes; write e.g. `0 3 1 * *` (the 1st,"
            " 03:00 UTC)"
        ],
    ),
    "retraining without a trainer": (
        GOOD + "retrain: {enabled: true}\n",
        ["16: retrain.trainer: retraining is enabled and has no trainer; write `module:function`"],
    ),
    "groups of a number, by a metric of numbers": (
        GOOD + "retrain: {promote: {fairness: {columns: [country, age], metric: mean_error, margin: 0.1}}}\n",
        [
            "16: retrain.promote.fairness.columns: 'age' makes no groups; name a categorical or boolean column, or"
            " declare it in `segments`",
            "16: retrain.promote.fairness.metric: mean_error is not of a binary model; write selection_rate or"
            " true_positive_rate",
        ],
    ),
    "a hidden key": (
        GOOD + "base_dir: /tmp\n",
        ["16: base_dir: not a key to write; paths are relative to the file"],
    ),
    "broken YAML": (
        GOOD.replace("  path: logs/*.parquet", "  path: [a, b"),
        ["13: yaml: expected ',' or ']', but got ':'; check indentation, colons and quotes"],
    ),
    "the same key twice": (
        GOOD + "name: other\n",
        [
            '16: yaml: found duplicate key "name" with value "other" (original value: "churn");'
            " check indentation, colons and quotes"
        ],
    ),
    "empty file": ("", ["1: file: is empty; `monitoring-pipeline init` drafts a monitor from data"]),
    "a list": (
        "- a\n",
        ["1: file: must be a mapping of keys; `monitoring-pipeline init` drafts a monitor from data"],
    ),
}


@pytest.mark.parametrize(("text", "expected"), CASES.values(), ids=CASES.keys())
def test_what_is_wrong_is_said_with_line_and_remedy(write, text: str, expected: list[str]) -> None:
    assert findings_of(write(text)) == expected


def test_all_findings_at_once_those_across_keys_too(write) -> None:
    text = GOOD.replace("task: binary", "task: binary\nwindow: week") + "bins: 1\nsegments: [region]\nowner: {tem: x}\n"
    assert findings_of(write(text)) == [
        "3: window: 'week' is not a choice; write one of: hour, day",
        "17: bins: must be at least 2, not 1",
        "19: owner.tem: unknown key; did you mean `team`?",
    ]


def test_several_mistakes_of_one_section_are_told_together(write) -> None:
    text = GOOD.replace("    - country\n    - plan", "    - id\n    - age\n    - '*'")
    assert [line.split(":")[0] for line in findings_of(write(text))] == ["9", "10", "11"]


def test_the_error_names_the_file_once_a_line(write) -> None:
    path = write(GOOD + "bins: 1\nwindow: week\n")
    with pytest.raises(DeclarationError) as error:
        load_monitor(path)
    assert str(error.value).splitlines() == [
        f"{path}:16: bins: must be at least 2, not 1",
        f"{path}:17: window: 'week' is not a choice; write one of: hour, day",
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("7d", timedelta(days=7)),
        ("6h", timedelta(hours=6)),
        ("30m", timedelta(minutes=30)),
        ("2w", timedelta(weeks=2)),
        ("90s", timedelta(seconds=90)),
        ("1d 12h", timedelta(hours=36)),
        ("0.5d", timedelta(hours=12)),
        ("P7D", timedelta(days=7)),
        ("PT6H", timedelta(hours=6)),
    ],
)
def test_durations(write, text: str, expected: timedelta) -> None:
    assert load_monitor(write(GOOD + f"labels: {{max_delay: {text}}}\n")).labels.max_delay == expected


@pytest.mark.parametrize("text", ["7 days", "P7", "-1d", "-P1D", "", "true", "d"])
def test_what_is_no_duration(write, text: str) -> None:
    (finding,) = check_files([write(GOOD + f"labels: {{max_delay: {text!r}}}\n")])
    assert finding.field == "labels.max_delay"


@pytest.mark.parametrize(
    ("written", "label"), [("1", "1"), ("1.0", "1"), ("'1'", "1"), ("true", "true"), ("late", "late"), ("0.5", "0.5")]
)
def test_class_labels_are_text(write, written: str, label: str) -> None:
    monitor = load_monitor(write(GOOD.replace("  score: score", f"  score: score\n  positive_class: {written}")))
    assert monitor.schema_.positive_class == label


def test_reference_bounds_are_utc(write) -> None:
    text = GOOD.replace("  path: reference.parquet", "  path: r\n  from: 2024-01-01\n  to: 2024-01-08T06:00:00+02:00")
    reference = load_monitor(write(text)).reference
    assert (reference.from_, reference.to) == (datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 1, 8, 4, tzinfo=UTC))


def test_the_declaration_survives_its_canonical_form(write) -> None:
    monitor = load_monitor(write(GOOD + "labels: {max_delay: 36h}\n"))
    again = type(monitor).model_validate(monitor.canonical())
    assert again.config_version == monitor.config_version


def test_where_a_file_lies_is_no_part_of_its_version(write, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    here, there = load_monitor(write(GOOD)), load_monitor(write(GOOD, "elsewhere/m.yaml"))
    assert here.config_version == there.config_version
    assert here.config_version != load_monitor(write(GOOD + "bins: 10\n", "n.yaml")).config_version


def test_a_directory_is_loaded_by_name_and_an_empty_one_is_empty(write, tmp_path: Path) -> None:
    assert load_monitors(tmp_path) == []
    write(GOOD.replace("churn", "zebra"), "a.yaml")
    write(GOOD.replace("churn", "ant"), "b.yml")
    write("not a monitor", "notes.txt")
    assert [monitor.name for monitor in load_monitors(tmp_path)] == ["ant", "zebra"]
    assert [path.name for path in monitor_files(tmp_path)] == ["a.yaml", "b.yml"]


def test_two_monitors_of_one_name_are_an_error(write, tmp_path: Path) -> None:
    first, second = write(GOOD, "a.yaml"), write("# a comment\n" + GOOD, "b.yaml")
    with pytest.raises(DeclarationError) as error:
        load_monitors(tmp_path)
    assert str(error.value) == f"{second}:2: name: 'churn' is declared in {first} too; give each monitor its own name"


def test_a_directory_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DeclarationError, match="no such directory of monitors; name it by --monitors or MONITORS_DIR"):
        load_monitors(tmp_path / "none")


def test_a_file_that_is_not_there_or_no_text(tmp_path: Path) -> None:
    binary = tmp_path / "b.yaml"
    binary.write_bytes(b"name: a\ntask: \xff\xfe\n")
    absent = tmp_path / "none.yaml"
    assert check_files([absent, binary]) == [
        Finding(str(absent), 1, "file", "cannot be read: No such file or directory"),
        Finding(str(binary), 2, "file", "is not UTF-8 text; save it as UTF-8"),
    ]


def test_a_column_name_from_hell_is_only_a_name(write) -> None:
    path = write(GOOD.replace("    - plan", '    - "\\"; drop table x; --"'))
    assert load_monitor(path).schema_.categorical == ("country", '"; drop table x; --')


def test_lines_of_what_a_declaration_points_at(write) -> None:
    path = write(GOOD)
    assert line_of(path, ("schema", "categorical", "plan")) == 10
    assert line_of(path, ("schema", "categorical", 0)) == 9
    assert line_of(path, ("schema", "prediction")) == 3
    assert line_of(path, ("labels", "coverage")) == 1
