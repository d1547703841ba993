"""The views behind the dashboards say what the views that they sum up say, and the catalogue what the code does."""

from __future__ import annotations

import re

import numpy as np
import pytest

from monitoring_pipeline.metrics.drift import METHODS
from monitoring_pipeline.metrics.performance import higher_is_better, measure_outcome
from monitoring_pipeline.metrics.performance.headline import HEADLINE
from monitoring_pipeline.profiles.layout import OutcomeLayout
from monitoring_pipeline.profiles.outcome import OutcomeProfile
from monitoring_pipeline_tests.front_door import query

LAYOUTS = (
    OutcomeLayout("binary", ("0", "1"), ("1",), (0.25, 0.5, 0.75)),
    OutcomeLayout("multiclass", ("a", "b", "c"), ("a", "b", "c"), (0.25, 0.5, 0.75)),
    OutcomeLayout("regression", (), (), (0.0, 1.0)),
)


def base_of(metric: str) -> str:
    """The name in the catalogue: without class, bin and average."""
    return re.sub(r"_(macro|weighted)$", "", metric.partition("[")[0])


def test_catalogue_holds_every_metric_there_is(world: str) -> None:
    catalogue = query(world, "select family, metric, higher_is_better from monitoring.metric_catalog")
    of = {family: set(rows["metric"]) for family, rows in catalogue.groupby("family")}
    assert len(catalogue) == sum(map(len, of.values())), "each once"
    assert of["drift"] == {*METHODS, "drifted_columns_share"}
    measured = query(world, "select distinct metric from monitoring.quality_current")["metric"]
    assert set(measured) <= of["quality"]
    outcomes = {base_of(m) for layout in LAYOUTS for m in measure_outcome(OutcomeProfile.empty(layout))}
    seen = query(world, "select distinct metric from monitoring.performance_current")["metric"]
    assert outcomes | {base_of(m) for m in seen} == of["performance"], "bins and cells only where there are rows"


def test_catalogue_and_code_agree_on_what_is_better(world: str) -> None:
    catalogue = query(
        world, "select metric, higher_is_better from monitoring.metric_catalog where family = 'performance'"
    )
    for one in catalogue.itertuples():
        assert one.higher_is_better == higher_is_better(one.metric) or (
            one.higher_is_better is None and higher_is_better(one.metric) is None
        ), one.metric


def test_headline_of_each_task_is_the_codes(world: str) -> None:
    found = query(world, "select task, headline_metric, higher_is_better from monitoring.monitor_current")
    for one in found.itertuples():
        assert one.headline_metric == HEADLINE[one.task]
        assert one.higher_is_better is higher_is_better(one.headline_metric)


COUNTED = """
select s.*, p.value as expected_value, p.ci_low as expected_low, p.degraded as expected_degraded,
       p.mature as expected_mature, p.threshold as expected_threshold, p.reference_value as expected_reference,
       (select count(*) from monitoring.column_verdict_current c
        where c.monitor = s.monitor and c.model_version = s.model_version and c.window_start = s.window_start
          and c.segment = '*' and c.drifted) as expected_drifted,
       (select count(*) from monitoring.quality_current q
        where q.monitor = s.monitor and q.model_version = s.model_version and q.window_start = s.window_start
          and q.segment = '*' and q.violated) as expected_violated
from monitoring.window_summary_current s
left join monitoring.performance_current p
  on p.monitor = s.monitor and p.model_version = s.model_version and p.window_start = s.window_start
 and p.segment = '*' and p.metric = s.metric and p.kind = 'realized'
"""


def test_window_summary_is_what_the_other_views_say(world: str) -> None:
    rows = query(world, COUNTED)
    windows = query(world, "select count(*) as n from monitoring.ingestion_current")["n"].item()
    assert windows == 15 and len(rows) == 15 + 9, "two versions at once are two rows"
    for name in ("value", "threshold", "low", "reference"):
        seen = {"low": "ci_low", "reference": "reference_value"}.get(name, name)
        np.testing.assert_array_equal(rows[seen].astype(float), rows[f"expected_{name}"].astype(float))
    judged = rows[rows["expected_mature"].notna()]
    assert len(judged) == 23 and list(judged["mature"]) == list(judged["expected_mature"])
    assert list(rows["n_drifted"]) == list(rows["expected_drifted"]) and rows["n_drifted"].sum() > 0
    assert list(rows["n_violated"]) == list(rows["expected_violated"])
    taken = query(world, "select sum(n_rows) as n from monitoring.ingestion_current")["n"].item()
    assert rows["n_predictions"].sum() == taken


def test_incidents_span_the_windows_that_they_name(world: str) -> None:
    spans = query(
        world,
        "select count(*) as n from monitoring.incident_current i join monitoring.window_summary_current s"
        " on s.monitor = i.monitor and s.window_start between i.first_window and i.last_window"
        " where i.state <> 'retracted'",
    )["n"].item()
    summed = query(world, "select sum(n_incidents) as n from monitoring.window_summary_current")["n"].item()
    assert summed == spans > 0


@pytest.mark.parametrize("view", ["segment_window_current", "database_size_current"])
def test_sums_are_not_lost(view: str, world: str) -> None:
    if view == "segment_window_current":
        rows = query(
            world,
            "select window_start, model_version, n_rows, segment from monitoring.segment_window_current"
            " where monitor = 'toy'",
        )
        parts = rows[rows["segment"] != "*"].groupby(["window_start", "model_version"])["n_rows"].sum()
        whole = rows[rows["segment"] == "*"].groupby(["window_start", "model_version"])["n_rows"].sum()
        assert parts.equals(whole)
    else:
        said = query(world, "select sum(bytes) as n from monitoring.database_size_current")["n"].item()
        size = query(world, "select pg_database_size(current_database()) as n")["n"].item()
        assert 0.2 * size < said < size
