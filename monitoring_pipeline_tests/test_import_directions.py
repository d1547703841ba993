"""Imports only go down, and nothing below ``graph`` knows Dagster. Read from the source, so that lazy imports count
too.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "monitoring_pipeline"

# From the top down; rooms on one line are neighbours that do not know each other.
LAYERS: list[set[str]] = [
    {"cli"},
    {"definitions"},
    {"graph"},
    {"stages", "example"},
    {"demo"},
    {"retraining"},
    {"exporter"},
    {"engines", "collector"},
    {"serving"},
    {"prediction_log"},
    {"lake"},
    {"warehouse"},
    {"alerting"},
    {"metrics"},
    {"profiles"},
    {"monitors"},
    {"records", "measurements"},
    {"windows", "errors", "settings", "resources"},
]
LEVEL = {room: level for level, rooms in enumerate(LAYERS) for room in rooms}

ABOVE_DAGSTER = {"cli", "definitions", "graph"}


def modules() -> Iterator[Path]:
    yield from sorted(PACKAGE.rglob("*.py"))


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", list(modules()), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_only_go_down(path: Path) -> None:
    room = room_of(path)
    if room == "__init__":
        return
    assert room in LEVEL, f"the room {room!r} has no place in LAYERS"
    for name in imported(path):
        if not name.startswith("monitoring_pipeline."):
            continue
        target = name.removeprefix("monitoring_pipeline.")
        other = target.split(".")[0]
        if other == room or other not in LEVEL:
            continue
        assert LEVEL[other] > LEVEL[room], f"{room} imports {name}, which is not below it"


@pytest.mark.parametrize("path", [p for p in modules() if room_of(p) not in ABOVE_DAGSTER], ids=lambda p: p.stem)
def test_below_the_graph_nothing_knows_dagster(path: Path) -> None:
    assert not [name for name in imported(path) if name.split(".")[0].startswith("dagster")]


def test_every_package_says_what_belongs_there() -> None:
    for init in sorted(PACKAGE.rglob("__init__.py")):
        docstring = ast.get_docstring(ast.parse(init.read_text()))
        assert docstring, f"{init} has no docstring"


def loaded_by(statement: str) -> set[str]:
    code = f"import sys; {statement}; print(*sys.modules)"
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return {name.split(".")[0] for name in output.stdout.split()}


def test_serving_is_light() -> None:
    """A prediction service must not pay for the orchestrator, or for pandas."""
    assert not loaded_by("import monitoring_pipeline.serving") & {
        "dagster",
        "pandas",
        "sqlalchemy",
        "duckdb",
        "fastapi",
    }


def test_the_code_location_does_not_load_evidently() -> None:
    """Four seconds and 280 MB at every code location load."""
    assert "evidently" not in loaded_by("import monitoring_pipeline.definitions")
