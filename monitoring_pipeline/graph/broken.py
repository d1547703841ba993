"""A monitor whose declaration is wrong still has a place in the graph: it says what is wrong and fails when run."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

import dagster as dg

from monitoring_pipeline.errors import DeclarationError, storable


def broken_monitor(path: Path, error: DeclarationError) -> dg.Definitions:
    """One asset ``<file stem>/declaration`` in the group ``broken_monitors``; the other monitors load as usual."""
    stem = re.sub(r"[^A-Za-z0-9_]", "_", path.stem)
    if f"{stem}.yaml" != path.name:  # `x.yml` beside `x.yaml`, or `a-b.yaml` beside `a_b.yaml`: a name for each
        stem += f"_{hashlib.sha256(os.fsencode(path.name)).hexdigest()[:6]}"

    @dg.asset(
        key=dg.AssetKey([stem, "declaration"]),
        group_name="broken_monitors",
        description=f"{storable(str(path))} cannot be used:\n\n```\n{error}\n```\n\n"
        "Correct it and reload the code location.",
    )
    def declaration() -> None:
        raise dg.Failure(description=str(error), allow_retries=False)

    return dg.Definitions(assets=[declaration])
