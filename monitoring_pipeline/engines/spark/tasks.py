"""A scan cut into tasks that can be counted apart and added up."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from monitoring_pipeline.lake.scan import Scan
from monitoring_pipeline.records import IngestedWindow

ROWS_A_TASK = 2_000_000


def tasks_of(scan: Scan) -> list[Scan]:
    """Scans of disjoint rows that together are ``scan``: small windows together, the files of a large one apart.

    A window whose intake removed duplicates is never cut: which row of an id is kept is decided over all its files.
    """
    return [replace(scan, windows=tuple(some)) for some in _grouped(_pieces(scan.windows))]


def _pieces(windows: tuple[IngestedWindow, ...]) -> Iterator[IngestedWindow]:
    for window in windows:
        if window.n_duplicates or len(window.files) < 2 or window.n_rows <= ROWS_A_TASK:
            yield window
        else:
            rows = window.n_rows // len(window.files)
            yield from (replace(window, files=(file,), n_rows=rows) for file in window.files)


def _grouped(pieces: Iterator[IngestedWindow]) -> Iterator[list[IngestedWindow]]:
    some: list[IngestedWindow] = []
    rows = 0
    for piece in pieces:
        # Two pieces of one window never share a task: a scan names each window once.
        repeated = any(one.window == piece.window for one in some)
        if some and (repeated or rows + piece.n_rows > ROWS_A_TASK):
            yield some
            some, rows = [], 0
        some.append(piece)
        rows += piece.n_rows
    if some:
        yield some
