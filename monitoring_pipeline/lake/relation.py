"""A relation: SQL that yields one row per prediction under canonical names; what an engine profiles."""

from __future__ import annotations

from dataclasses import dataclass

# Canonical names: __id, __time, __window, __version, __prediction, __score, __score_<i>, __outcome.


@dataclass(frozen=True)
class Relation:
    """DuckDB SQL (a ``SELECT``) and the columns it yields, in order.

    ``protocols``: fsspec protocols it reads besides the lake's own; hand them to ``duck.connect``.
    """

    sql: str
    columns: tuple[str, ...]
    protocols: tuple[str, ...] = ()
