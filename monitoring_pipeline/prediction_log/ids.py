"""Prediction ids: unique over processes and hosts, cheap enough for every request."""

from __future__ import annotations

import os
from itertools import count


class IdSource:
    """26 hexadecimal digits: 64 random bits drawn for this process, then a counter. Call ``reset`` after a fork."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self._prefix = os.urandom(8).hex()
        self._next = count().__next__

    def one(self) -> str:
        return f"{self._prefix}{self._next():010x}"

    @staticmethod
    def prefix() -> str:
        """A fresh prefix, for a batch that numbers its own rows."""
        return os.urandom(8).hex()

    @staticmethod
    def numbered(prefix: str, n: int, start: int = 0) -> list[str]:
        return [f"{prefix}{i:010x}" for i in range(start, start + n)]
