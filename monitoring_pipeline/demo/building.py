"""The work of the preparation: load, fit, replay and write. Run by ``preparation`` as ``python -m``."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict
from datetime import date
from pathlib import Path

import pandas as pd

from monitoring_pipeline.demo import flights, models, replay
from monitoring_pipeline.demo.model_card import ModelCard
from monitoring_pipeline.demo.preparation import FAST_END, FULL_END, MARKER, Prepared, content_version


def build(home: Path, fast: bool = False) -> Prepared:
    """Load, fit, replay and write in this process. Bytes depend on the data, the code and the libraries alone."""
    began = time.monotonic()
    root = (home / "demo").resolve()
    (root / MARKER).unlink(missing_ok=True)
    frame = flights.load_flights().frame
    fitted, reference = models.training_rows(frame), models.reference_rows(frame)
    end = FAST_END if fast else FULL_END
    replayed = frame[(frame["event_time"] >= models.TRAIN_END) & (frame["event_time"].dt.date < end)]
    del frame
    until = FAST_END if fast else None  # what reaches its file later is not there yet
    parts = [_model_and_files(name, fitted, reference, replayed, until, root) for name in models.NAMES]
    paths = {path for part in parts for files in part[1] for path in files.paths}
    _remove_others(root / "data", paths)
    prepared = Prepared(
        content=content_version(),
        start=models.TRAIN_END.date(),
        end=end,
        cards=tuple(part[0] for part in parts),
        n_predictions=parts[0][1][0].n_rows,
        n_labels=parts[0][1][1].n_rows,
        n_files=len(paths),
        seconds=round(time.monotonic() - began, 1),
    )
    _write_marker(prepared, root)
    return prepared


def _model_and_files(
    name: models.Name,
    fitted: pd.DataFrame,
    reference: pd.DataFrame,
    replayed: pd.DataFrame,
    until: date | None,
    root: Path,
) -> tuple[ModelCard, list[replay.Files]]:
    """Fit one model and write its log, its label feed, its reference; and, last, what retraining starts from."""
    model = models.fit(name, fitted)
    artifact = root / "models" / f"{name}.joblib"
    card = models.card(model, artifact, models.save(model, artifact), fitted, reference)
    directory = root / "data" / name
    history = [replay.write_history(model, fitted, directory)] if name == models.RETRAINED else []
    return card, [
        replay.write_predictions(model, replayed, until, directory),
        replay.write_ground_truth(model, replayed, until, directory),
        replay.write_reference(model, reference, directory),
        *history,
    ]


def _remove_others(data: Path, written: set[Path]) -> None:
    """Files of an earlier version of the demo."""
    for path in data.rglob("*"):
        if path.is_file() and path not in written:
            path.unlink()


def _write_marker(prepared: Prepared, root: Path) -> None:
    temporary = root / f"{MARKER}.tmp"
    temporary.write_text(json.dumps(asdict(prepared), default=str, indent=1))
    temporary.replace(root / MARKER)


if __name__ == "__main__":
    build(Path(sys.argv[1]), fast="--fast" in sys.argv[2:])
