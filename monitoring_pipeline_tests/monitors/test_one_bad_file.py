"""One bad monitor file stops no other monitor: whatever is in it is a DeclarationError that names the file."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from monitoring_pipeline.errors import DeclarationError
from monitoring_pipeline.monitors.loading import check_files, load_monitor
from monitoring_pipeline.monitors.trainer import trainer_of
from monitoring_pipeline_tests.monitors.bad_files import GOOD, TEXTS, write_bad_files

BREAKING = st.sampled_from(
    ["[", "]", "{", "}", "&s ", "*s", "!!int ", "!!bool ", "!!float ", "!!timestamp ", "!!set ", "!!binary ", "!!omap ",
     "- ", "? ", ": ", "~", "'", '"', "|", ">", "%", "@", "\0", "\ufeff", "\u2028", "\n", "\t", "#", "<<: ", "--- ",
     "9" * 30, "0x", "1e999", ".inf", "P1D", "America", "0001-01-01T00:00:00+14:00", '"\\ud800"', "a", "2024-01-01"]
)  # fmt: skip


@pytest.mark.parametrize("name", TEXTS)
def test_each_bad_file_is_a_finding_of_that_file(name: str, tmp_path: Path) -> None:
    path = tmp_path / f"{name}.yaml"
    path.write_text(TEXTS[name], encoding="utf-8")
    with pytest.raises(DeclarationError) as caught:
        load_monitor(path)
    assert str(caught.value).startswith(f"{path}:")
    assert len(str(caught.value)) < 20_000


def test_every_bad_file_beside_a_good_one_is_found_and_the_good_one_loads(tmp_path: Path) -> None:
    bad = write_bad_files(tmp_path)
    good = tmp_path / "sound.yaml"
    good.write_text(GOOD)
    assert {finding.file for finding in check_files([*bad, good])} == {str(path) for path in bad}
    assert load_monitor(good).name == "sound"


def test_what_a_tag_cannot_hold_is_named_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "m.yaml"
    path.write_text(GOOD + "paused: !!bool xyz\n")
    (finding,) = check_files([path])
    assert str(finding) == (
        f"{path}:7: yaml: 'xyz' is not a valid value of type `bool`; correct it or write it in quotes"
    )


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(line=st.integers(0, 6), column=st.integers(0, 80), pieces=st.lists(BREAKING | st.text(max_size=8), max_size=6))
@example(line=6, column=0, pieces=["- "] * 1500)
def test_load_monitor_raises_only_declaration_errors(tmp_path: Path, line: int, column: int, pieces: list[str]) -> None:
    lines = GOOD.split("\n")
    lines[line] = lines[line][:column] + "".join(pieces) + lines[line][column:]
    path = tmp_path / "m.yaml"
    path.write_bytes("\n".join(lines).encode("utf-8", "surrogatepass"))
    try:
        assert load_monitor(path).name
    except DeclarationError as error:
        assert str(error).startswith(f"{path}:")


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=200))
def test_load_monitor_survives_any_bytes(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "m.yaml"
    path.write_bytes(content)
    with pytest.raises(DeclarationError):
        load_monitor(path)


@pytest.mark.parametrize(
    ("written", "why"),
    [
        ("no.such:function", "module 'no.such' cannot be imported"),
        ("json:no_such", "'json' has no 'no_such'"),
        ("json:__doc__", "is not a function but str"),
        ("json", "write `module:function`"),
        ("exits_at_once:train", "cannot be imported"),
    ],
)
def test_a_trainer_that_cannot_be_imported_is_refused(
    written: str, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "exits_at_once.py").write_text("raise SystemExit(3)\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(DeclarationError, match=why):
        trainer_of(written)
    assert "exits_at_once" not in sys.modules


def test_a_trainer_that_is_there_is_found() -> None:
    assert trainer_of("json:dumps").__name__ == "dumps"
