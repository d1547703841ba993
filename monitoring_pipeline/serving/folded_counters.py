"""Folded counters: what dead workers counted, in one file instead of theirs.

The file holds the sums and the names of the workers' files they were taken from. Totals neither fall nor count twice,
whoever is killed when:

- A worker's file is removed only after a folded file that names it stands in its place, put there by one rename.
- Who reads takes the folded file first, leaves out the workers' files it names, and begins again if another one stands
  there in the end. So none was removed in between that was not left out.
- One process folds at a time, by a lock that the kernel frees when its holder dies. It begins by removing what the
  folded file names, so that the next one need not name it.
- Sums are exact: a cell is kept as floats that add up to it without rounding, and is rounded once, when it is read.
  Added in another order, rounded sums could fall by their last bit, which Prometheus takes for a restart.
"""

from __future__ import annotations

import fcntl
import json
import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, TypeVar

import numpy as np
from numpy.typing import NDArray

from monitoring_pipeline.serving.damage import TRANSIENT, DamagedFile, report, set_aside

Cells = NDArray[np.float64]
Key = tuple[str, ...]
Found = TypeVar("Found")


@dataclass(frozen=True)
class Folded:
    """``names``: the files that were folded last, which may not be removed yet. ``terms``: the floats of each cell."""

    names: frozenset[str] = frozenset()
    terms: dict[Key, list[list[float]]] = field(default_factory=dict)

    def plus(self, workers: dict[str, dict[Key, Cells]]) -> Folded:
        """With these workers' cells, by the name of their file; only they are named."""
        terms = dict(self.terms)
        for blocks in workers.values():
            for key, cells in blocks.items():
                known = terms.get(key) or [[] for _ in cells]
                if len(known) == len(cells):  # else it is of another layout, which none of ours can read
                    terms[key] = [_exact([*t, x]) for t, x in zip(known, cells.tolist(), strict=True)]
        return Folded(frozenset(workers), terms)

    def totals(self, workers: Iterable[dict[Key, Cells]], sizes: Mapping[Key, int] | None = None) -> dict[Key, Cells]:
        """The sums over what was folded and these workers' cells, each rounded once.

        ``sizes``: how many cells a key has; what has another number of them is left out.
        """
        found: dict[Key, list[Sequence[float]]] = {key: list(map(tuple, terms)) for key, terms in self.terms.items()}
        blocks: dict[Key, list[Cells]] = {}
        for worker in workers:
            for key, cells in worker.items():
                blocks.setdefault(key, []).append(cells)
        for key, size in (sizes or {}).items():
            if len(found.get(key, ())) != size:
                found.pop(key, None)
            blocks[key] = [cells for cells in blocks.get(key, []) if len(cells) == size]
        return {key: _rounded(found.get(key), blocks.get(key, [])) for key in found | blocks}

    def to_bytes(self) -> bytes:
        """The file's content."""
        return json.dumps({"names": sorted(self.names), "terms": [[*item] for item in self.terms.items()]}).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> Folded:
        """Inverse of ``to_bytes``. Raises DamagedFile."""
        try:
            value = json.loads(data)
            terms = {tuple(map(str, key)): [[float(x) for x in cell] for cell in cells]
                     for key, cells in value["terms"]}  # fmt: skip
            return cls(frozenset(map(_file_name, value["names"])), terms)
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise DamagedFile(f"not folded counters: {type(error).__name__}") from None


def _file_name(name: str) -> str:
    """A file beside the folded one. Raises ValueError."""
    if Path(name).name != name:
        raise ValueError(f"{name!r} is not the name of a file")
    return name


def _rounded(terms: Sequence[Sequence[float]] | None, workers: list[Cells]) -> Cells:
    size = len(terms) if terms else len(workers[0])
    workers = [cells for cells in workers if len(cells) == size]
    if not terms and len(workers) == 1:
        return workers[0].copy()
    columns = zip(*(cells.tolist() for cells in workers), strict=True) if workers else iter([()] * size)
    return np.array([_sum((*t, *c)) for t, c in zip(terms or [()] * size, columns, strict=True)])


def _sum(values: Sequence[float]) -> float:
    try:
        return math.fsum(values)
    except (OverflowError, ValueError):  # beyond what a float holds, or infinities of both signs
        return sum(values)


def _exact(values: list[float]) -> list[float]:
    """Floats of the same sum that do not overlap (Shewchuk 1997), of which there are few, whatever was added."""
    found: list[float] = []
    for x in values:
        lower = []
        for y in found:
            if abs(x) < abs(y):
                x, y = y, x
            high = x + y
            if low := y - (high - x):
                lower.append(low)
            x = high
        if not math.isfinite(x):
            return [sum(values)]
        found = [*lower, x]
    return found


def read_consistently(path: Path, read: Callable[[Folded], Found]) -> Found:
    """What ``read`` makes of the folded file and of workers' files, while no other folded file took its place.

    A folded file that is damaged or may not be opened is set aside or reported, and counts for nothing. Raises OSError
    for a passing lack of resources.
    """
    while True:
        file = None
        try:
            file = _opened(path)
        except OSError as error:
            _absent(path, error)
        try:
            found = read(_content(file) if file else Folded())
            if _is_current(path, file):
                return found
        except DamagedFile as error:
            _repair(path, error)
            return read(Folded())
        finally:
            if file:
                file.close()


def _opened(path: Path) -> BinaryIO:
    """Held open, its inode cannot become another file's. Does not wait for a writer of a named pipe."""
    return open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK))


def _absent(path: Path, error: OSError) -> None:
    if error.errno in TRANSIENT:
        raise error
    if isinstance(error, IsADirectoryError):
        set_aside(path, error)
    elif not isinstance(error, FileNotFoundError):
        report(path, error)


def _content(file: BinaryIO) -> Folded:
    return Folded.from_bytes(file.read() or b"")


def _is_current(path: Path, file: BinaryIO | None) -> bool:
    """Whether what was opened (or was not there) is still what bears the name."""
    try:
        now = path.stat().st_ino
    except OSError:
        return file is None
    if file is None:
        return not os.access(path, os.R_OK) or path.is_dir()
    return os.fstat(file.fileno()).st_ino == now


def _repair(path: Path, error: DamagedFile) -> None:
    """Sets a damaged folded file aside, unless another process is folding or did so meanwhile."""
    try:
        with _exclusively(path.with_suffix(".lock")) as alone:
            if alone:
                _known(path)
    except OSError:
        report(path, error)


def _known(path: Path) -> Folded:
    """The folded file; a damaged one is set aside and counts for nothing. The caller holds the lock. Raises OSError."""
    try:
        with _opened(path) as file:
            return _content(file)
    except FileNotFoundError:
        return Folded()
    except (DamagedFile, IsADirectoryError) as error:
        set_aside(path, error)
        return Folded()


def fold(path: Path, dead: Callable[[], dict[str, dict[Key, Cells]]], at_least: int) -> None:
    """Folds the files of ``dead()`` (their cells by file name, beside ``path``) into ``path``, when there are enough.

    Does nothing while another process does. Raises OSError.
    """
    with _exclusively(path.with_suffix(".lock")) as alone:
        if not alone:
            return
        known = _known(path)
        _remove(path.parent, known.names)
        found = dead()
        if len(found) < at_least:
            return
        temporary = path.with_suffix(".tmp")
        try:
            _write(temporary, known.plus(found).to_bytes())
        except OSError:
            temporary.unlink(missing_ok=True)
            raise
        temporary.replace(path)
        _remove(path.parent, found)


def _write(path: Path, data: bytes) -> None:
    with path.open("wb") as out:
        out.write(data)
        out.flush()
        os.fsync(out.fileno())


def _remove(directory: Path, names: Iterable[str]) -> None:
    for name in names:
        if name.endswith(".counters"):  # whatever a damaged file may name
            (directory / name).unlink(missing_ok=True)


@contextmanager
def _exclusively(path: Path) -> Iterator[bool]:
    """Whether no other process is at it."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            alone = True
        except BlockingIOError:
            alone = False
        yield alone
    finally:
        os.close(fd)
