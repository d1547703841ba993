"""How figures are printed: tables for people, JSON where ``--json`` asks for it."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from typing import Annotated, Any, Literal

import typer
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

WRAPPED = ("why", "file")
PIPED_WIDTH = 160

as_json: ContextVar[bool] = ContextVar("as_json", default=False)

JsonOption = Annotated[bool, typer.Option("--json", help="Print data as JSON.")]


def wants_json(local: bool) -> bool:
    """``--json`` before or after the command's name."""
    return local or as_json.get()


def print_json(value: object) -> None:
    """A value as indented JSON on standard output; what JSON does not know is written as text."""
    typer.echo(json.dumps(value, default=str, indent=2))


def print_table(title: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Rows of equal keys as a table; nothing for no rows."""
    if not rows:
        return
    table = Table(
        title=title, title_justify="left", title_style="bold", header_style="dim", box=SIMPLE, padding=(0, 1, 0, 0)
    )
    for key, value in rows[0].items():
        # Reasons and paths may wrap, within a long word too; figures and names may not.
        justify: Literal["left", "right"] = "right" if isinstance(value, int | float) else "left"
        wraps = key in WRAPPED
        table.add_column(key, justify=justify, no_wrap=not wraps, overflow="fold" if wraps else "ellipsis")
    for row in rows:
        table.add_row(*("" if v is None else f"{v:.4g}" if isinstance(v, float) else str(v) for v in row.values()))
    # What is piped into a file has no edge to wrap at.
    Console(width=None if sys.stdout.isatty() else PIPED_WIDTH).print(table)
