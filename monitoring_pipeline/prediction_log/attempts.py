"""Attempts: which segment is tried next, and whether a failure is the sink's or the segment's own.

A sink that is away fails for every segment; a segment that a sink cannot take (a text no database holds, a column that
was dropped) fails while others pass. Which of the two it was shows only afterwards, so:

- A segment that failed rests for a growing while and stands behind all that failed less. It blocks nobody.
- It has been *refused* when it failed again although another was shipped in between: the sink was up.
- Two failures in a row of segments of which that is not known are the sink's: everything rests for a growing while.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

LONGEST_PAUSE = 30.0
REFUSALS = 8  # with the pauses between them more than a minute


@dataclass
class _Trouble:
    failures: int = 0
    refusals: int = 0
    shipped_before: int = 0
    rest_until: float = 0.0


class Attempts:
    """Of one shipper, on one sink. Times in seconds on ``clock``."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._troubles: dict[Path, _Trouble] = {}
        self._n_shipped = 0
        self._suspects = 0
        self._rest_until = 0.0
        self.sink_up = True

    @property
    def resting(self) -> bool:
        """Whether the sink is taken to be away and is not asked just now."""
        return self._clock() < self._rest_until

    def turn(self, path: Path) -> tuple[int, Path]:
        """Sorts segments: those that failed least first, then the oldest."""
        trouble = self._troubles.get(path)
        return (trouble.failures if trouble else 0, path)

    def next(self, paths: Iterable[Path]) -> Path | None:
        """The segment whose turn it is, or None when there is none or it is not the time."""
        now = self._clock()
        if now < self._rest_until:
            return None
        ready = [p for p in paths if p not in self._troubles or self._troubles[p].rest_until <= now]
        return min(ready, key=self.turn, default=None)

    def shipped(self, path: Path) -> None:
        """The sink took it."""
        self.forget(path)
        self._n_shipped += 1
        self._suspects, self._rest_until, self.sink_up = 0, 0.0, True

    def failed(self, path: Path) -> float:
        """The sink did not take it; seconds until it is tried again."""
        trouble = self._troubles.setdefault(path, _Trouble())
        if trouble.failures and self._n_shipped > trouble.shipped_before:
            trouble.refusals += 1
        trouble.failures += 1
        trouble.shipped_before = self._n_shipped
        now, pause = self._clock(), _pause(trouble.failures)
        trouble.rest_until = now + pause
        if not trouble.refusals:
            self.sink_up = False
            self._suspects += 1
            if self._suspects > 1:
                pause = _pause(self._suspects)
                self._rest_until = now + pause
        return pause

    def refused(self, path: Path) -> bool:
        """Whether it was refused so often that it is to be set aside."""
        return path in self._troubles and self._troubles[path].refusals >= REFUSALS

    def forget(self, path: Path) -> None:
        """It is not waiting any more."""
        self._troubles.pop(path, None)

    def keep_only_existing(self) -> None:
        """Forgets files that went another way: dropped by policy, or shipped by another worker."""
        for path in [p for p in self._troubles if not p.exists()]:
            self.forget(path)


def _pause(failures: int) -> float:
    return min(LONGEST_PAUSE, 0.25 * 2 ** min(failures, 20)) * random.uniform(0.5, 1.0)
