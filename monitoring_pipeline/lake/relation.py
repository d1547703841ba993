"""A relation: SQL that yields one row per prediction under canonical names; what an engine profiles."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from monitoring_pipeline.lake.names import stored_name

# Canonical names: __id, __time, __window, __version, __prediction, __score, __score_<i>, __outcome.


@dataclass(frozen=True)
class Relation:
    """DuckDB SQL (a ``SELECT``) and the columns it yields, in order.

    ``protocols``: fsspec protocols it reads besides the lake's own; hand them to ``duck.connect``. ``renamed``: the
    user's columns whose stored name depends on the monitor's others (``names.renamed``).
    """

    sql: str
    columns: tuple[str, ...]
    protocols: tuple[str, ...] = ()
    renamed: Mapping[str, str] = field(default_factory=dict)

    def column_of(self, name: str) -> str:
        """Under which of ``columns`` the user's column ``name`` stands, if it is there at all."""
        return self.renamed.get(name) or stored_name(name)
