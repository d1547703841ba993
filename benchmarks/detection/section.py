"""The harness's part of benchmarks/README.md, between two marks, so that other benchmarks leave it in place."""

from __future__ import annotations

from pathlib import Path

README = Path(__file__).parents[1] / "README.md"
START, STOP = "<!-- detection: tables -->", "<!-- detection: end -->"


def write(lines: list[str]) -> None:
    """Replaces the tables; raises ValueError where the marks are missing."""
    before, rest = README.read_text().split(START)
    _, after = rest.split(STOP)
    README.write_text("\n".join((before + START, *lines, STOP)) + after)


def kept(page: str) -> str:
    """The section of a page, heading included; empty where it has none."""
    start = page.find("## False alarms and power")
    return page[start : page.find(STOP) + len(STOP) + 1] if start >= 0 else ""
