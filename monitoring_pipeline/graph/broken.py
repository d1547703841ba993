"""A monitor whose declaration is wrong still has a place in the graph: it says what is wrong and fails when run."""

from __future__ import annotations

import re
from pathlib import Path

import dagster as dg

from monitoring_pipeline.errors import DeclarationError


def broken_monitor(path: Path, error: DeclarationError) -> dg.Definitions:
    """One asset ``<file stem>/declaration`` in the group ``broken_monitors``; the other monitors load as usual."""
    stem = re.sub(r"\W", "_", path.stem)

    @dg.asset(
        key=dg.AssetKey([stem, "declaration"]),
        group_name="broken_monitors",
        description=f"{path} cannot be used:\n\n```\n{error}\n```\n\nMend it and reload the code location.",
    )
    def declaration() -> None:
        raise dg.Failure(description=str(error), allow_retries=False)

    return dg.Definitions(assets=[declaration])
