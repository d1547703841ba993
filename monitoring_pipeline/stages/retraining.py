"""Carries a decision to retrain out: training, comparison, promotion, and what a killed process left.

Every step leaves the attempt's row in a state from which the next process goes on. Only one process works on a monitor.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from math import isfinite
from typing import Any, Literal

from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError

from monitoring_pipeline.errors import UserError, WarehouseError
from monitoring_pipeline.monitors import Monitor
from monitoring_pipeline.retraining import artifacts, attempts, judged_rows, mlflow_log, promotion
from monitoring_pipeline.retraining.attempts import AttemptLostError
from monitoring_pipeline.retraining.comparison import Comparison, check_metric, compare
from monitoring_pipeline.retraining.context import Attempt, RetrainContext
from monitoring_pipeline.retraining.judged_rows import Judged
from monitoring_pipeline.retraining.measuring import metric_of
from monitoring_pipeline.retraining.policy.rows import shadow_first
from monitoring_pipeline.retraining.promotion import InService
from monitoring_pipeline.retraining.training import train as train_challenger
from monitoring_pipeline.retraining.training_set import TrainingRows, training_rows
from monitoring_pipeline.stages import artifact_incidents, rotation
from monitoring_pipeline.stages.shadow import measure_shadow
from monitoring_pipeline.warehouse import attempt_store, model_versions
from monitoring_pipeline.warehouse.ledger import lock_monitor
from monitoring_pipeline.warehouse.model_versions import ModelVersion

Step = Literal["training_set", "candidate", "evaluation", "comparison", "promotion"]
STEPS: tuple[Step, ...] = ("training_set", "candidate", "evaluation", "comparison", "promotion")
Facts = Mapping[str, int | float | str | None]


@dataclass(frozen=True)
class Done:
    """A step that is done. ``facts`` are for people; the rest is there after the step that made it, in this process."""

    step: Step
    attempt: Attempt
    facts: Facts = field(default_factory=dict)
    rows: TrainingRows | None = None
    version: ModelVersion | None = None
    judged: Judged | None = None
    comparison: Comparison | None = None


def carry_out(ctx: RetrainContext, until: Step | None = None, now: datetime | None = None) -> Attempt | None:
    """Carries on the open attempt, else the oldest decision that waits for one; the attempt as it stands then.

    ``until``: the last step to do. ``now`` (UTC): the clock that a shadow is waited for by; the wall clock when None.
    None: there is nothing to do, or another process is doing it. A failed attempt is returned, not raised; raises
    WarehouseError when the database is away, and the next call goes on from the last step that was written.
    """
    attempt = None
    for done in steps(ctx, now):
        attempt = done.attempt
        if done.step == until:
            break
    return attempt


def steps(ctx: RetrainContext, now: datetime | None = None) -> Iterator[Done]:
    """The same, step by step: each is written when it is yielded. Ends early where the attempt waits or has ended."""
    with attempts.ownership(ctx) as mine:
        if not mine:
            return
        heal(ctx)
        attempt = attempts.resume_or_begin(ctx)
        if attempt is None:
            return
        done = Done("training_set", attempt)
        for step in (_collect, _train, _evaluate, _compare, _promote):
            done = step(ctx, done, now or datetime.now(UTC))
            _tell_mlflow(ctx, done)
            yield done
            if done.attempt.ended or (done.step == "comparison" and done.attempt.state == "shadowing"):
                return


def _tell_mlflow(ctx: RetrainContext, done: Done) -> None:
    """Of an attempt that has ended with a trained challenger."""
    if done.attempt.ended and (version := _version(ctx, done.attempt)) is not None:
        mlflow_log.log_attempt(ctx, done.attempt, version)


def heal(ctx: RetrainContext) -> None:
    """What a killed process may have left undone: the first champion, the pointer to it, artifacts without a version.

    A champion whose artifact is damaged gets an incident, and retraining goes on: its successor is the remedy.

    Only for the owner of the monitor's retraining.
    """
    promotion.register_first(ctx)
    publish(ctx)
    artifact_incidents.look(ctx)
    promotion.remove_orphans(ctx)


def publish(ctx: RetrainContext) -> str | None:
    """Makes the pointer file say what the rows say; its path. None: the champion's artifact is not kept here."""
    while True:
        champion = promotion.in_service(ctx)
        path = _point_to(ctx, champion)
        if promotion.in_service(ctx) == champion:  # else somebody promoted another one meanwhile
            return path


def _point_to(ctx: RetrainContext, champion: InService | None) -> str | None:
    if champion is None or not champion.is_here:
        promotion.point_to_none(ctx)
        return None
    if promotion.points_to(ctx) == champion.seq:
        return promotion.pointer_path(ctx)
    reference = rotation.export_reference(ctx, champion.version.model_version)
    return promotion.point_to(ctx, champion, str(reference))


def _guarded(ctx: RetrainContext, attempt: Attempt, work: Callable[[], Done], step: Step) -> Done:
    """``work``; an error of it fails the attempt, and a defect of ours is raised besides.

    Not an error of the attempt: a database that is away or ended a deadlock, another process that took over.
    """
    try:
        return work()
    except (WarehouseError, OperationalError, AttemptLostError):
        raise
    except UserError as error:
        return Done(step, attempts.fail(ctx, attempt, str(error)), {"error": str(error)})
    except Exception as error:
        attempts.fail(ctx, attempt, f"{type(error).__name__}: {error}")
        raise


# -- the steps -----------------------------------------------------------------------------------------------------


def _collect(ctx: RetrainContext, before: Done, now: datetime) -> Done:
    """The rows that the challenger may see; nothing for an attempt that is trained already."""
    attempt = before.attempt

    def work() -> Done:
        if attempt.state != "training":
            return Done("training_set", attempt, _plan(ctx.monitor, attempt, None))
        schema = ctx.monitor.schema_
        check_metric(metric_of(ctx.monitor), ctx.monitor.task, bool(schema.score or schema.class_scores))
        rows = training_rows(ctx, attempt)
        return Done("training_set", attempt, _plan(ctx.monitor, attempt, rows), rows)

    return _guarded(ctx, attempt, work, "training_set")


def _plan(monitor: Monitor, attempt: Attempt, rows: TrainingRows | None) -> Facts:
    """What the attempt sets out to do."""
    policy = monitor.retrain
    facts: dict[str, int | float | str | None] = {
        "attempt": attempt.attempt_id,
        "trigger": attempt.trigger,
        "labels_known_before": f"{attempt.as_of:%Y-%m-%d %H:%M} UTC",
        "window": policy.training.window,
        "mode": policy.training.mode,
        "champion": attempt.champion_version,
        "challenger": attempt.challenger_version,
        "judged_on": "windows that follow" if shadow_first(policy, attempt.trigger) else "newest mature windows",
    }
    if rows is not None:
        facts |= {"from": f"{rows.start:%Y-%m-%d}", "to": f"{rows.end:%Y-%m-%d}", "data_version": rows.data_version}
        facts |= {"rows": len(rows.fitted), "rows_held_out": len(rows.held_out)}
    return facts


def _train(ctx: RetrainContext, before: Done, now: datetime) -> Done:
    """The challenger, registered; its attempt is ``trained``."""
    attempt = before.attempt

    def work() -> Done:
        if attempt.state != "training":
            return Done("candidate", attempt, version=_version(ctx, attempt))
        version = train_challenger(ctx, attempt, before.rows)
        trained = ctx.warehouse.run(lambda conn: attempts.moved(conn, attempt, "trained"))
        return Done("candidate", trained, _costs(version), version=version)

    return _guarded(ctx, attempt, work, "candidate")


def _evaluate(ctx: RetrainContext, before: Done, now: datetime) -> Done:
    """The challenger's own reference, of rows it was not fitted on, and what training said of it."""
    attempt = before.attempt

    def work() -> Done:
        version = _version(ctx, attempt)
        facts: dict[str, int | float | str | None] = dict(version.training_metrics) if version else {}
        if version is not None and attempt.state == "trained":
            facts |= _reference(ctx, attempt, version)
        return Done("evaluation", attempt, facts, version=version)

    return _guarded(ctx, attempt, work, "evaluation")


def _reference(ctx: RetrainContext, attempt: Attempt, version: ModelVersion) -> Facts:
    """Of rows it was not fitted on. Where there is none it is made of the windows of the shadow, once they are in."""
    made = rotation.make_reference(ctx, attempt, version)
    return {"reference_rows": made.n_rows, "reference": made.rows}


def _compare(ctx: RetrainContext, before: Done, now: datetime) -> Done:
    """The comparison, or the beginning of the shadow that it waits for. A champion that stays ends the attempt here."""
    attempt = before.attempt

    def work() -> Done:
        current = attempt
        if current.state == "trained" and shadow_first(ctx.monitor.retrain, current.trigger):
            current = _begin_shadow(ctx, current)
        if current.state == "compared":
            return Done("comparison", current, {"reason": current.reason})
        if current.state == "shadowing" and not judged_rows.shadow_ended(ctx, current, now):
            return Done("comparison", current, {"shadow_until": f"{current.shadow_until:%Y-%m-%d %H:%M} UTC"})
        judged = judged_rows.judged_rows(ctx, current)
        policy = ctx.monitor.retrain
        shadow = current.state == "shadowing"
        version = _version(ctx, current)
        if shadow and version is not None:
            _look_back(ctx, current, version, judged)
        made = compare(judged.rows, metric_of(ctx.monitor), policy.promote, policy.min_improvement, shadow)
        written = _written(ctx, current, judged, made)
        return Done("comparison", written, _compared_facts(judged, made), judged=judged, comparison=made)

    return _guarded(ctx, attempt, work, "comparison")


def _promote(ctx: RetrainContext, before: Done, now: datetime) -> Done:
    """The challenger takes over, once its artifact is seen to be whole; services learn of it by the pointer."""
    attempt = before.attempt

    def work() -> Done:
        version = _version(ctx, attempt)
        if version is None or version.artifact_uri is None or version.artifact_sha256 is None:
            raise UserError(f"challenger {attempt.challenger_version} has no artifact, so it cannot be promoted")
        artifacts.verified(version.artifact_uri, version.artifact_sha256)
        done = promotion.promote(ctx, attempt, attempt.reason or "")
        if done.state == "promoted":
            rotation.close_incidents(ctx)
        facts = {"state": done.state, "reason": done.reason, "pointer": publish(ctx)}
        return Done("promotion", done, facts, version=version)

    return _guarded(ctx, attempt, work, "promotion")


def _look_back(ctx: RetrainContext, attempt: Attempt, version: ModelVersion, judged: Judged) -> None:
    """What the windows of a shadow say of the challenger: a reference where it has none, and its metrics."""
    if not rotation.has_reference(ctx, version.model_version):
        _reference(ctx, attempt, version)
    measure_shadow(ctx, rotation.with_outcome(ctx.monitor), version, judged.span)


def _begin_shadow(ctx: RetrainContext, attempt: Attempt) -> Attempt:
    until = attempt.as_of + ctx.monitor.retrain.promote.shadow_for

    def begin(conn: Connection) -> Attempt:
        moved = attempts.moved(conn, attempt, "shadowing", until=until)
        attempt_store.set_outcome(conn, attempt.decision_id, "shadowing", attempt.challenger_version)
        return moved

    return ctx.warehouse.run(begin)


def _written(ctx: RetrainContext, attempt: Attempt, judged: Judged, made: Comparison) -> Attempt:
    """Comparisons and state in one transaction: an attempt that rests in ``compared`` is one to promote."""
    rows = [_row(attempt, judged, one) for one in made.compared]
    with ctx.warehouse.transaction() as conn:
        lock_monitor(conn, ctx.monitor.name)
        attempt_store.save_comparisons(conn, attempt.attempt_id, rows)
        compared = attempts.moved(conn, attempt, "compared", made.reason)
        if made.outcome == "promote":
            return compared
        return promotion.settle_within(conn, ctx, compared, made.outcome, made.reason)


def _row(attempt: Attempt, judged: Judged, one: Any) -> dict[str, Any]:
    d = one.difference
    numbers = {
        "champion_value": d.champion,
        "challenger_value": d.challenger,
        "difference": d.value,
        "ci_low": d.low,
        "ci_high": d.high,
    }
    return {
        "guard": one.guard,
        "segment": one.segment,
        "metric": one.metric,
        "champion_version": attempt.champion_version,
        "challenger_version": attempt.challenger_version,
        "rows_from": judged.span.start,
        "rows_to": judged.span.end,
        "labels_known_at": judged.span.known_before,
        "n": d.n,
        "n_blocks": d.n_days,
        "method": d.method,
        "level": d.level,
        "delta": one.delta,
        "verdict": one.verdict,
        "reason": one.reason,
        **{name: value if isfinite(value) else None for name, value in numbers.items()},
    }


def _compared_facts(judged: Judged, made: Comparison) -> Facts:
    headline = made.compared[0]
    d = headline.difference
    return {
        "outcome": made.outcome,
        "reason": made.reason,
        "rows": d.n,
        "days": d.n_days,
        "from": f"{judged.span.start:%Y-%m-%d}",
        "to": f"{judged.span.end:%Y-%m-%d}",
        "champion_answers": judged.answers,
        "segments_compared": sum(one.guard == "segment" and one.verdict != "abstained" for one in made.compared),
    }


def _costs(version: ModelVersion) -> Facts:
    return {
        "algorithm": version.algorithm,
        "rows": version.n_rows,
        "from": None if version.train_start is None else f"{version.train_start:%Y-%m-%d}",
        "to": None if version.train_end is None else f"{version.train_end:%Y-%m-%d}",
        "seconds": version.duration_seconds,
        "cpu_seconds": version.cpu_seconds,
        "peak_memory_mb": None if version.peak_rss_bytes is None else round(version.peak_rss_bytes / 2**20, 1),
        "artifact": version.artifact_uri,
        "sha256": version.artifact_sha256,
    }


def _version(ctx: RetrainContext, attempt: Attempt) -> ModelVersion | None:
    versions = ctx.warehouse.run(lambda conn: model_versions.model_versions(conn, ctx.monitor.name))
    return versions.get(attempt.challenger_version)
