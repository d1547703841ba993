"""The headline metric of each window in a row of its own, for what looks at many monitors and windows at once."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection, text

from monitoring_pipeline.windows import Window

# Of three metrics a task has the first that stands for it: see metrics.performance.headline
REMEMBER = text("""
insert into monitoring.window_headline as h (monitor, window_start, window_end, model_version, metric, value, ci_low,
  ci_high, threshold, reference_value, degraded, mature, n_predictions, n_labelled)
select m.monitor, m.window_start, m.window_end, m.model_version, k.metrics[k.at],
       nullif(coalesce(m.value[k.at], 0), 'NaN'),
       case when m.ci_low is not null then nullif(coalesce(m.ci_low[k.at], m.value[k.at], 0), 'NaN') end,
       case when m.ci_high is not null then nullif(coalesce(m.ci_high[k.at], m.value[k.at], 0), 'NaN') end,
       nullif(t.thresholds[k.at], 'NaN'),
       nullif(coalesce(r.reference_values[k.at], m.reference_value[k.at]), 'NaN'),
       case when get_bit(v.flags, 2 * k.at - 2) = 1 then get_bit(v.flags, 2 * k.at - 1) = 1 end,
       coalesce(v.mature, false), m.n_predictions, m.n_labelled
from monitoring.measurement m
join (select s.metric_keys_id, s.metrics,
             coalesce(array_position(s.metrics, 'mae'), array_position(s.metrics, 'roc_auc'),
                      array_position(s.metrics, 'f1_macro')) as at
      from monitoring.metric_keys s where s.family = 'realized') k
  on k.metric_keys_id = m.metric_keys_id and k.at is not null
join monitoring.verdict v on v.window_start = m.window_start and v.measurement_id = m.measurement_id
left join monitoring.threshold_set t on t.threshold_set_id = v.threshold_set_id
left join monitoring.reference_values r on r.reference_values_id = m.reference_values_id
where m.monitor = :monitor and m.family = 'realized' and m.segment = '*' and m.baseline = ''
  and m.superseded_at is null and m.window_start = any (cast(:starts as timestamptz[]))
  and m.window_start >= :first and m.window_start <= :last
on conflict (monitor, window_start, model_version) do update set window_end = excluded.window_end,
  metric = excluded.metric, value = excluded.value, ci_low = excluded.ci_low, ci_high = excluded.ci_high,
  threshold = excluded.threshold, reference_value = excluded.reference_value, degraded = excluded.degraded,
  mature = excluded.mature, n_predictions = excluded.n_predictions, n_labelled = excluded.n_labelled
where h is distinct from excluded
""")


def remember_headlines(conn: Connection, monitor: str, windows: Iterable[Window]) -> None:
    """Brings the rows of these windows up to their current measurements and verdicts."""
    starts = sorted({window.start for window in windows})
    if starts:
        conn.execute(REMEMBER, {"monitor": monitor, "starts": starts, "first": starts[0], "last": starts[-1]})
