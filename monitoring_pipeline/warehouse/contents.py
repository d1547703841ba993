"""Rows that are named by a digest of their content and never change: written once, then known by their number."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy import Connection, Engine, TextClause, text


class Contents:
    """One table of such rows. ``columns``: name and SQL type of those that hold the content.

    ``table``, ``number`` and ``columns`` are names of ours, never a user's.
    """

    def __init__(self, table: str, number: str, columns: Mapping[str, str]) -> None:
        self._find = text(f"select {number} from {table} where digest = :digest")  # noqa: S608
        self._add = _insert(table, number, columns)
        self._known: WeakKeyDictionary[Engine, dict[str, int]] = WeakKeyDictionary()

    def number(self, conn: Connection, digest: str, content: Callable[[], Mapping[str, Any]]) -> int:
        """The row's number; ``content`` makes its columns when it is not there yet."""
        known = self._known.setdefault(conn.engine, {})
        if digest not in known:
            found = conn.execute(self._find, {"digest": digest}).scalar()
            if found is None:  # not remembered: this transaction may still be rolled back
                return int(conn.execute(self._add, {"digest": digest, **content()}).scalar_one())
            known[digest] = found
        return known[digest]


def _insert(table: str, number: str, columns: Mapping[str, str]) -> TextClause:
    values = ", ".join(f"cast(:{name} as {kind})" for name, kind in columns.items())
    return text(
        f"insert into {table} (digest, {', '.join(columns)}) values (:digest, {values})"  # noqa: S608
        f" on conflict (digest) do update set digest = excluded.digest returning {number}"
    )
