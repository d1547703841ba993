"""A scan cut into tasks that can be counted apart and added up."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from monitoring_pipeline.lake.scan import ReferenceRows, RowRange, Scan
from monitoring_pipeline.lake.views import is_in_place
from monitoring_pipeline.records import IngestedWindow

ROWS_A_TASK = 2_000_000

RowGroups = Mapping[str, Sequence[int]]
"""Rows of each row group, in order, by file; a file that is not there is not cut."""


def files_to_cut(scan: Scan) -> list[str]:
    """The files whose row groups ``tasks_of`` has to know: all of a reference, those of large windows."""
    if scan.reference is not None:
        return list(scan.files)
    return list(dict.fromkeys(path for window in scan.windows if _is_large(window) for path in window.files))


def tasks_of(scan: Scan, groups: RowGroups) -> list[Scan]:
    """Scans of disjoint rows that together are ``scan``: small windows (or files of a reference) together, large ones
    by file, large files by ranges of whole row groups.

    A window of a source read in place whose intake removed duplicates is never cut: which row of an id is kept is
    decided over all its files.
    """
    if scan.reference is not None:
        return list(_of_reference(scan, scan.reference, groups))
    small = [window for window in scan.windows if not _is_large(window)]
    large = [window for window in scan.windows if _is_large(window)]
    tasks = [_of(scan, tuple(some), None) for some in _grouped(small)]
    return tasks + [
        _of(scan, (replace(window, files=(path,)),), rows)
        for window in large
        for path in window.files
        for rows in _ranges(groups.get(path, ()))
    ]


def _is_large(window: IngestedWindow) -> bool:
    decided_over_all = window.n_duplicates and is_in_place(window)
    return window.n_rows > ROWS_A_TASK and not decided_over_all


def _of(scan: Scan, windows: tuple[IngestedWindow, ...], rows: RowRange | None) -> Scan:
    """A task reads the labels of its own windows only."""
    if scan.label_files is None:
        return replace(scan, windows=windows, row_range=rows)
    files = {one.window.start: scan.label_files.get(one.window.start, ()) for one in windows}
    return replace(scan, windows=windows, label_files=files, row_range=rows)


def _of_reference(scan: Scan, reference: ReferenceRows, groups: RowGroups) -> Iterator[Scan]:
    together: list[str] = []
    n_rows = 0
    for path in reference.files:
        size = sum(groups.get(path, ()))
        if size > ROWS_A_TASK:
            for rows in _ranges(groups[path]):
                yield replace(scan, reference=replace(reference, files=(path,)), row_range=rows)
            continue
        if together and n_rows + size > ROWS_A_TASK:
            yield replace(scan, reference=replace(reference, files=tuple(together)))
            together, n_rows = [], 0
        together.append(path)
        n_rows += size
    if together:
        yield replace(scan, reference=replace(reference, files=tuple(together)))


def _ranges(groups: Sequence[int]) -> list[RowRange | None]:
    """Consecutive row groups of at most ``ROWS_A_TASK`` rows together, or one larger one; None: the whole file."""
    if sum(groups) <= ROWS_A_TASK:
        return [None]
    ranges: list[RowRange | None] = []
    start = end = 0
    for size in groups:
        if end > start and end + size - start > ROWS_A_TASK:
            ranges.append((start, end))
            start = end
        end += size
    return [*ranges, (start, end)]


def _grouped(windows: Sequence[IngestedWindow]) -> Iterator[list[IngestedWindow]]:
    some: list[IngestedWindow] = []
    rows = 0
    for window in windows:
        if some and rows + window.n_rows > ROWS_A_TASK:
            yield some
            some, rows = [], 0
        some.append(window)
        rows += window.n_rows
    if some:
        yield some
