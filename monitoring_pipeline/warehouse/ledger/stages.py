"""What each stage of a window was last computed from, and how it failed."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

from monitoring_pipeline import __version__
from monitoring_pipeline.records import Stage, StageState
from monitoring_pipeline.windows import Window, starts_of

COMPLETE_STAGES = text("""
insert into monitoring.window_stage as s (monitor, window_start, window_end, stage, data_version, label_batch,
  config_version, code_version, run_id, inputs, output_version, completed_at)
select :monitor, n.window_start, n.window_end, :stage, n.data_version, n.label_batch, n.config_version, n.code_version,
  n.run_id, cast(n.inputs as jsonb), n.output_version, clock_timestamp()
from unnest(cast(:window_start as timestamptz[]), cast(:window_end as timestamptz[]), cast(:data_version as text[]),
            cast(:label_batch as bigint[]), cast(:config_version as text[]), cast(:code_version as text[]),
            cast(:run_id as text[]), cast(:inputs as text[]), cast(:output_version as text[]))
  n (window_start, window_end, data_version, label_batch, config_version, code_version, run_id, inputs, output_version)
on conflict (monitor, window_start, stage) do update set window_end = excluded.window_end,
  data_version = excluded.data_version, label_batch = excluded.label_batch, config_version = excluded.config_version,
  code_version = excluded.code_version, run_id = excluded.run_id, completed_at = excluded.completed_at,
  inputs = excluded.inputs, output_version = coalesce(excluded.output_version, s.output_version),
  attempts = 0, last_error = null, failed_at = null, failed_source_revision = null, failed_label_batch = null,
  failed_config_version = null
""")
FAIL_STAGE = text("""
insert into monitoring.window_stage as s (monitor, window_start, window_end, stage, run_id, attempts, last_error,
  failed_at, failed_source_revision, failed_label_batch, failed_config_version)
select m.monitor, :window_start, :window_end, :stage, :run_id, 1, :error, clock_timestamp(),
  coalesce((select max(revision) from monitoring.source_file_window w
            where w.monitor = m.monitor and w.role = 'predictions' and w.window_start = :window_start), 0),
  coalesce(:label_batch, (select max(batch) from monitoring.label_batch_window b
                          where b.monitor = m.monitor and b.window_start = :window_start), 0),
  m.config_version
from monitoring.monitor m where m.monitor = :monitor
on conflict (monitor, window_start, stage) do update set
  last_error = excluded.last_error, failed_at = excluded.failed_at, run_id = excluded.run_id,
  attempts = case when (s.failed_source_revision, s.failed_label_batch, s.failed_config_version) is not distinct from
                       (excluded.failed_source_revision, excluded.failed_label_batch, excluded.failed_config_version)
                  then s.attempts + 1 else 1 end,
  failed_source_revision = excluded.failed_source_revision, failed_label_batch = excluded.failed_label_batch,
  failed_config_version = excluded.failed_config_version
""")
# The declaration is compared by what the caller reads of it: the database knows the one of the last intake.
CURRENT_WINDOWS = text("""
select s.window_start from monitoring.window_stage s
where s.monitor = :monitor and s.stage = :stage and s.window_start = any (cast(:starts as timestamptz[]))
  and s.completed_at is not null and s.last_error is null
  and s.code_version = :code_version and s.inputs ->> 'config' = :config
  and not exists (
    select from monitoring.stage_input i
    where i.monitor = s.monitor and i.window_start = s.window_start and i.stage = s.stage
      and i.input <> 'config' and i.recorded is distinct from i.now)
""")
STAGE_STATES = text("""
select window_start, stage, data_version, label_batch, config_version, code_version, run_id, completed_at, attempts,
       last_error, inputs, output_version
from monitoring.window_stage
where monitor = :monitor and window_start = any (cast(:starts as timestamptz[]))
""")


@dataclass(frozen=True)
class Completed:
    """A stage of one window that is done. ``label_batch`` None: it depends on no labels.

    ``inputs``: version of everything it read, None for what it looked for and did not find; the view ``stage_input``
    says which names there are. ``output_version``: of what it wrote; None: the same as before.
    """

    window: Window
    data_version: str
    label_batch: int | None
    config_version: str
    code_version: str
    run_id: str | None
    inputs: Mapping[str, str | None]
    output_version: str | None


def complete_stages(conn: Connection, monitor: str, stage: Stage, completed: Sequence[Completed]) -> None:
    """The stage is done for these windows, each named once; their failures are forgotten."""
    columns: dict[str, list[Any]] = {
        "window_start": [one.window.start for one in completed],
        "window_end": [one.window.end for one in completed],
        "inputs": [json.dumps(dict(one.inputs)) for one in completed],
    }
    for name in ("data_version", "label_batch", "config_version", "code_version", "run_id", "output_version"):
        columns[name] = [getattr(one, name) for one in completed]
    conn.execute(COMPLETE_STAGES, {"monitor": monitor, "stage": stage} | columns)


def complete_stage(conn: Connection, monitor: str, window: Window, stage: Stage, **made: Any) -> None:
    """``complete_stages`` of one window; ``made``: the other fields of ``Completed``."""
    complete_stages(conn, monitor, stage, [Completed(window, **made)])


def fail_stage(
    conn: Connection,
    monitor: str,
    window: Window,
    stage: Stage,
    error: str,
    *,
    label_batch: int | None,
    run_id: str | None,
) -> None:
    """The stage failed once more; call it in its own transaction. Anything new to compute from resets the count."""
    what = {"error": error or "unknown error", "label_batch": label_batch, "run_id": run_id}
    conn.execute(FAIL_STAGE, _stage_key(monitor, window, stage) | what)


def stage_states(conn: Connection, monitor: str, windows: Iterable[Window]) -> dict[tuple[datetime, Stage], StageState]:
    """What each stage was last computed from, by (window start, stage); stages never tried are absent."""
    rows = conn.execute(STAGE_STATES, {"monitor": monitor, "starts": starts_of(windows)}).mappings()
    return {
        (row["window_start"], row["stage"]): StageState(**{k: v for k, v in row.items() if k != "window_start"})
        for row in rows
    }


def current_windows(
    conn: Connection, monitor: str, stage: Stage, config: str, windows: Iterable[Window]
) -> set[datetime]:
    """Starts of those windows that the stage was done for with all that it would read now, by this version of the code.

    ``config``: digest of what it reads of the declaration.
    """
    what = {"monitor": monitor, "stage": stage, "config": config, "code_version": __version__}
    return set(conn.execute(CURRENT_WINDOWS, what | {"starts": starts_of(windows)}).scalars())


def _stage_key(monitor: str, window: Window, stage: Stage) -> dict[str, Any]:
    return {"monitor": monitor, "window_start": window.start, "window_end": window.end, "stage": stage}
