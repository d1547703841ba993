"""Records of the ledger as plain values: what was found in the sources and what was taken in. Times are aware and
UTC.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from monitoring_pipeline.windows import Window

SourceRole = Literal["predictions", "ground_truth", "reference"]
Stage = str  # a stage's name in the ledger; stages.catalogue lists them

MAX_ATTEMPTS = 3
"""A stage of a window that has failed so often on the same data is not tried again."""


@dataclass(frozen=True)
class FileVersion:
    """What tells one version of a file from another. ``read_as``: digest of how the declaration reads it."""

    size: int
    modified_at: datetime
    read_as: str = ""


@dataclass(frozen=True)
class IndexedFile:
    """A source file looked at once: how many of its rows fall in which window (by window start).

    ``n_unplaced`` rows have no readable event time; ``unplaced_example`` shows one. ``error`` says why a file cannot
    be read; it
    then holds no windows. A SQL table is indexed as one pseudo file a window, ``sql:<table>@<window start>``.
    """

    path: str
    version: FileVersion
    n_rows: int
    windows: Mapping[datetime, int]
    n_unplaced: int = 0
    unplaced_example: str | None = None
    error: str | None = None


@dataclass(frozen=True)
class Contract:
    """How the columns met differ from the columns declared. ``invalid`` counts values that do not fit their type."""

    missing: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()
    retyped: Mapping[str, str] = field(default_factory=dict)
    invalid: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class IngestedWindow:
    """One window of the prediction log as it lies in the lake. ``n_rows`` is what was kept."""

    window: Window
    n_rows: int
    n_duplicates: int
    n_quarantined: int
    data_version: str
    files: tuple[str, ...]
    versions: Mapping[str, int] = field(default_factory=dict)
    quarantine: Mapping[str, int] = field(default_factory=dict)
    contract: Contract = Contract()
    last_event: datetime | None = None


@dataclass(frozen=True)
class LabelBatch:
    """One intake of ground truth. ``windows``: labels by window start; ``files``: where in the lake they lie.

    ``n_unchanged``: labels that an earlier batch had brought already, left out.
    """

    batch: int
    n_rows: int
    n_matched: int
    n_unknown: int
    n_duplicates: int
    n_quarantined: int
    quarantine: Mapping[str, int]
    windows: Mapping[datetime, int]
    files: Mapping[datetime, str]
    pending_file: str | None = None
    n_unchanged: int = 0


@dataclass(frozen=True)
class StageState:
    """What a window's stage was last computed from, and how its attempts went."""

    stage: Stage
    data_version: str | None
    label_batch: int | None
    config_version: str | None
    code_version: str | None
    run_id: str | None
    completed_at: datetime | None
    attempts: int = 0
    last_error: str | None = None
    inputs: Mapping[str, str | None] = field(default_factory=dict)
    output_version: str | None = None


@dataclass(frozen=True)
class WindowFailure:
    """A window that could not be taken in, and why, in words for the user."""

    window: Window
    message: str
