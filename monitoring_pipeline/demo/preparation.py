"""Getting the demo ready: features, models, logs and label feeds on disk. Done once; a second time finds it done."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

from monitoring_pipeline.demo import flights, models, replay
from monitoring_pipeline.demo.models import ModelCard
from monitoring_pipeline.errors import UserError

FAST_END = date(2013, 6, 1)
FULL_END = date(2014, 1, 1)
_MARKER = "prepared.json"
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

    ``fast`` stops at the end of May. Files are a prefix of the full replay's: a later full run adds to them. About 25
    seconds and 800 MB on two cores. Raises UserError when the data are not installed or the disk refuses.
    """
    found = read_prepared(home, fast)
    if found is not None:
        return found
    command = [sys.executable, "-m", "monitoring_pipeline.demo.preparation", str(home), *(["--fast"] if fast else [])]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = read_prepared(home, fast)
    if done.returncode or found is None:
        raise UserError(
            f"the demo's data could not be prepared: {(done.stderr.strip() or 'no reason given').splitlines()[-1]}"
        )
    return found


def read_prepared(home: Path, fast: bool = False) -> Prepared | None:
    """What lies there, if it is whole, made by this code from these data, and long enough."""
    try:
        value = json.loads((home / "demo" / _MARKER).read_text())
    except (OSError, json.JSONDecodeError):
        return None
    if value.get("content") != _content():
        return None
    prepared = _from_json(value)
    long_enough = fast or prepared.end == FULL_END
    whole = sum(1 for _ in (home / "demo" / "data").rglob("*.parquet")) == prepared.n_files
    artifacts = all(Path(card.artifact_uri).is_file() for card in prepared.cards)
    return prepared if long_enough and whole and artifacts else None


def build(home: Path, fast: bool = False) -> Prepared:
    """Load, fit, replay and write in this process. Bytes depend on the data, the code and the libraries alone."""
    began = time.monotonic()
    root = (home / "demo").resolve()
    (root / _MARKER).unlink(missing_ok=True)
    frame = flights.load_flights().frame
    fitted, reference = models.training_rows(frame), models.reference_rows(frame)
    end = FAST_END if fast else FULL_END
    replayed = frame[(frame["event_time"] >= models.TRAIN_END) & (frame["event_time"].dt.date < end)]
    del frame
    until = FAST_END if fast else None  # what reaches its file later is not there yet
    written: set[Path] = set()
    cards = []
    for name in models.NAMES:
        model = models.fit(name, fitted)
        artifact = root / "models" / f"{name}.joblib"
        cards.append(models.card(model, artifact, models.save(model, artifact), fitted, reference))
        directory = root / "data" / name
        predictions, n_predictions = replay.write_predictions(model, replayed, until, directory)
        labels, n_labels = replay.write_ground_truth(model, replayed, until, directory)
        written |= predictions | labels | replay.write_reference(model, reference, directory)
    _remove_others(root / "data", written)
    seconds = round(time.monotonic() - began, 1)
    start = models.TRAIN_END.date()
    prepared = Prepared(_content(), start, end, tuple(cards), n_predictions, n_labels, len(written), seconds)
    _write_marker(prepared, root)
    return prepared


def _remove_others(data: Path, written: set[Path]) -> None:
    """Files of an earlier version of the demo."""
    for path in data.rglob("*"):
        if path.is_file() and path not in written:
            path.unlink()


def _content() -> str:
    """Names the data, this package's code and the libraries, so that a change of any prepares anew."""
    data = flights.source_dir()
    code = sorted(Path(__file__).parent.glob("*.py"))
    versions = " ".join(f"{name}={importlib.metadata.version(name)}" for name in _LIBRARIES)
    files = flights.content_id([*(data / name for name in flights.FILES), *code])
    return hashlib.sha256(f"{files} {versions}".encode()).hexdigest()[:16]


def _write_marker(prepared: Prepared, root: Path) -> None:
    temporary = root / f"{_MARKER}.tmp"
    temporary.write_text(json.dumps(asdict(prepared), default=str, indent=1))
    temporary.replace(root / _MARKER)


def _from_json(value: dict[str, Any]) -> Prepared:
    times = ("trained_at", "train_start", "train_end")
    cards = (
        ModelCard(**{k: datetime.fromisoformat(v) if k in times else v for k, v in card.items()})
        for card in value["cards"]
    )
    days = {key: date.fromisoformat(value[key]) for key in ("start", "end")}
    return Prepared(**{**value, **days, "cards": tuple(cards)})


if __name__ == "__main__":
    build(Path(sys.argv[1]), fast="--fast" in sys.argv[2:])
