-- Replays of another retrain policy.

create or replace view monitoring.backtest_current as
select backtest_id, monitor, policy_name, policy, first_window, last_window, all_promoted, metric, higher_is_better, n_retrainings,
       n_promoted, minutes, mean_happened, mean_replayed, worst_happened, worst_replayed, gain, least_gain, ran_at, code_version
from monitoring.backtest;
comment on view monitoring.backtest_current is 'What each replay of the history under another retrain policy came to: retrainings, minutes, metric.';

create or replace view monitoring.backtest_month_current as
select b.monitor, m.backtest_id, b.metric, m.month, m.n, m.happened, m.replayed
from monitoring.backtest_month m join monitoring.backtest b using (backtest_id);
comment on view monitoring.backtest_month_current is 'The metric of each month of a replay, as it happened and under the policy.';

create or replace view monitoring.backtest_retraining_current as
select b.monitor, r.backtest_id, r.position, r.as_of, r.trigger, r.reason, r.n_rows, r.seconds, r.outcome, r.ended, r.why
from monitoring.backtest_retraining r join monitoring.backtest b using (backtest_id);
comment on view monitoring.backtest_retraining_current is 'The retrainings of each replay, with their outcomes.';
