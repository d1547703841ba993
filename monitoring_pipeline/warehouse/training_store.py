"""What a training writes beside the model version: metrics, curves, trials; and what it reads of its decision."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Connection, text

EVIDENCE = text("select evidence from monitoring.retrain_decision where revision_id = :decision_id")
SUPERSEDE_METRICS = text("""
update monitoring.training_metric set superseded_at = greatest(as_known_at, clock_timestamp())
where monitor = :monitor and model_version = :model_version and superseded_at is null
""")
METRICS = text("""
insert into monitoring.training_metric (monitor, model_version, split, metric, value, ci_low, ci_high, n, run_id,
  code_version, as_known_at)
select :monitor, :model_version, m.split, m.metric, m.value, m.ci_low, m.ci_high, m.n, :run_id, :code_version,
  clock_timestamp()
from jsonb_to_recordset(cast(:rows as jsonb))
  m (split text, metric text, value double precision, ci_low double precision, ci_high double precision, n bigint)
""")
FORGET_CURVES = text("""
delete from monitoring.training_curve where monitor = :monitor and model_version = :model_version
""")
CURVES = text("""
insert into monitoring.training_curve (monitor, model_version, split, metric, per_iteration)
select :monitor, :model_version, c.split, c.metric, c.values
from jsonb_to_recordset(cast(:rows as jsonb)) c (split text, metric text, values double precision[])
""")
CURVES_OF = text("""
select split, metric, per_iteration from monitoring.training_curve
where monitor = :monitor and model_version = :model_version order by split, metric
""")
SUPERSEDE_TRIALS = text("""
update monitoring.tuning_trial set superseded_at = greatest(as_known_at, clock_timestamp())
where monitor = :monitor and model_version = :model_version and superseded_at is null
""")
TRIALS = text("""
insert into monitoring.tuning_trial (monitor, model_version, trial, state, hyperparameters, metric, value, started_at,
  finished_at, error, run_id, as_known_at, attempt_id, rung, n_resources, fold_values, cpu_seconds)
select :monitor, :model_version, t.trial, t.state, t.hyperparameters, t.metric, t.value, t.started_at, t.finished_at,
  t.error, :run_id, clock_timestamp(), t.attempt_id, t.rung, t.n_resources, t.fold_values, t.cpu_seconds
from jsonb_to_recordset(cast(:rows as jsonb))
  t (trial integer, state text, hyperparameters jsonb, metric text, value double precision, started_at timestamptz,
     finished_at timestamptz, error text, attempt_id bigint, rung integer, n_resources bigint,
     fold_values double precision[], cpu_seconds double precision)
""")

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Made:
    """Whose rows they are, and what wrote them."""

    monitor: str
    model_version: str
    run_id: str | None
    code_version: str | None


def evidence(conn: Connection, decision_id: int) -> Any:
    """What a decision rests on, as JSON values; None when there is no such decision."""
    return conn.execute(EVIDENCE, {"decision_id": decision_id}).scalar()


def write_metrics(conn: Connection, made: Made, rows: Sequence[Row]) -> None:
    """Metrics of a version on its own data take the place of those it had; columns as in ``training_metric``."""
    conn.execute(SUPERSEDE_METRICS, asdict(made))
    conn.execute(METRICS, asdict(made) | {"rows": json.dumps(list(rows))})


def write_curves(conn: Connection, made: Made, rows: Sequence[Row]) -> None:
    """Metrics by iteration take the place of those it had: ``split``, ``metric``, ``values`` in their order."""
    conn.execute(FORGET_CURVES, asdict(made))
    conn.execute(CURVES, asdict(made) | {"rows": json.dumps(list(rows))})


def curves(conn: Connection, monitor: str, model_version: str) -> dict[tuple[str, str], list[float]]:
    """Metrics by iteration, in their order, by (split, metric)."""
    rows = conn.execute(CURVES_OF, {"monitor": monitor, "model_version": model_version})
    return {(row.split, row.metric): list(row.per_iteration) for row in rows}


def write_trials(conn: Connection, made: Made, rows: Sequence[Row]) -> None:
    """Trials of its search take the place of those it had; columns as in ``tuning_trial``."""
    conn.execute(SUPERSEDE_TRIALS, asdict(made))
    conn.execute(TRIALS, asdict(made) | {"rows": json.dumps(list(rows))})
