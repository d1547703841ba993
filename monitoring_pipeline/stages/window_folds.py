"""From which window on verdicts on whole windows must be folded again, and the states to go on from.

Each window has a digest of the rules and of what it and all windows before it are judged from. A stored state with that
digest stands for all that was folded up to it; the first window without one is the first that is folded again, with all
after it. States are written with the verdicts, in their transaction.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection

from monitoring_pipeline.warehouse import fold_store
from monitoring_pipeline.warehouse.fold_store import StoredState
from monitoring_pipeline.windows import Window

FORMAT = 1  # raise it when the states of a fold mean something else
Kind = Literal["performance", "volume", "coverage"]
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Fold:
    """One kind of verdicts over ``windows``, of which those before position ``first`` are folded already.

    ``digests`` (T,) of the windows, ``stored`` the states of the first ``first`` ones.
    """

    kind: Kind
    windows: Sequence[Window]
    digests: Sequence[str]
    stored: Sequence[StoredState]

    @property
    def first(self) -> int:
        """Position of the first window that must be folded."""
        return len(self.stored)

    @property
    def done(self) -> bool:
        """Whether nothing is left to fold."""
        return self.first == len(self.windows)

    def before(self, series: Sequence[str], width: int) -> Floats:
        """(S, first, width) the states of these series; zeros where a window has none of a series."""
        found = np.zeros((self.first, len(series), width))
        for t, names, values in self._groups:
            where = {name: row for row, name in enumerate(names)}
            at = [(s, where[name]) for s, name in enumerate(series) if name in where]
            if at:
                into, of = map(list, zip(*at, strict=True))
                found[t : t + len(values), into] = values[:, of]
        return np.ascontiguousarray(found.swapaxes(0, 1))

    @cached_property
    def _groups(self) -> list[tuple[int, list[str], Floats]]:
        """Position, names and states (n, S, K) of stretches of n windows with the same series."""
        found, at = [], 0
        for series, some in groupby(self.stored, lambda one: (one.series, len(one.state))):
            states = [one.state for one in some]
            names = json.loads(series[0])
            values = np.frombuffer(b"".join(states), "<f8")
            if names:
                found.append((at, names, values.reshape(len(states), len(names), -1)))
            at += len(states)
        return found


def begin(
    conn: Connection, monitor: str, kind: Kind, windows: Sequence[Window], rules: object, inputs: Sequence[object]
) -> Fold:
    """How far the verdicts of a kind stand; states that do not stand are deleted. ``inputs`` (T,) what each window is
    judged from, ``rules`` what all are."""
    digests, last = [], hashlib.sha256(json.dumps([FORMAT, rules]).encode())
    for window, read in zip(windows, inputs, strict=True):
        last = hashlib.sha256(last.digest() + f"{window.start.timestamp()} {read}".encode())
        digests.append(last.hexdigest()[:16])
    stored = fold_store.states(conn, monitor, kind)
    standing = list(stored[next((i for i, one in enumerate(stored) if one.start >= windows[0].start), len(stored)) :])
    same = 0
    for one, window, digest in zip(standing, windows, digests, strict=False):
        if (one.start, one.made_from) != (window.start, digest):
            break
        same += 1
    if same < len(stored):
        first = windows[same].start if same < len(windows) else windows[-1].end
        fold_store.forget_states(conn, monitor, kind, windows[0].start, first)
    return Fold(kind, windows, digests, standing[:same])


def anew(kind: Kind, windows: Sequence[Window]) -> Fold:
    """A fold that begins with the first window, whatever is stored."""
    return Fold(kind, windows, [""] * len(windows), [])


def end(conn: Connection, monitor: str, fold: Fold, series: Sequence[str], states: Floats) -> None:
    """Keeps the states (S, T - first, K) of the windows that were folded."""
    names, rows = json.dumps(list(series)), np.ascontiguousarray(states.swapaxes(0, 1)).astype("<f8")
    left = zip(fold.windows[fold.first :], fold.digests[fold.first :], rows, strict=True)
    fresh = [StoredState(window.start, digest, names, row.tobytes()) for window, digest, row in left]
    fold_store.keep_states(conn, monitor, fold.kind, fresh)


def forget(conn: Connection, monitor: str, kind: Kind, oldest: Window) -> None:
    """No verdicts of this kind stand any more."""
    fold_store.forget_states(conn, monitor, kind, oldest.start, oldest.start)
