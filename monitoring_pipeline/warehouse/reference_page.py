"""The page of all public views with their columns, written from the comments in the database.

``monitoring-pipeline db reference > docs/sql-reference.md`` writes it anew.
"""

from __future__ import annotations

from itertools import groupby

from sqlalchemy import Connection, text

_COLUMNS = text("""
select r.relname as relation, obj_description(r.oid, 'pg_class') as about, a.attname as name,
       format_type(a.atttypid, a.atttypmod) as type, col_description(r.oid, a.attnum) as comment
from pg_class r join pg_attribute a on a.attrelid = r.oid and a.attnum > 0 and not a.attisdropped
where r.relnamespace = 'monitoring'::regnamespace and r.relkind = 'v'
order by r.relname collate "C", a.attnum
""")
_HAS_CATALOG = text("select to_regclass('monitoring.metric_catalog') is not null")
_CATALOG = text("""
select metric, family, unit, minimum, maximum, description, formula from monitoring.metric_catalog
order by array_position(array['drift', 'quality', 'performance', 'fairness'], family), metric collate "C"
""")
_SHORT = {"timestamp with time zone": "timestamptz", "double precision": "float8"}
_INTRODUCTION = """# SQL reference

The views of the schema `monitoring`: the public interface for queries and dashboards, with the comments that `\\d+`
shows in psql. Views named `*_current` show the latest revision; the tables behind them keep all revisions.
`sql/cookbook/` answers common questions. Times are UTC, shares lie in [0, 1]."""


def page(connection: Connection) -> str:
    """The page as Markdown."""
    parts = [_INTRODUCTION]
    for relation, rows in groupby(connection.execute(_COLUMNS), key=lambda row: row.relation):
        columns = list(rows)
        lines = [f"## {relation}", "", columns[0].about or "", "", "| column | type | meaning |", "|---|---|---|"]
        lines += [f"| `{one.name}` | {_SHORT.get(one.type, one.type)} | {_cell(one.comment)} |" for one in columns]
        parts.append("\n".join(lines))
    if connection.execute(_HAS_CATALOG).scalar():
        parts.append(_catalog(connection))
    return "\n\n".join(parts) + "\n"


def _catalog(connection: Connection) -> str:
    """The rows of ``metric_catalog``: what each name in a column ``metric`` or ``method`` means."""
    lines = [
        "## Metrics by name",
        "",
        "| metric | family | unit | range | meaning | formula |",
        "|---|---|---|---|---|---|",
    ]
    for one in connection.execute(_CATALOG):
        cells = (one.family, one.unit, _range(one.minimum, one.maximum), one.description, one.formula)
        lines.append(f"| `{one.metric}` | " + " | ".join(map(_cell, cells)) + " |")
    return "\n".join(lines)


def _range(least: float | None, most: float | None) -> str:
    """Either end may be open."""
    if least is None or most is None:
        return "any" if least is most else f"at least {least:g}" if most is None else f"at most {most:g}"
    return f"{least:g} to {most:g}"


def _cell(comment: str | None) -> str:
    return (comment or "").replace("|", "\\|").replace("*", "\\*")
