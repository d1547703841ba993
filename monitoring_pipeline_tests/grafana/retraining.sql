-- What a policy, an attempt and a training leave behind. Bound: monitor, old and new version, start, segment.
insert into monitoring.known_version (monitor, model_version) values (:monitor, :old), (:monitor, :new) on conflict do nothing;
update monitoring.model_version set role = 'retired' where monitor = :monitor and superseded_at is null;
insert into monitoring.retrain_decision (monitor, decided_at, as_of, trigger, decision, reason, outcome, challenger_version,
  last_evaluated_at, n_evaluations, run_id)
values
  (:monitor, :start + interval '3 days', :start + interval '3 days', 'performance', 'wait', 'fewer than 14 mature days', null,
   null, :start + interval '4 days', 2, 'run-1'),
  (:monitor, :start + interval '5 days', :start + interval '5 days', 'rows', 'retrain', '25 % more labelled rows than the champion saw',
   'promoted', :new, :start + interval '5 days', 1, 'run-2');
insert into monitoring.retrain_attempt (monitor, decision_id, challenger_version, champion_version, state, as_of, reason, run_id)
select :monitor, revision_id, :new, :old, 'promoted', :start + interval '5 days', 'not worse by more than 0.01', 'run-2'
from monitoring.retrain_decision where monitor = :monitor and decision = 'retrain';
insert into monitoring.model_version (monitor, model_version, role, trained_at, train_start, train_end, algorithm, attempt_id, n_rows,
  duration_seconds, cpu_seconds, peak_rss_bytes, artifact_bytes)
select :monitor, :new, 'champion', :start + interval '5 days', :start - interval '60 days', :start + interval '4 days',
       'HistGradientBoostingClassifier', attempt_id, 81234, 7.5, 12.25, 261000000, 734003
from monitoring.retrain_attempt where monitor = :monitor;
insert into monitoring.promotion (monitor, model_version, previous_version, attempt_id, kind, by_whom, reason, at, as_of)
select :monitor, :new, :old, attempt_id, 'promotion', 'policy', 'not worse by more than 0.01', now(), :start + interval '6 days'
from monitoring.retrain_attempt where monitor = :monitor;
insert into monitoring.model_comparison (attempt_id, guard, segment, metric, champion_version, challenger_version, rows_from, rows_to,
  labels_known_at, n, n_blocks, method, champion_value, challenger_value, difference, ci_low, ci_high, level, delta, verdict, reason)
select a.attempt_id, c.guard, c.segment, c.metric, :old, :new, :start - interval '28 days', :start, :start, 25400, 28, 'DeLong, days as clusters',
       c.was, c.now, c.difference, c.difference - 0.012, c.difference + 0.012, 0.95, 0.01, c.verdict, c.reason
from monitoring.retrain_attempt a
cross join (values
  ('headline', '*', 'roc_auc', 0.701, 0.716, 0.015, 'better', 'the whole interval is above 0'),
  ('segment', :segment, 'roc_auc', 0.688, 0.691, 0.003, 'not worse', 'not worse by 0.01'),
  ('calibration', '*', 'expected_calibration_error', 0.021, 0.034, -0.013, 'worse', 'calibration error rose')
) c (guard, segment, metric, was, now, difference, verdict, reason)
where a.monitor = :monitor;
insert into monitoring.training_metric (monitor, model_version, split, metric, value, ci_low, ci_high, n)
select :monitor, :new, s.split, m.metric, m.value - s.loss, m.value - s.loss - 0.01, m.value - s.loss + 0.01, 20000
from (values ('train', 0.0), ('validation', 0.02), ('test', 0.03)) s (split, loss)
cross join (values ('roc_auc', 0.75), ('pr_auc', 0.52), ('log_loss', 0.46)) m (metric, value);
insert into monitoring.training_curve (monitor, model_version, split, metric, per_iteration)
select :monitor, :new, split, 'log_loss', array(select 0.45 + gap + 0.25 * exp(-i / 15.0) from generate_series(1, 80) i)
from (values ('train', 0.0), ('validation', 0.02)) s (split, gap);
insert into monitoring.tuning_trial (monitor, model_version, trial, state, hyperparameters, metric, value, rung, n_resources, cpu_seconds, error)
select :monitor, :new, n, case when n = 7 then 'failed' when n > 4 then 'pruned' else 'complete' end,
       jsonb_build_object('learning_rate', round((0.02 * (1 + n))::numeric, 3), 'max_leaf_nodes', 8 * (1 + n % 4)), 'roc_auc',
       case when n <> 7 then 0.71 - 0.002 * abs(n - 3) end, n % 3, 5000 * (1 + n % 3), 1.5 + n, case when n = 7 then 'out of memory' end
from generate_series(0, 9) n;
insert into monitoring.backtest (monitor, policy_name, policy, first_window, last_window, all_promoted, metric, higher_is_better,
  n_retrainings, n_promoted, minutes, mean_happened, mean_replayed, worst_happened, worst_replayed, gain, least_gain, code_version)
values (:monitor, 'policy.yaml', '{"cooldown": "14d"}', :start - interval '90 days', :start, false, 'roc_auc', true, 4, 3, 2.5, 0.718, 0.7315,
  0.6766, 0.6934, 0.0135, -0.006, '1');
insert into monitoring.backtest_month (backtest_id, month, n, happened, replayed)
select backtest_id, date_trunc('month', :start) - n * interval '1 month', 27000, 0.7 + 0.005 * n, 0.712 + 0.004 * n
from monitoring.backtest cross join generate_series(1, 3) n where monitor = :monitor;
