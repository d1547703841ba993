"""Declared monitors, and the stages that are known."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, text

from monitoring_pipeline.monitors.declaration import Monitor
from monitoring_pipeline.monitors.secrets import without_passwords

DECLARE_MONITOR = text("""
insert into monitoring.monitor as m (monitor, description, task, window_size, starts_on, owner_team, owner_email,
  baselines, segmentations, has_ground_truth, label_coverage, label_max_delay, config_version, stage_configs)
values (:monitor, :description, :task, :window_size, :starts_on, :owner_team, :owner_email, :baselines,
  :segmentations, :has_ground_truth, :label_coverage, :label_max_delay, :config_version, cast(:stage_configs as jsonb))
on conflict (monitor) do update set description = excluded.description, task = excluded.task,
  window_size = excluded.window_size, starts_on = excluded.starts_on, owner_team = excluded.owner_team,
  owner_email = excluded.owner_email, baselines = excluded.baselines, segmentations = excluded.segmentations,
  has_ground_truth = excluded.has_ground_truth, label_coverage = excluded.label_coverage,
  label_max_delay = excluded.label_max_delay, config_version = excluded.config_version, declared_at = now(),
  stage_configs = excluded.stage_configs
where (m.config_version, m.stage_configs) is distinct from (excluded.config_version, excluded.stage_configs)
""")
KNOW_STAGES = text("""
insert into monitoring.stage as s (stage, position, asset, needs_labels)
select * from unnest(cast(:stage as text[]), cast(:position as integer[]), cast(:asset as text[]),
                     cast(:needs_labels as boolean[]))
on conflict (stage) do update set position = excluded.position, asset = excluded.asset,
  needs_labels = excluded.needs_labels
where (s.position, s.asset, s.needs_labels) is distinct from (excluded.position, excluded.asset, excluded.needs_labels)
""")
KEEP_DECLARATION = text("""
insert into monitoring.monitor_declaration (monitor, config_version, declaration)
values (:monitor, :config_version, cast(:declaration as jsonb))
on conflict (monitor, config_version) do update set declaration = excluded.declaration
where monitor_declaration.declaration is distinct from excluded.declaration
""")
DECLARATIONS = text("""
select m.monitor, d.declaration from monitoring.monitor m
join monitoring.monitor_declaration d on d.monitor = m.monitor and d.config_version = m.config_version
order by m.monitor
""")
MONITOR_NAMES = text("select monitor from monitoring.monitor order by monitor")
LOCK_MONITOR = text("select 1 from monitoring.monitor where monitor = :monitor for no key update")


def know_stages(conn: Connection, stages: Sequence[tuple[str, str, bool]]) -> None:
    """Keeps the stages of a window in order: name, asset, whether a window without labels does without it."""
    columns = {
        "stage": [stage for stage, _, _ in stages],
        "position": list(range(1, len(stages) + 1)),
        "asset": [asset for _, asset, _ in stages],
        "needs_labels": [needs_labels for _, _, needs_labels in stages],
    }
    conn.execute(KNOW_STAGES, columns)


def declare_monitor(conn: Connection, monitor: Monitor, stage_configs: Mapping[str, str]) -> None:
    """Makes the monitor known, or its changed declaration. ``stage_configs``: digest of what each stage reads of it."""
    conn.execute(
        DECLARE_MONITOR,
        {
            "monitor": monitor.name,
            "description": monitor.description,
            "task": monitor.task,
            "window_size": monitor.window,
            "starts_on": monitor.start,
            "owner_team": monitor.owner.team,
            "owner_email": monitor.owner.email,
            "baselines": list(monitor.baseline_names),
            "segmentations": [",".join(key) for key in monitor.segment_keys],
            "has_ground_truth": monitor.ground_truth is not None,
            "label_coverage": monitor.labels.coverage,
            "label_max_delay": monitor.labels.max_delay,
            "config_version": monitor.config_version,
            "stage_configs": json.dumps(dict(stage_configs)),
        },
    )
    declaration = json.dumps(without_passwords(monitor.canonical()))
    named = {"monitor": monitor.name, "config_version": monitor.config_version}
    conn.execute(KEEP_DECLARATION, named | {"declaration": declaration})


def declarations(conn: Connection) -> dict[str, Monitor]:
    """The declaration of each monitor as last made known; paths in it are relative to a file that is not known here."""
    return {row.monitor: Monitor.model_validate(row.declaration) for row in conn.execute(DECLARATIONS)}


def monitor_names(conn: Connection) -> list[str]:
    """Names of all monitors that were ever declared here, in order."""
    return list(conn.execute(MONITOR_NAMES).scalars())


def lock_monitor(conn: Connection, monitor: str) -> None:
    """Takes turns with everyone who hands out a counter of this monitor, until the transaction ends."""
    conn.execute(LOCK_MONITOR, {"monitor": monitor})
