"""A scan: which rows to read, as data. An engine renders it into whatever it reads by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from monitoring_pipeline.monitors.declaration import Monitor
from monitoring_pipeline.records import IngestedWindow

RowRange = tuple[int, int]
"""First row of a file and the one after the last, both from 0."""


@dataclass(frozen=True)
class ReferenceRows:
    """Rows of a reference.

    ``files``: Parquet files; with ``copied`` they are the lake's own copy, else the source's files, cleaned as they
    are read. ``version``: the model version whose rows are meant; None: all. ``sliced_after`` (naive UTC): rows with a
    later event time are in the window they fall in; the others, and with None all, in the one constant window of a
    reference.
    """

    files: tuple[str, ...]
    copied: bool = False
    version: str | None = None
    sliced_after: datetime | None = None


@dataclass(frozen=True)
class Scan:
    """Rows of a monitor under its canonical columns (``lake.cleaning.canonical_columns``).

    ``windows``: predictions of these windows, from the files their intake recorded. ``label_files``: of each window, by
    its start, the lake files whose labels are joined by prediction id, the latest of each id; None: outcomes are not
    wanted. ``reference``: rows of a reference in place of windows. ``row_range``: of the one file that is read only
    these rows; None: all rows of all files.
    """

    monitor: Monitor
    windows: tuple[IngestedWindow, ...] = ()
    label_files: Mapping[datetime, tuple[str, ...]] | None = None
    reference: ReferenceRows | None = None
    row_range: RowRange | None = None

    def __post_init__(self) -> None:
        if self.row_range is not None and len(self.files) != 1:
            raise ValueError(f"a range of rows is of one file, not of {len(self.files)}")

    @property
    def files(self) -> tuple[str, ...]:
        """Every file of predictions or of the reference that is read, once."""
        if self.reference is not None:
            return self.reference.files
        return tuple(dict.fromkeys(path for window in self.windows for path in window.files))

    @property
    def labels(self) -> tuple[str, ...] | None:
        """Every label file of these windows, once; None when outcomes are not wanted."""
        if self.label_files is None:
            return None
        return tuple(sorted({path for one in self.windows for path in self.label_files.get(one.window.start, ())}))


def predictions_of(monitor: Monitor, windows: Sequence[IngestedWindow]) -> Scan:
    """Predictions alone."""
    return Scan(monitor, tuple(windows))


def labelled(
    monitor: Monitor, windows: Sequence[IngestedWindow], label_files: Mapping[datetime, Sequence[str]]
) -> Scan:
    """Predictions with their outcomes; ``label_files``: lake files of the labels of each window, by its start."""
    files = {one.window.start: tuple(label_files[one.window.start]) for one in windows}
    return Scan(monitor, tuple(windows), files)
