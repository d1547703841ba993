"""The sensor of retraining: after new verdicts each policy is evaluated, and what it asks for is run.

One for the whole code location. It keeps nothing: decisions, attempts and what was looked at last are rows, so a
restart loses nothing, two at once take one decision, and the same evidence asks once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import dagster as dg
from dagster._core.definitions.target import ExecutableDefinition

from monitoring_pipeline.graph.requests import MONITOR_TAG, MOST_REQUESTS, idle_of
from monitoring_pipeline.graph.resources import MonitoringResource
from monitoring_pipeline.graph.schedules import retrain_job_name
from monitoring_pipeline.monitors import Monitor
from monitoring_pipeline.retraining.context import RetrainContext
from monitoring_pipeline.stages.context import StageContext
from monitoring_pipeline.stages.retrain_watch import Watched, look

DECISION_TAG = "monitoring/decision"
TRIGGER_TAG = "monitoring/trigger"


def retrain_sensor(monitors: Sequence[Monitor], jobs: Sequence[ExecutableDefinition]) -> dg.SensorDefinition:
    """Evaluates the policies of these monitors, whose retraining is enabled, and requests ``jobs``, theirs."""

    @dg.sensor(
        name="retraining",
        jobs=list(jobs),
        minimum_interval_seconds=60,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Decides after new verdicts whether to retrain, and runs the retraining that was decided.",
    )
    def retraining(
        context: dg.SensorEvaluationContext, monitoring: MonitoringResource
    ) -> Iterator[dg.RunRequest | dg.SkipReason]:
        found = look([_of(stages) for stages in idle_of(context, monitoring, monitors)])
        for name, error in found.errors.items():
            context.log.warning("%s: %s", name, error)
        yield from _requests(monitors, found)

    return retraining


def _requests(monitors: Sequence[Monitor], found: Watched) -> Iterator[dg.RunRequest | dg.SkipReason]:
    """A run for each monitor with work, with tags: a run key would keep a failed attempt from being tried again."""
    wanted = [monitor for monitor in monitors if monitor.name in found.work]
    for monitor in wanted[:MOST_REQUESTS]:
        work = found.work[monitor.name]
        tags = {MONITOR_TAG: monitor.name, DECISION_TAG: f"{work.decision_id}", TRIGGER_TAG: work.trigger}
        yield dg.RunRequest(job_name=retrain_job_name(monitor), tags=tags)
    if not wanted:
        said = [f"{name}: {text}" for name, text in {**found.said, **found.errors}.items()]
        yield dg.SkipReason("; ".join(said) or "nothing new to decide on")


def _of(stages: StageContext) -> RetrainContext:
    return RetrainContext(stages.monitor, stages.warehouse, stages.settings, stages.run_id)
