"""Prediction ids: unique over processes and hosts, cheap enough for every request."""

from __future__ import annotations

import os
from itertools import count


class IdSource:
    """26 hexadecimal digits: 64 random bits drawn for this process, then a counter. Call ``reset`` after a fork."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """A new random prefix: after a fork, parent and child must not make the same ids."""
        self._prefix = os.urandom(8).hex()
        self._next = count().__next__

    def one(self) -> str:
        """A new id."""
        return f"{self._prefix}{self._next():010x}"

    @staticmethod
    def prefix() -> str:
        """A fresh prefix, for a batch that numbers its own rows."""
        return os.urandom(8).hex()

    @staticmethod
    def numbered(prefix: str, n: int, start: int = 0) -> list[str]:
        """The ids of ``n`` rows of one batch, numbered from ``start``."""
        return [f"{prefix}{i:010x}" for i in range(start, start + n)]
