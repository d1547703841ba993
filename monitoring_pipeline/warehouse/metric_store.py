"""Metric rows with revisions: what changed supersedes, what is equal stays untouched, what vanished is superseded.

Equal means equal figures (floats to 1e-12 relative, the noise of summing in threads); when and by which run they were
computed does not count. The rows of a window go by COPY into a temporary table of the connection; one statement then
compares, supersedes and inserts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from operator import attrgetter
from string import Template

from sqlalchemy import Connection, TextClause, text

from monitoring_pipeline.metric_rows import DriftRow, PerformanceRow, QualityRow
from monitoring_pipeline.warehouse.copying import copy_rows
from monitoring_pipeline.warehouse.model_versions import know_version
from monitoring_pipeline.windows import Window

MetricRow = DriftRow | QualityRow | PerformanceRow
FLOATS = frozenset({"value", "threshold", "p_value", "effect", "error_bound", "ci_low", "ci_high", "coverage"})

# Placeholders are names of our own columns; every value is a parameter or comes by COPY. Nonsense is refused by the
# table: the temporary one takes plain numbers, so that they are checked once.
EMPTY_INCOMING = Template("""
create temp table if not exists $incoming on commit delete rows
  as select $unchecked from monitoring.$table with no data;
delete from $incoming
""")
HAS_STANDING = Template("""
select exists (select from monitoring.$table where monitor = :monitor and model_version = :model_version
  and window_start = :window_start and window_end = :window_end and superseded_at is null)
""")
STATEMENT_TIME = text("select statement_timestamp()")
MADE = ("data_version", "label_batch", "config_version", "code_version", "run_id", "computed_at", "as_known_at")
# The insert waits for the update (it joins its row count): the unique index admits one current row a key.
REVISE = Template("""
with standing as (
  select revision_id, $columns from monitoring.$table
  where monitor = :monitor and model_version = :model_version and window_start = :window_start
    and window_end = :window_end and superseded_at is null
), compared as (
  select s.revision_id, i.arrives, $incoming_columns, i.arrives and s.revision_id is not null and $same as same
  from (select true as arrives, $columns from $incoming) i full join standing s using ($key)
), superseded as (
  update monitoring.$table m set superseded_at = greatest(m.as_known_at, statement_timestamp())
  from compared c where m.revision_id = c.revision_id and c.same is not true
  returning c.arrives
), added as (
  insert into monitoring.$table (monitor, model_version, window_start, window_end, $columns, data_version, label_batch,
    config_version, code_version, run_id, computed_at, as_known_at)
  select :monitor, :model_version, :window_start, :window_end, $columns, :data_version, :label_batch,
    :config_version, :code_version, :run_id, statement_timestamp(), statement_timestamp()
  from compared c cross join (select count(*) from superseded) as done
  where c.arrives and c.same is not true
  returning 1
)
select (select count(*) from added) + (select count(*) from superseded where arrives is null)
""")


@dataclass(frozen=True)
class Provenance:
    """What figures were computed from and by."""

    data_version: str
    label_batch: int | None
    config_version: str
    code_version: str
    run_id: str | None


@dataclass(frozen=True)
class _Table:
    name: str
    columns: tuple[str, ...]
    empty_incoming: str
    revise: TextClause
    has_standing: TextClause

    @property
    def base(self) -> str:
        return f"monitoring.{self.name}"

    @property
    def incoming(self) -> str:
        return f"incoming_{self.name}"


def _table(name: str, row_type: type[MetricRow]) -> _Table:
    columns = tuple(f.name for f in fields(row_type))
    key = tuple(row_type.KEY)
    same = " and ".join(
        f"monitoring.same_figure(i.{c}, s.{c})" if c in FLOATS else f"i.{c} is not distinct from s.{c}"
        for c in columns
        if c not in key
    )
    names = {
        "table": name,
        "incoming": f"pg_temp.incoming_{name}",
        "columns": ", ".join(columns),
        "unchecked": ", ".join(f"cast({c} as float8) as {c}" if c in FLOATS else c for c in columns),
        "incoming_columns": ", ".join(c if c in key else f"i.{c}" for c in columns),
        "key": ", ".join(key),
        "same": same,
    }
    creating = names | {"incoming": f"incoming_{name}"}
    return _Table(
        name,
        columns,
        EMPTY_INCOMING.substitute(creating),
        text(REVISE.substitute(names)),
        text(HAS_STANDING.substitute(names)),
    )


DRIFT = _table("drift_metric", DriftRow)
QUALITY = _table("quality_metric", QualityRow)
PERFORMANCE = _table("performance_metric", PerformanceRow)


def write_drift(
    conn: Connection, monitor: str, model_version: str, window: Window, rows: Sequence[DriftRow], provenance: Provenance
) -> int:
    """All drift figures of a window and version. Returns how many rows were added or superseded without successor."""
    return _write(conn, DRIFT, monitor, model_version, window, rows, provenance)


def write_quality(
    conn: Connection,
    monitor: str,
    model_version: str,
    window: Window,
    rows: Sequence[QualityRow],
    provenance: Provenance,
) -> int:
    """All quality figures of a window and version. Returns as ``write_drift`` does."""
    return _write(conn, QUALITY, monitor, model_version, window, rows, provenance)


def write_performance(
    conn: Connection,
    monitor: str,
    model_version: str,
    window: Window,
    rows: Sequence[PerformanceRow],
    provenance: Provenance,
) -> int:
    """All performance figures of a window and version. Returns as ``write_drift`` does."""
    return _write(conn, PERFORMANCE, monitor, model_version, window, rows, provenance)


def _write(
    conn: Connection,
    table: _Table,
    monitor: str,
    model_version: str,
    window: Window,
    rows: Sequence[MetricRow],
    provenance: Provenance,
) -> int:
    know_version(conn, monitor, model_version)
    values = attrgetter(*table.columns)
    of = {"monitor": monitor, "model_version": model_version, "window_start": window.start, "window_end": window.end}
    if not conn.execute(table.has_standing, of).scalar_one():
        # The first figures of a window have nothing to be compared with; two thirds of the time without the detour.
        now = conn.execute(STATEMENT_TIME).scalar_one()
        shared = (*of.values(), *vars(provenance).values(), now, now)
        copy_rows(conn, table.base, (*table.columns, *of, *MADE), map(values, rows), shared)
        return len(rows)
    conn.exec_driver_sql(table.empty_incoming)
    copy_rows(conn, table.incoming, table.columns, (values(row) for row in rows))
    return int(conn.execute(table.revise, of | vars(provenance)).scalar_one())
