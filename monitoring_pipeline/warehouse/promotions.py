"""Changes of champion, as the fold of incidents reads them."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, text

REPLACEMENTS = text("""
select previous_version, model_version, coalesce(as_of, at) as at from monitoring.promotion
where monitor = :monitor and previous_version is not null and previous_version <> model_version
order by seq
""")


def replacements(conn: Connection, monitor: str) -> list[tuple[str, str, datetime]]:
    """(version before, version, moment of the monitored history) of each change of champion, in order."""
    rows = conn.execute(REPLACEMENTS, {"monitor": monitor})
    return [(row.previous_version, row.model_version, row.at) for row in rows]
