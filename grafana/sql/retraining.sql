-- Retraining: was it asked for, why, what came of it, and is the new model better?

-- name: attempts_offered
select challenger_version || ' (' || state || ', ' || to_char(as_of at time zone 'UTC', 'YYYY-MM-DD') || ')' as __text, attempt_id as __value
from monitoring.retrain_attempt_current where {{this_monitor}} order by attempt_id desc limit 200

-- name: decision_moment
coalesce(as_of, decided_at) >= $__timeFrom()::timestamptz and coalesce(as_of, decided_at) <= $__timeTo()::timestamptz

-- name: attempt_moment
as_of >= $__timeFrom()::timestamptz and as_of <= $__timeTo()::timestamptz

-- name: champion
select champion_version from monitoring.monitor_current where {{this_monitor}}

-- name: champion_age
select extract(epoch from {{now}} - coalesce(v.labels_known_at, v.trained_at)) from monitoring.monitor_current m
join monitoring.model_version_current v on v.monitor = m.monitor and v.model_version = m.champion_version where m.monitor = '$monitor'

-- name: newest_decision
select decision || case when n_evaluations > 1 then ' (' || n_evaluations || ' times)' else '' end
from monitoring.retrain_decision_current where {{this_monitor}} and {{decision_moment}}
order by coalesce(as_of, decided_at) desc, decision_id desc limit 1

-- name: n_attempts
select count(*) from monitoring.retrain_attempt_current where {{this_monitor}} and {{attempt_moment}}

-- name: n_promoted
select count(*) from monitoring.promotion_current
where {{this_monitor}} and kind in ('promotion', 'manual') and coalesce(as_of, at) >= $__timeFrom()::timestamptz
  and coalesce(as_of, at) <= $__timeTo()::timestamptz

-- name: training_seconds
select sum(v.duration_seconds) from monitoring.model_version_current v
join monitoring.retrain_attempt_current a on a.attempt_id = v.attempt_id
where v.monitor = '$monitor' and a.as_of >= $__timeFrom()::timestamptz and a.as_of <= $__timeTo()::timestamptz

-- name: headline
(select metric from monitoring.window_headline_current where {{this_monitor}} and {{in_range}} order by window_start desc limit 1)

-- Every version that was in service, at most the ten newest: merged windows where weeks, months or quarters are declared, else
-- each window.
-- name: by_version
with version as (
  select model_version, chr(9311 + row_number() over (order by max(window_start) desc, model_version)::integer) as rank
  from monitoring.window_summary_current where {{this_monitor}} and {{in_range}} group by 1 order by max(window_start) desc, 1 limit 10
), period as (
  select model_version, greatest(window_start, $__timeFrom()::timestamptz) as time, value from monitoring.rollup_performance_current
  where {{this_monitor}} and segment = '*' and metric = {{headline}} and kind = 'realized' and mature
    and window_size = {{shortest_rollup}} and {{touches_range}}
  union all
  select model_version, window_start, value from monitoring.window_headline_current
  where {{this_monitor}} and {{in_range}} and mature and {{shortest_rollup}} is null)
select time, rank || ' ' || model_version as metric, value from period join version using (model_version) order by 1, 2

-- name: decisions
select coalesce(as_of, decided_at) as as_of, decision, trigger, reason, n_evaluations, outcome, challenger_version, run_id
from monitoring.retrain_decision_current where {{this_monitor}} and {{decision_moment}}
order by coalesce(as_of, decided_at) desc, decision_id desc limit 200

-- name: differences
select a.as_of as time, c.difference, c.ci_high as high, c.ci_low as low, -c.delta as allowed,
       case when c.verdict in ('better', 'not worse') then c.difference end as passed,
       case when c.verdict = 'worse' then c.difference end as worse
from monitoring.model_comparison_current c join monitoring.retrain_attempt_current a using (attempt_id)
where a.monitor = '$monitor' and c.guard in ('headline', 'shadow') and a.as_of >= $__timeFrom()::timestamptz and a.as_of <= $__timeTo()::timestamptz
order by 1

-- name: attempts
select a.attempt_id, a.as_of, a.state, a.challenger_version, a.champion_version, coalesce(a.error, a.reason) as reason, a.run_id
from monitoring.retrain_attempt_current a where a.monitor = '$monitor' and {{attempt_moment}} order by a.attempt_id desc limit 200

-- name: comparison
select guard, segment, metric, champion_value, challenger_value, difference, ci_low, ci_high, n, n_blocks, verdict,
       case when difference is null or verdict not in ('better', 'not worse', 'worse') then reason end as reason
from monitoring.model_comparison_current where {{this_monitor}} and attempt_id::text = {{attempt}}
order by array_position(array['headline', 'shadow', 'calibration', 'fairness', 'segment'], guard), segment <> '*', difference nulls last

-- name: versions
select v.model_version, v.role, v.trained_at, v.algorithm, v.n_rows, v.train_start, v.train_end, v.duration_seconds, v.cpu_seconds,
       v.peak_rss_bytes, v.artifact_bytes
from monitoring.model_version_current v where v.monitor = '$monitor' order by v.trained_at desc nulls last limit 200

-- name: training_metrics
select metric, max(value) filter (where split = 'train') as train, max(value) filter (where split = 'validation') as validation,
       max(value) filter (where split = 'test') as test, max(ci_low) filter (where split = 'test') as low,
       max(ci_high) filter (where split = 'test') as high, max(n) filter (where split = 'test') as n
from monitoring.training_metric_current where {{this_monitor}} and model_version = {{its_version}} and metric not like 'confusion[%' group by 1 order by 1

-- name: its_version
coalesce((select a.challenger_version from monitoring.retrain_attempt_current a where a.monitor = '$monitor' and a.attempt_id::text = {{attempt}}),
         (select m.champion_version from monitoring.monitor_current m where m.monitor = '$monitor'))

-- name: trials
select trial, rung, state, metric, value, hyperparameters::text as hyperparameters, n_resources, cpu_seconds, error
from monitoring.tuning_trial_current where {{this_monitor}} and model_version = {{its_version}} order by value desc nulls last, trial limit 500

-- At most about 25 iterations, the last one among them: there is no room for the labels of all.
-- name: curve
select iteration::text as label, max(value) filter (where split = 'train') as train,
       max(value) filter (where split = 'validation') as validation
from monitoring.training_curve_current
where {{this_monitor}} and model_version = {{its_version}}
  and metric = (select min(c.metric) from monitoring.training_curve_current c where c.monitor = '$monitor' and c.model_version = {{its_version}})
  and iteration % (select 1 + max(c.iteration) / 25 from monitoring.training_curve_current c where c.monitor = '$monitor' and c.model_version = {{its_version}})
      = (select max(c.iteration) % (1 + max(c.iteration) / 25) from monitoring.training_curve_current c where c.monitor = '$monitor' and c.model_version = {{its_version}})
group by training_curve_current.iteration order by training_curve_current.iteration limit 400

-- name: newest_backtest
(select max(backtest_id) from monitoring.backtest_current where {{this_monitor}})

-- name: backtest_months
select * from (
  select to_char(m.month at time zone 'UTC', 'YYYY-MM') as label,
         case when b.higher_is_better then m.replayed - m.happened else m.happened - m.replayed end as gain
  from monitoring.backtest_month_current m join monitoring.backtest_current b using (backtest_id)
  where m.monitor = '$monitor' and backtest_id = {{newest_backtest}} order by m.month desc limit 36) newest order by 1

-- name: backtests
select ran_at, regexp_replace(policy_name, '[.]ya?ml$', '') || case when all_promoted then ', all promoted' else '' end as policy, metric, n_retrainings, n_promoted,
       minutes * 60 as training, mean_happened, mean_replayed, gain, least_gain
from monitoring.backtest_current where {{this_monitor}} order by backtest_id desc limit 50

-- name: decision_events
select coalesce(as_of, decided_at) as time, decision || ' (' || trigger || '): ' || reason as text, decision as tags
from monitoring.retrain_decision_current where {{this_monitor}} and decision = 'retrain' and {{decision_moment}} order by 1
