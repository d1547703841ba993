"""The SQL of a page: a file of named queries, with fragments that are written once.

``-- name: x`` begins a query; ``{{y}}`` stands for the fragment ``y`` of the same file or of ``shared.sql``, or for the
value of the variable ``y`` as a SQL text. Other comments are left out of what Grafana gets.
"""

from __future__ import annotations

import re
from pathlib import Path

HERE = Path(__file__).resolve().parents[1] / "sql"
VARIABLES = ("version", "segment", "column", "metric", "baseline", "method", "incident", "attempt", "shade")
NAME = re.compile(r"^-- name: (\w+)$", re.MULTILINE)
FRAGMENT = re.compile(r"\{\{(\w+)\}\}")


def chosen(variable: str) -> str:
    """The value of a single-valued variable as a SQL text.

    A value is inserted bare with its quotes doubled, and then ``$name(`` in it would be taken for a macro: variables
    hold ＄ for $.
    """
    return f"replace('${{{variable}}}', '＄', '$')"


class Queries:
    """The queries of ``sql/<page>.sql`` by name."""

    def __init__(self, page: str) -> None:
        self._page = page
        self._own = sections(HERE / f"{page}.sql")
        self._known = sections(HERE / "shared.sql") | self._own | {name: chosen(name) for name in VARIABLES}

    def __getitem__(self, name: str) -> str:
        """Raises KeyError naming a fragment that is not known."""
        return self._expanded(self._own[name])

    def __iter__(self):
        return iter(self._own)

    def _expanded(self, text: str) -> str:
        while FRAGMENT.search(text):
            text = FRAGMENT.sub(self._fragment, text)
        return text

    def _fragment(self, match: re.Match[str]) -> str:
        if match[1] not in self._known:
            raise KeyError(f"sql/{self._page}.sql: unknown fragment {match[0]}")
        return self._known[match[1]]


def sections(path: Path) -> dict[str, str]:
    """Queries of a file by name, without their comments."""
    _, *parts = NAME.split(path.read_text(encoding="utf-8"))
    return {name: _without_comments(body) for name, body in zip(parts[::2], parts[1::2], strict=True)}


def _without_comments(body: str) -> str:
    lines = [line for line in body.splitlines() if not line.lstrip().startswith("--")]
    return "\n".join(lines).strip()
