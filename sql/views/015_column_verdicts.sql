-- One calibrated verdict for each column and window, and what the budget of false alarms was spent on. A null in an array but moved
-- and pinned stands for the first element.

create or replace view monitoring.column_verdict_current as
select v.monitor, v.model_version, v.window_start, v.window_end, v.segment, u.column_name, u.role,
       nullif(coalesce(u.p_value, v.p_value[1]), 'NaN')::double precision as p_value, nullif(coalesce(u.q_value, v.q_value[1]), 'NaN')::double precision as q_value,
       case when coalesce(u.season_known, v.season_known[1]) then nullif(coalesce(u.p_alarm, v.p_alarm[1]), 'NaN')::double precision end as p_season,
       w.level, case coalesce(u.pinned, u.status, v.status[1]) when 2 then true when -1 then null else false end as drifted,
       coalesce(u.pinned, u.status, v.status[1]) = 1 as season,
       case coalesce(u.pinned, u.status, v.status[1]) when 2 then 'alarm' when 1 then 'notice' when 0 then 'quiet' else 'abstained' end as status,
       case when coalesce(u.pinned, u.status, v.status[1]) >= 0 then null when coalesce(u.n, v.n[1]) = 0 then 'no values in the window'
            else 'too few values to judge' end as reason,
       u.moved, coalesce(u.effect, v.effect[1])::double precision as effect, coalesce(u.horizon, v.horizon[1]) as horizon,
       (select i.importance from monitoring.column_importance i
        where i.monitor = v.monitor and i.column_name = u.column_name and i.model_version in ('', v.model_version)
        order by i.model_version desc limit 1) as importance, coalesce(u.n, v.n[1]) as n_current,
       case when u.pinned is null then coalesce(u.source, v.sources[1]) else 'declared' end as threshold_source,
       j.config_version, j.policy_version, j.code_version, j.run_id, j.judged_at
from monitoring.column_verdict v
join monitoring.judged_window w on w.monitor = v.monitor and w.window_start = v.window_start
join monitoring.judgement j on j.judgement_id = w.judgement_id
join monitoring.metric_keys k using (metric_keys_id)
cross join lateral unnest(k.column_names, k.roles, v.p_value, v.p_alarm, v.q_value, v.season_known, v.status, v.moved, v.horizon,
                          v.effect, v.n, v.sources, v.pinned)
  u (column_name, role, p_value, p_alarm, q_value, season_known, status, moved, horizon, effect, n, source, pinned);
comment on view monitoring.column_verdict_current is
  'The calibrated verdict on each column: one row per window, model version, segment and column.';

create or replace view monitoring.drift_calibration as
select d.monitor, d.model_version, d.segment, u.column_name, u.contrast, d.valid_from, u.s2, u.noise,
       sqrt(greatest(u.s2 - u.noise, 0)) as between_sd, u.df, u.rho, u.tail, nullif(u.season_s2, 'NaN') as season_s2,
       nullif(u.season_df, 0) as season_df, u.source
from monitoring.drift_null d
cross join lateral unnest(d.column_names, d.contrasts, d.s2, d.noise, d.df, d.rho, d.tail, d.season_s2, d.season_df, d.sources)
  u (column_name, contrast, s2, noise, df, rho, tail, season_s2, season_df, source);
comment on view monitoring.drift_calibration is
  'How much each contrast of a column varies between windows without drift: what its verdicts are calibrated on.';
comment on column monitoring.column_verdict_current.reason is 'Why the column was not judged; null when it was.';
comment on column monitoring.column_verdict_current.status is
  'alarm, notice (explained by earlier weeks), quiet, or abstained: not judged, see reason.';
comment on column monitoring.drift_calibration.column_name is 'Column of the prediction log by its own name.';
comment on column monitoring.drift_calibration.contrast is 'location, spread, outside, missing, unseen or category X.';
comment on column monitoring.drift_calibration.source is 'calibrated, calibrated-short, learnt or provisional.';
