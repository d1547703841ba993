"""Deleting what lies in the lake of some windows: their copies of the prediction log, rows set aside, labels.

Only directories that ``lake.store`` names after a window are looked into, so that neither labels still waiting for
their predictions nor a source that is read in place can be met here.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import fsspec

from monitoring_pipeline.lake.store import join, window_directory

OF_WINDOWS = ("predictions", "quarantine", "labels")


@dataclass(frozen=True)
class Files:
    """How many files, and how many bytes they hold."""

    count: int = 0
    size: int = 0


def remove_windows(
    lake_root: str, monitor: str, starts: Collection[datetime], written_before: datetime, dry_run: bool = False
) -> Files:
    """Deletes the lake files of the windows that start then, unless they were written at or after ``written_before``.

    What is younger may belong to a run that has not recorded it yet. Returns what was deleted, or with ``dry_run``
    would be. Files that are gone already are no error.
    """
    wanted = {window_directory(start) for start in starts}
    count = size = 0
    for kind in OF_WINDOWS:
        filesystem, inner = fsspec.core.url_to_fs(join(lake_root, monitor, kind))
        for directory in _directories(filesystem, inner) if wanted else []:
            if directory.rstrip("/").rpartition("/")[2] not in wanted:
                continue
            for path, details in filesystem.find(directory, detail=True).items():
                if filesystem.modified(path).timestamp() >= written_before.timestamp():
                    continue
                count, size = count + 1, size + int(details["size"])
                if not dry_run:
                    filesystem.rm_file(path)
            if not dry_run:
                with contextlib.suppress(OSError):  # not empty, or a store that knows no directories
                    filesystem.rmdir(directory)
    return Files(count, size)


def _directories(filesystem: Any, path: str) -> list[str]:
    try:
        return [entry["name"] for entry in filesystem.ls(path, detail=True) if entry["type"] == "directory"]
    except FileNotFoundError:
        return []
