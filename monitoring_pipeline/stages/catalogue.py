"""The stages of a window: one table that the graph, the ledger, staleness and the docs derive from.

Adding a stage is a module that works on windows and a row here.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from monitoring_pipeline.alerting.policy import policy_version
from monitoring_pipeline.monitors import Monitor


def _nothing(monitor: Monitor) -> Any:
    """The stage reads nothing of the declaration that its data does not already depend on."""
    return None


def _segments(monitor: Monitor) -> Any:
    return monitor.canonical()["segments"]


def _protected(monitor: Monitor) -> Any:
    return monitor.canonical()["protected"] or None


def _baselines(monitor: Monitor) -> Any:
    return monitor.canonical()["baselines"]


def _max_delay(monitor: Monitor) -> Any:
    return monitor.labels.max_delay.total_seconds() if monitor.ground_truth is not None else None


def _rollups(monitor: Monitor) -> Any:
    return [policy_version(monitor), monitor.canonical()["rollups"]] if monitor.rollups else None


@dataclass(frozen=True)
class Stage:
    """One stage. ``asset`` is its name in Dagster, ``name`` its name in the ledger.

    ``parents``: assets it follows. ``reads``: kinds of input it records (see ``stages.inputs``). ``works``: the
    function that does it as ``module:name``, ``(StageContext, windows) -> outcomes``. ``declared``: what it reads of
    the declaration; a change makes it stale. ``needs_labels``: a window without labels does not wait for it.
    """

    name: str
    asset: str
    parents: tuple[str, ...]
    reads: tuple[str, ...]
    works: str
    description: str
    kinds: frozenset[str]
    declared: Callable[[Monitor], Any] = _nothing
    needs_labels: bool = False

    def config(self, monitor: Monitor) -> str:
        """Digest of what the stage reads of the declaration."""
        read = self.declared(monitor)
        return read if isinstance(read, str) else hashlib.sha256(json.dumps(read).encode()).hexdigest()[:12]


_POSTGRES = frozenset({"postgres"})

STAGES: tuple[Stage, ...] = (
    Stage(
        "ingestion", "predictions", (), ("sources",), "ingestion:ingest",
        "The window's prediction log, checked against the declared schema, deduplicated, in the lake.",
        frozenset({"duckdb", "parquet"}),
    ),
    Stage(
        "profile", "profile", ("predictions", "reference"), ("data", "reference", "config"), "profiling:profile",
        "Mergeable summary of the window by model version and segment; later stages read nothing else.",
        frozenset({"duckdb", "postgres"}), _segments,
    ),
    Stage(
        "ground_truth", "ground_truth", ("predictions", "reference"), ("data", "labels", "reference", "config"),
        "ground_truth:join_labels",
        "True outcomes that have arrived so far, joined by prediction id and counted by score or error.",
        _POSTGRES, _segments, needs_labels=True,
    ),
    Stage(
        "quality", "quality", ("profile", "ground_truth"), ("data", "labels", "stage", "reference", "rows"),
        "quality:measure",
        "Data-quality metrics (`monitoring.quality_current`); fairness of protected columns (`fairness_current`).",
        _POSTGRES, _protected,
    ),
    Stage(
        "drift", "drift", ("profile", "ground_truth"), ("data", "labels", "stage", "reference", "profile", "config"),
        "drift:measure",
        "Drift of every column from every baseline by every method (`monitoring.drift_current`).",
        _POSTGRES, _baselines,
    ),
    Stage(
        "performance", "performance", ("ground_truth",), ("data", "labels", "reference"), "performance:measure",
        "Realized performance with intervals and coverage (`monitoring.performance_current`).", _POSTGRES,
        needs_labels=True,
    ),
    Stage(
        "estimation", "estimated_performance", ("profile", "ground_truth"),
        ("data", "stage", "reference", "profile", "config"), "estimation:measure",
        "Performance expected of the scores before outcomes are known (`monitoring.performance_current`).", _POSTGRES,
        _max_delay,
    ),
    Stage(
        "verdicts", "verdicts", ("quality", "drift", "performance", "estimated_performance"),
        ("stage", "aged", "config"), "judging:judge",
        "Which metrics drifted, violate their threshold or are degraded, under the declared thresholds.",
        _POSTGRES, policy_version,
    ),
    Stage(
        "incidents", "incidents", ("verdicts",), ("stage", "config"), "incidents:update",
        "Alarms that share time and cause, opened, amended, resolved or retracted (`monitoring.incident_current`).",
        _POSTGRES, policy_version,
    ),
    Stage(
        "rollups", "rollups", ("verdicts",), ("stage", "config"), "rollups:update",
        "Weeks, months, quarters and trailing rows, merged from stored profiles (`monitoring.rollup_current`).",
        _POSTGRES, _rollups,
    ),
)  # fmt: skip

BY_NAME = {stage.name: stage for stage in STAGES}
BY_ASSET = {stage.asset: stage for stage in STAGES}


def assets_from(stage: str) -> tuple[str, ...]:
    """The assets that are run again when this is the first stage of a window that is stale, in order."""
    return tuple(one.asset for one in STAGES[STAGES.index(BY_NAME[stage]) :])


def stage_configs(monitor: Monitor) -> dict[str, str]:
    """By stage: digest of what it reads of the declaration."""
    return {stage.name: stage.config(monitor) for stage in STAGES}
