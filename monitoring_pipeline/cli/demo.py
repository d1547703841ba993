"""``demo``: the flights of 2013, replayed."""

from __future__ import annotations

from typing import Annotated

import typer


def demo(
    no_ui: Annotated[bool, typer.Option("--no-ui", help="Stop after the report instead of serving Dagster.")] = False,
    fast: Annotated[bool, typer.Option("--fast", help="Two months instead of nine.")] = False,
    port: Annotated[int, typer.Option(help="Port of Dagster's web server.")] = 3000,
) -> None:
    """Real flights of 2013: builds the reference, replays the year, fills every table, prints what it found, serves Dagster."""
    raise NotImplementedError
