"""Getting the demo ready, once: a second time finds it done. The work is ``building``'s, in a process of its own."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import subprocess
import sys
from dataclasses import dataclass, replace
from datetime import date, datetime
from pathlib import Path
from typing import Any

from monitoring_pipeline.demo import source
from monitoring_pipeline.demo.model_card import ModelCard
from monitoring_pipeline.errors import UserError

FAST_END = date(2013, 6, 1)
FULL_END = date(2014, 1, 1)
MARKER = "prepared.json"
_DECIDES = ("building.py", "flights.py", "model_card.py", "models.py", "replay.py")
_LIBRARIES = ("numpy", "pandas", "pyarrow", "scikit-learn")


@dataclass(frozen=True)
class Prepared:
    """What was prepared under ``<home>/demo``. Windows from ``start`` up to ``end`` (exclusive) have predictions."""

    content: str  # names the data, the code and the libraries it was made by
    start: date
    end: date
    cards: tuple[ModelCard, ...]
    n_predictions: int  # rows logged per monitor, retries included
    n_labels: int
    n_files: int
    seconds: float


def prepare(home: Path, fast: bool = False) -> Prepared:
    """Write the demo's files unless they are there already; in a process of its own, which gives its memory back.

    ``fast`` stops at the end of May. Its files are a prefix of the full replay's: a later full run adds to them, and a
    fast one after a full finds its windows among them. About 20 seconds and 600 MB on two cores. Raises UserError when
    the data are not installed or the disk refuses.
    """
    found = read_prepared(home, fast)
    if found is not None:
        return found
    command = [sys.executable, "-m", "monitoring_pipeline.demo.building", str(home), *(["--fast"] if fast else [])]
    # Threads of the boosting that wait without spinning: on a busy machine spinning makes it ten times slower.
    environment = {**os.environ, "OMP_WAIT_POLICY": "passive"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    found = read_prepared(home, fast)
    if done.returncode or found is None:
        raise UserError(
            f"the demo's data could not be prepared: {(done.stderr.strip() or 'no reason given').splitlines()[-1]}"
        )
    return found


def read_prepared(home: Path, fast: bool = False) -> Prepared | None:
    """What lies there, if it is whole, made by this code from these data, and long enough."""
    try:
        value = json.loads((home / "demo" / MARKER).read_text())
    except (OSError, json.JSONDecodeError):
        return None
    if value.get("content") != content_version():
        return None
    prepared = _from_json(value)
    long_enough = fast or prepared.end == FULL_END
    whole = sum(1 for _ in (home / "demo" / "data").rglob("*.parquet")) == prepared.n_files
    artifacts = all(Path(card.artifact_uri).is_file() for card in prepared.cards)
    if not (long_enough and whole and artifacts):
        return None
    return replace(prepared, end=min(prepared.end, FAST_END)) if fast else prepared


def content_version() -> str:
    """Names the data, the code that decides the bytes and the libraries, so that a change of any prepares anew."""
    data = source.source_dir()
    code = [Path(__file__).with_name(name) for name in _DECIDES]
    versions = " ".join(f"{name}={importlib.metadata.version(name)}" for name in _LIBRARIES)
    files = source.content_id([*(data / name for name in source.FILES), *code])
    return hashlib.sha256(f"{files} {versions}".encode()).hexdigest()[:16]


def _from_json(value: dict[str, Any]) -> Prepared:
    cards = [_card_from_json(card) for card in value["cards"]]
    days = {key: date.fromisoformat(value[key]) for key in ("start", "end")}
    return Prepared(**{**value, **days, "cards": tuple(cards)})


def _card_from_json(value: dict[str, Any]) -> ModelCard:
    times = {key: datetime.fromisoformat(value[key]) for key in ("trained_at", "train_start", "train_end")}
    return ModelCard(**{**value, **times})
