"""What the exporter reads: newest figures of each monitor and its health in one statement; apart, what takes longer.

Figures come in groups that differ in one label only — a monitor's columns, under one baseline and method — for there
are tens of thousands of figures and each row costs Postgres, the driver and the reader more than a figure does. Only
windows that ended within ``stale_after`` windows are looked at (for performance also within the label delay), so a
scrape costs the same whatever the history, and figures of what no longer runs are absent rather than frozen.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

from sqlalchemy import Connection, text

from monitoring_pipeline.measurements import MetricKeys
from monitoring_pipeline.warehouse import fleet
from monitoring_pipeline.warehouse.measurement_store import keys_by_id


class Group(NamedTuple):
    """Figures of one family under the same ``labels``; ``members``, ``values`` and ``flags`` are of one length.

    Values and flags are texts as Postgres writes them, for they are published as texts again.
    """

    family: str
    labels: tuple[str, ...]
    members: Sequence[str]
    values: Sequence[str | None]
    flags: Sequence[str | None]


# family -> the labels of its figures, in order: those of the group, then the one that members differ in
FAMILIES: dict[str, tuple[str, ...]] = {
    "drift": ("monitor", "model_version", "baseline", "method", "column"),
    "quality": ("monitor", "model_version", "metric", "column"),
    "performance": ("monitor", "model_version", "metric", "kind", "segment"),
    "coverage": ("monitor", "model_version"),
    "window": ("monitor", "model_version", "figures"),
    "health": ("monitor", "figure"),
    "incidents": ("monitor", "severity"),
    "role": ("monitor", "model_version", "role"),
    "database": (),
}


@dataclass(frozen=True)
class Selection:
    """What is published. ``methods``: drift methods. ``stale_after``: windows after which figures vanish.

    ``replay``: age counts from each monitor's newest window instead of from now, for a past that is being replayed.
    """

    methods: tuple[str, ...]
    stale_after: float
    replay: bool = False


NEWEST_FIGURES = text("""
with clock as (
  select m.monitor, m.baselines, m.label_max_delay, m.starts_on, l.length, newest.window_end, due.at as due,
         case when :replay then coalesce(newest.window_end, now()) else now() end - :stale_after * l.length as oldest
  from monitoring.monitor m
  cross join lateral (
    select case m.window_size when 'hour' then interval '1 hour' else interval '24 hours' end as length
  ) l
  left join lateral (
    select s.window_end from monitoring.window_stage s
    where s.monitor = m.monitor and s.stage = 'profile' and s.completed_at is not null
    order by s.window_start desc limit 1
  ) newest on true
  cross join lateral (  -- least() passes over the null of a monitor without an end
    select least(now(), (select (d.declaration ->> 'end')::date from monitoring.monitor_declaration d
                         where d.monitor = m.monitor and d.config_version = m.config_version) at time zone 'UTC') as at
  ) due
), newest as materialized (  -- window of each version with such figures
  select c.monitor, v.model_version, k.figures, k.kind, w.window_start, w.window_end
  from clock c
  join monitoring.known_version v on v.monitor = c.monitor
  cross join lateral (values
    ('drift', null, c.oldest),
    ('quality', null, c.oldest),
    ('realized_performance', 'realized', c.oldest - c.label_max_delay),
    ('estimated_performance', 'estimated', c.oldest)
  ) k (figures, kind, oldest)
  cross join lateral (
    select p.window_start, p.window_end
    from monitoring.prediction_window p
    where p.monitor = c.monitor and p.window_start >= k.oldest - c.length and p.window_end >= k.oldest
      and p.versions -> v.model_version is not null  -- not by "?", which the planner takes for so rare that it sorts
      and case when k.kind is null then exists (
        select from monitoring.window_stage s
        where s.monitor = p.monitor and s.window_start = p.window_start and s.stage = k.figures
          and s.completed_at is not null)
      else exists (
        select from monitoring.measurement f  -- not unfolded: one defined value is enough
        where f.monitor = p.monitor and f.window_start = p.window_start and f.window_end = p.window_end
          and f.family = k.kind and f.model_version = v.model_version and f.baseline = '' and f.segment = '*'
          and f.superseded_at is null and 'NaN' <> any (array_replace(f.value, null, 0))) end
    order by p.window_start desc limit 1
  ) w
)
select n.figures as family, array[n.monitor, n.model_version, m.baseline, m.segment] as labels,
       array[m.metric_keys_id::text, v.share_value::text, v.share_flagged::text] as members, null::text[] as values,
       null::text[] as flags, array_replace(m.value, null, 0)::text as value,
       case when n.kind is distinct from 'realized' or v.mature is not false then v.flags::text end as flagged
from newest n
join clock c on c.monitor = n.monitor
cross join lateral (
  select m.measurement_id, m.baseline, m.segment, m.metric_keys_id, m.value
  from monitoring.measurement m
  where m.monitor = n.monitor and m.family = coalesce(n.kind, n.figures) and m.window_start = n.window_start
    and m.window_end = n.window_end and m.model_version = n.model_version and m.superseded_at is null
    and (m.segment = '*' or n.kind is not null) and (m.baseline = any (c.baselines) or n.figures <> 'drift')
) m
left join monitoring.verdict v on v.window_start = n.window_start and v.measurement_id = m.measurement_id
union all
select 'coverage', array[n.monitor], array[n.model_version],
       array[(f.n_labelled::double precision / nullif(f.n_predictions, 0))::text], array[null], null, null
from newest n
join monitoring.measurement f
  on f.monitor = n.monitor and f.window_start = n.window_start and f.window_end = n.window_end and f.family = n.kind
 and f.model_version = n.model_version and f.baseline = '' and f.segment = '*' and f.superseded_at is null
where n.kind = 'realized'
union all
select 'window', array[monitor, model_version], array[figures], array[extract(epoch from window_end)::float8::text],
       array[null], null, null
from newest
union all
select 'health', array[c.monitor],
       array['lag_seconds', 'window_seconds', 'last_success_timestamp_seconds', 'failed_windows',
             'run_duration_seconds'],
       array[greatest(
               extract(epoch from c.due - coalesce(c.window_end, c.starts_on at time zone 'UTC')), 0)::float8::text,
             extract(epoch from c.length)::float8::text,
             extract(epoch from success.at)::float8::text,
             failure.n::float8::text,
             extract(epoch from run.took)::float8::text],
       array[null, null, null, null, null], null, null
from clock c
left join lateral (
  select max(completed_at) as at from monitoring.window_stage w
  where w.monitor = c.monitor and w.completed_at is not null
) success on true
left join lateral (
  select count(distinct window_start) as n from monitoring.window_stage w
  where w.monitor = c.monitor and w.last_error is not null
) failure on true
left join lateral (
  select max(w.completed_at) - min(w.completed_at) as took
  from monitoring.window_stage w
  where w.monitor = c.monitor and w.window_start = c.window_end - c.length
    and w.run_id = (select x.run_id from monitoring.window_stage x
                    where x.monitor = c.monitor and x.window_start = c.window_end - c.length and x.stage = 'profile')
) run on true
union all
select 'incidents', array[m.monitor], array[s.severity], array[count(i.incident_id)::text], array[null], null, null
from monitoring.monitor m
cross join (values ('info'), ('warning'), ('critical')) s (severity)
left join monitoring.incident_current i on i.monitor = m.monitor and i.severity = s.severity and i.state = 'open'
group by m.monitor, s.severity
union all
select 'role', array[monitor, model_version], array[role], array['1'], array[null], null, null
from monitoring.model_version_current
union all
select 'database', array[]::text[], array['database'],
       array[pg_database_size(current_database())::float8::text], array[null], null, null
""")

# Reads a monitor's whole ledger, for any old window may have become stale: too much for a scrape.
STALE_WINDOWS = text("""
select m.monitor, count(distinct s.window_start)::text as n
from unnest(cast(:monitors as text[])) m (monitor)
left join monitoring.stale_window s on s.monitor = m.monitor and s.monitor = any (cast(:monitors as text[]))
group by m.monitor
""")
MONITORS = text("select monitor from monitoring.monitor order by monitor")


def newest_figures(connection: Connection, selection: Selection) -> Sequence[Group]:
    """All figures of one scrape. Times are seconds since the epoch (UTC), shares lie in [0, 1], flags are 0 and 1."""
    asked = {"stale_after": selection.stale_after, "replay": selection.replay}
    rows = connection.execute(NEWEST_FIGURES, asked).cursor.fetchall()
    stored = [row for row in rows if row[5] is not None]
    keys = keys_by_id(connection, {int(row[2][0]) for row in stored})
    groups = [Group(row[0], tuple(row[1]), *row[2:5]) for row in rows if row[5] is None]
    return groups + _unfolded(stored, keys, selection.methods)


def _unfolded(rows: Sequence[Any], keys: Mapping[int, MetricKeys], methods: tuple[str, ...]) -> list[Group]:
    """Stored measurements as groups. Here rather than in the statement: Postgres would make a row of each value."""
    groups: list[Group] = []
    performance: dict[tuple[str, ...], list[tuple[str, str, str | None]]] = {}
    for figures, labels, (keys_id, share, share_flagged), _, _, value, flagged in rows:
        values, flags = value[1:-1].split(","), _flags(flagged)
        if figures == "drift":
            groups += _drift(labels, keys[int(keys_id)], values, flags, methods)
            if share is not None and SHARE in methods:
                groups.append(Group("drift", (*labels[:3], SHARE), ["*"], [share], [FLAGS.get(share_flagged)]))
        elif figures == "quality":
            groups += _quality(labels, keys[int(keys_id)], values, flags)
        else:
            kind = figures.removesuffix("_performance")
            _add_performance(performance, labels, kind, keys[int(keys_id)].metrics, values, flags)
    for key, members in performance.items():
        segments, shown, judged = zip(*members, strict=True)
        groups.append(Group("performance", key, segments, shown, judged))
    return groups


FLAGS = {"t": "1", "f": "0", "true": "1", "false": "0"}
SHARE = "drifted_columns_share"


OF_BITS = {"10": "0", "11": "1"}


def _flags(bits: str | None) -> list[str | None] | None:
    return None if bits is None else [OF_BITS.get(bits[i : i + 2]) for i in range(0, len(bits), 2)]


@lru_cache(maxsize=256)
def _by_metric(keys: MetricKeys) -> dict[str, list[int]]:
    """Positions of each metric."""
    found: dict[str, list[int]] = {}
    for i, metric in enumerate(keys.metrics):
        found.setdefault(metric, []).append(i)
    return found


def _drift(
    labels: Sequence[str], keys: MetricKeys, values: list[str], flags: list[str | None] | None, methods: tuple[str, ...]
) -> Iterator[Group]:
    positions = _by_metric(keys)
    for method in methods:
        known = [i for i in positions.get(method, ()) if values[i] != "NaN"]
        if known:
            members = [keys.columns[i] for i in known]
            shown = [flags[i] if flags else None for i in known]
            yield Group("drift", (*labels[:3], method), members, [values[i] for i in known], shown)


def _quality(
    labels: Sequence[str], keys: MetricKeys, values: list[str], flags: list[str | None] | None
) -> Iterator[Group]:
    """Those that have a threshold."""
    for metric, positions in _by_metric(keys).items() if flags else ():
        judged = [i for i in positions if flags and flags[i] is not None]
        if judged:
            members = [keys.columns[i] for i in judged]
            shown = [None if values[i] == "NaN" else values[i] for i in judged]
            yield Group("quality", (*labels[:2], metric), members, shown, [flags[i] for i in judged if flags])


def _add_performance(
    found: dict[tuple[str, ...], list[tuple[str, str, str | None]]],
    labels: Sequence[str],
    kind: str,
    metrics: Sequence[str],
    values: list[str],
    flags: list[str | None] | None,
) -> None:
    """Segments are the members of a metric; of those only what is judged."""
    monitor, version, _, segment = labels
    for i, (metric, value) in enumerate(zip(metrics, values, strict=True)):
        flag = flags[i] if flags else None
        if value == "NaN" or "[bin=" in metric or (segment != "*" and flag is None):
            continue
        found.setdefault((monitor, version, metric, kind), []).append((segment, value, flag))


class StaleWindows:
    """How many windows of each monitor rest on older rows, labels or declarations than there are.

    A monitor is counted again when the mark of its ledger changes (``fleet.marks``); that takes seconds at 10⁵ windows.
    """

    def __init__(self) -> None:
        self._counted: dict[str, tuple[str, str]] = {}  # mark and count by monitor

    def __call__(self, connection: Connection) -> Sequence[Group]:
        """The counts of all monitors, in order of their names."""
        names: Sequence[str] = connection.execute(MONITORS).scalars().all()
        marks = fleet.marks(connection, names)  # before counting: what changes meanwhile is counted next time
        before = {name: self._counted[name] for name in names if self._counted.get(name, ("",))[0] == marks[name]}
        changed = [name for name in names if name not in before]
        found = connection.execute(STALE_WINDOWS, {"monitors": changed}) if changed else ()
        self._counted = before | {row.monitor: (marks[row.monitor], row.n) for row in found}
        return [Group("health", (name,), ["stale_windows"], [self._counted[name][1]], [None]) for name in names]
