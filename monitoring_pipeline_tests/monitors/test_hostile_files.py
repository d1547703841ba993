"""Files that stand for more than they hold, and numbers that no threshold can be: an answer soon, in little memory."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from monitoring_pipeline.monitors import loading
from monitoring_pipeline.monitors.loading import check_files

GOOD = """name: toy
task: binary
schema: {prediction_id: id, event_time: at, score: score, numerical: [a]}
predictions: {path: x.parquet}
reference: {path: r.parquet, outcome: y}
start: 2024-03-01
"""
TENS = [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 10)]
LAUGHS = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(TENS)
MERGES = "m0: &m0 {a: 1}\n" + "".join(f"m{i}: &m{i} {{<<: [{', '.join([f'*m{i - 1}'] * 10)}]}}\n" for i in range(1, 10))
MANY = ", ".join(f"c{i}" for i in range(50_000))
HOSTILE = {
    "a billion values in ten lines": (LAUGHS + GOOD, "stands for more than 50,000 values"),
    "where they would be used": (
        GOOD.replace("[a]", "&a0 [x, x, x, x, x, x, x, x, x, x]") + "".join(TENS) + "segments: *a9\n",
        "stands for more than 50,000 values",
    ),
    "a billion keys merged": (MERGES + GOOD, "stands for more than 50,000 values"),
    "a list within itself": (GOOD + "segments: &a [*a]\n", "is nested within itself"),
    "brackets": (GOOD + f"segments: {'[' * 20_000}{']' * 20_000}\n", "more than 50 levels deep"),
    "too many names": (GOOD.replace("[a]", f"[{MANY}]"), "more than 20,000 keys and values"),
    "a comment of 30 MB": (f"#{'x' * 30_000_000}\n{GOOD}", "more than 500,000 bytes"),
    "every column given twice": (
        GOOD.replace("[a]", f"[{', '.join(f'c{i % 2000}' for i in range(4000))}]"),
        "'c1999' is declared twice",
    ),
    "every column a number": (
        GOOD.replace("[a]", f"[{', '.join(map(str, range(4000)))}]"),
        'schema.numerical[3999]: must be text; write "3999" in quotes',
    ),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_file_is_answered_soon(kind: str, tmp_path: Path) -> None:
    text, expected = HOSTILE[kind]
    path = tmp_path / "toy.yaml"
    path.write_text(text)
    began = time.process_time()
    said = "\n".join(map(str, check_files([path])))
    assert time.process_time() - began < 8
    assert expected in said


@pytest.mark.parametrize(
    "threshold",
    ["{drift: {psi: .inf}}", "{drift: {psi: inf}}", "{drift: {psi: 1e999}}", "{drift: {psi: .nan}}",
     "{drift: {psi: 'nan'}}", "{volume_ratio: [0.5, .inf]}", "{columns: {a: {drift: {psi: -.Inf}}}}",
     "{performance: {roc_auc: {min: .NaN}}}", "{performance: {roc_auc: {min: -Infinity}}}"],
)  # fmt: skip
def test_a_threshold_is_a_finite_number(threshold: str, tmp_path: Path) -> None:
    path = tmp_path / "toy.yaml"
    path.write_text(f"{GOOD}thresholds: {threshold}\n")
    found = check_files([path])
    assert len(found) == 1 and found[0].line == 7, found
    assert "is no finite number; write a number that is never reached, such as 1e9" in found[0].message


def test_no_section_takes_what_is_not_finite(tmp_path: Path) -> None:
    for text in ("alarms: {false_incidents_per_month: .inf}", "retrain: {enabled: true, max_seconds: .nan}"):
        path = tmp_path / "toy.yaml"
        path.write_text(f"{GOOD}{text}\n")
        assert any("is no finite number" in str(one) for one in check_files([path])), text


def test_aliases_and_merges_that_stay_small_are_read(tmp_path: Path) -> None:
    path = tmp_path / "toy.yaml"
    path.write_text(
        GOOD.replace("[a]", "&features [a, b]") + "segments: *features\n"
        "thresholds: {columns: {a: &one {missing_share: 0.1}, b: {<<: *one, unseen_share: 0.2}}}\n"
    )
    assert check_files([path]) == []


def test_thousands_of_findings_read_the_file_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    compose = loading.compose
    monkeypatch.setattr(loading, "compose", lambda text: (read.append(text), compose(text))[1])
    path = tmp_path / "toy.yaml"
    path.write_text(GOOD.replace("[a]", f"[{', '.join(f'n{i}' for i in range(300))}]"))
    lines = [loading.line_of(path, ("schema", "numerical", f"n{i}")) for i in range(300)]
    assert set(lines) == {3} and len(read) == 1
