"""The page of all metrics with their formulas, written from the docstrings of this package.

``python -m monitoring_pipeline.metrics.reference_page > docs/metric-reference.md`` writes it anew.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

_HERE = Path(__file__).parent
_SECTIONS = (
    ("drift", "Drift"),
    ("quality", "Data quality"),
    ("performance", "Performance"),
    ("estimation", "Performance without labels"),
    ("fairness", "Fairness"),
)
_INTRODUCTION = """# Metrics

How each metric is computed, from the docstrings of the code that computes it. `p` and `q` are shares by bin in the
reference and in the window, `n` and `m` the rows behind them. What counts as too much is not decided here but in
[verdicts](verdicts.md).
`monitoring.metric_catalog` lists names, units and ranges in SQL."""
_LEFT_OUT = {
    "__init__.py",
    "measure.py",
    "comparison.py",
    "facts.py",
    "rows.py",
    "headline.py",
    "direction.py",
    "estimates.py",
}


def page() -> str:
    """The page as Markdown."""
    parts = [_INTRODUCTION]
    for room, title in _SECTIONS:
        parts.append(f"## {title}\n\n{_about(room)}")
        parts += [_module(path) for path in sorted((_HERE / room).glob("*.py")) if path.name not in _LEFT_OUT]
    return "\n\n".join(parts) + "\n"


def _about(room: str) -> str:
    """What the package says first of itself; what belongs there is for those who change it."""
    tree = ast.parse((_HERE / room / "__init__.py").read_text(encoding="utf-8"))
    return _paragraph((ast.get_docstring(tree) or "").split("\n\n")[0])


def _module(path: Path) -> str:
    """A section for the module: what it is about, then each public function."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    summary, _, more = (ast.get_docstring(tree) or "").partition("\n\n")
    title = path.stem.replace("_", " ").capitalize()
    parts = [f"### {title}\n\n{_paragraphs(summary)}", *([_paragraphs(more)] if more else [])]
    parts += [f"**`{name}`** {_paragraphs(text)}" for name, text in _functions(tree)]
    return "\n\n".join(parts)


def _functions(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Name and docstring of the functions that others may call."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_") and (text := ast.get_docstring(node)):
            yield node.name, text


def _paragraphs(text: str) -> str:
    """Markdown: examples as code, signs of arithmetic as they stand."""
    return "\n\n".join(_paragraph(part) for part in text.split("\n\n"))


def _paragraph(text: str) -> str:
    if text.startswith(">>>"):
        return f"```python\n{text}\n```"
    code = re.split(r"``(.+?)``", " ".join(text.split()))
    return "".join(f"`{part}`" if i % 2 else _escaped(part) for i, part in enumerate(code))


def _escaped(text: str) -> str:
    return re.sub(r"([*|<])", r"\\\1", text)


if __name__ == "__main__":
    sys.stdout.write(page())
