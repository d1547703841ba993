"""A scan: which rows to read, as data. An engine renders it into whatever it reads by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from monitoring_pipeline.lake.relation import Relation
from monitoring_pipeline.monitors.declaration import Monitor
from monitoring_pipeline.records import IngestedWindow


@dataclass(frozen=True)
class Scan:
    """Rows of a monitor under its canonical columns (``lake.cleaning.canonical_columns``).

    ``windows``: predictions of these windows, from the files their intake recorded. ``label_files``: lake files whose
    labels are joined by prediction id, the latest of each id; empty: nobody is labelled yet; None: outcomes are not
    wanted. ``reference``: rows of a reference, prepared by the lake, in place of windows; the embedded engine reads
    them, whichever engine reads the windows.
    """

    monitor: Monitor
    windows: tuple[IngestedWindow, ...] = ()
    label_files: tuple[str, ...] | None = None
    reference: Relation | None = None

    @property
    def files(self) -> tuple[str, ...]:
        """Every prediction file that is read, once."""
        return tuple(dict.fromkeys(path for window in self.windows for path in window.files))


def predictions_of(monitor: Monitor, windows: Sequence[IngestedWindow]) -> Scan:
    """Predictions alone."""
    return Scan(monitor, tuple(windows))


def labelled(
    monitor: Monitor, windows: Sequence[IngestedWindow], label_files: Mapping[datetime, Sequence[str]]
) -> Scan:
    """Predictions with their outcomes; ``label_files``: lake files of the labels of each window, by its start."""
    files = sorted({path for one in windows for path in label_files[one.window.start]})
    return Scan(monitor, tuple(windows), tuple(files))
