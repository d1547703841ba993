-- What dashboards and alerts ask: each monitor, each of its windows in one row, what metrics mean, the intake, sizes.
-- Counts are subqueries in the select list: a query that does not name them does not pay for them.

create or replace view monitoring.monitor_current as
select m.monitor, m.description, m.task, m.window_size, m.owner_team,
       case m.window_size when 'hour' then 3600 else 86400 end as window_seconds,
       m.starts_on, (d.declaration ->> 'end')::date as ends_on, m.baselines, m.segmentations, m.has_ground_truth,
       m.label_coverage, m.label_max_delay,
       case m.task when 'binary' then 'roc_auc' when 'multiclass' then 'f1_macro' else 'mae' end as headline_metric,
       m.task <> 'regression' as higher_is_better,
       (d.declaration #>> '{alarms,budget}')::double precision as alarm_budget, m.config_version, m.declared_at,
       (select v.model_version from monitoring.model_version v
        where v.monitor = m.monitor and v.role = 'champion' and v.superseded_at is null
        order by v.trained_at desc nulls last limit 1) as champion_version
from monitoring.monitor m
left join monitoring.monitor_declaration d on d.monitor = m.monitor and d.config_version = m.config_version;
comment on view monitoring.monitor_current is 'The declared monitors, with what dashboards need of the declaration.';
comment on column monitoring.monitor_current.window_seconds is 'Length of a window in seconds.';
comment on column monitoring.monitor_current.ends_on is 'Declared end (UTC, the day is excluded); null: it has none. From then on nothing is late.';
comment on column monitoring.monitor_current.headline_metric is 'The one performance metric shown where there is room for one.';
comment on column monitoring.monitor_current.higher_is_better is 'Whether a higher value of the headline metric is better.';
comment on column monitoring.monitor_current.alarm_budget is 'False incidents a month that the declaration accepts.';
comment on column monitoring.monitor_current.champion_version is 'Model version in service; null: none is registered.';

create or replace view monitoring.window_headline_current as
select monitor, model_version, window_start, window_end, metric, value, ci_low, ci_high, threshold, reference_value, degraded,
       mature, n_predictions, n_labelled
from monitoring.window_headline;
comment on view monitoring.window_headline_current is
  'The headline metric of all rows of each window that has labels, as last judged: one row per window and model version.';

create or replace view monitoring.window_summary_current as
with seen as (
  select p.monitor, p.window_start, p.window_end, v.model_version, v.n::bigint as n_predictions
  from monitoring.prediction_window p cross join lateral jsonb_each_text(p.versions) v (model_version, n)
)
select s.monitor, s.model_version, s.window_start, s.window_end,
       coalesce(h.metric, (select n.headline_metric from monitoring.monitor_current n where n.monitor = s.monitor)) as metric,
       h.value, h.ci_low, h.ci_high, h.threshold, h.reference_value, h.degraded, coalesce(h.mature, false) as mature,
       (select nullif(coalesce(e.value[array_position(k.metrics, coalesce(h.metric, n.headline_metric))], 0), 'NaN')
        from monitoring.measurement e join monitoring.metric_keys k using (metric_keys_id)
        join monitoring.monitor_current n on n.monitor = e.monitor
        where e.monitor = s.monitor and e.family = 'estimated' and e.window_start = s.window_start and e.window_end = s.window_end
          and e.model_version = s.model_version and e.baseline = '' and e.segment = '*' and e.superseded_at is null
          and coalesce(h.metric, n.headline_metric) = any (k.metrics)) as estimated,
       s.n_predictions, coalesce(h.n_labelled, 0) as n_labelled,
       coalesce(h.n_labelled, 0)::double precision / nullif(s.n_predictions, 0) as coverage,
       (select count(*) from monitoring.column_verdict c cross join lateral unnest(c.status, c.pinned) u (status, pinned)
        where c.window_start = s.window_start and c.monitor = s.monitor and c.model_version = s.model_version and c.segment = '*'
          and coalesce(u.pinned, u.status, c.status[1]) = 2) as n_drifted,
       (select count(*) from monitoring.column_verdict c cross join lateral unnest(c.status, c.pinned) u (status, pinned)
        where c.window_start = s.window_start and c.monitor = s.monitor and c.model_version = s.model_version and c.segment = '*'
          and coalesce(u.pinned, u.status, c.status[1]) >= 0) as n_judged,
       (select count(*) from monitoring.measurement q
        join monitoring.verdict w on w.window_start = q.window_start and w.measurement_id = q.measurement_id
        cross join lateral generate_series(1, length(w.flags) - 1, 2) u (flag)
        where q.monitor = s.monitor and q.family = 'quality' and q.window_start = s.window_start and q.window_end = s.window_end
          and q.model_version = s.model_version and q.segment = '*' and q.superseded_at is null and get_bit(w.flags, u.flag) = 1) as n_violated,
       (select count(*) from monitoring.incident i
        where i.monitor = s.monitor and i.superseded_at is null and i.state <> 'retracted'
          and i.first_window <= s.window_start and i.last_window >= s.window_start) as n_incidents,
       (select count(*) from monitoring.incident i
        where i.monitor = s.monitor and i.superseded_at is null and i.state = 'open'
          and i.first_window <= s.window_start and i.last_window >= s.window_start) as n_open_incidents
from seen s
left join monitoring.window_headline h
  on h.monitor = s.monitor and h.window_start = s.window_start and h.model_version = s.model_version;
comment on view monitoring.window_summary_current is
  'Each window in one row a model version: headline metric of all rows with its verdict, labels, counts of what was found.';
comment on column monitoring.window_summary_current.metric is 'The headline metric: roc_auc (f1_macro without a score), f1_macro or mae.';
comment on column monitoring.window_summary_current.value is 'Its realized value; null: no labels, or undefined.';
comment on column monitoring.window_summary_current.estimated is 'The same, estimated without labels; null: not estimated.';
comment on column monitoring.window_summary_current.n_drifted is 'Columns whose calibrated or pinned verdict is an alarm, over all rows.';
comment on column monitoring.window_summary_current.n_judged is 'Columns that were judged, over all rows.';
comment on column monitoring.window_summary_current.n_violated is 'Quality metrics of all rows that violate their threshold.';
comment on column monitoring.window_summary_current.n_incidents is 'Incidents, not retracted, that span the window.';
comment on column monitoring.window_summary_current.n_open_incidents is 'Those of them that are open.';

create or replace view monitoring.segment_window_current as
select p.monitor, p.model_version, p.window_start, p.window_end, p.segment, p.n_rows
from monitoring.profile p
where p.scope = 'window' and p.part = 'columns';
comment on view monitoring.segment_window_current is 'Segments met in each window: one row per window, model version and segment.';
comment on column monitoring.segment_window_current.n_rows is 'Rows of the segment in the window.';

create or replace view monitoring.ingestion_current as
select p.monitor, p.window_start, p.window_end, p.n_rows, p.n_duplicates, p.n_quarantined,
       p.n_rows + p.n_duplicates + p.n_quarantined as n_received, p.last_event_at, p.ingested_at,
       (select string_agg(q.reason || ': ' || q.count, ', ' order by q.count desc, q.reason) from monitoring.window_quarantine q
        where q.monitor = p.monitor and q.window_start = p.window_start) as quarantine,
       (select string_agg(v.key, ', ' order by v.key) from jsonb_each(p.versions) v) as model_versions,
       p.data_version, p.run_id
from monitoring.prediction_window p;
comment on view monitoring.ingestion_current is 'What was taken in: one row per window of the prediction log.';
comment on column monitoring.ingestion_current.n_rows is 'Rows kept.';
comment on column monitoring.ingestion_current.n_duplicates is 'Rows dropped because their id had been seen.';
comment on column monitoring.ingestion_current.n_quarantined is 'Rows set aside because they could not be used.';
comment on column monitoring.ingestion_current.n_received is 'Rows received: kept, duplicate and quarantined.';
comment on column monitoring.ingestion_current.last_event_at is 'Time of the newest prediction in the window.';
comment on column monitoring.ingestion_current.ingested_at is 'When the window was last taken in.';
comment on column monitoring.ingestion_current.quarantine is 'Reasons of the rows set aside, with counts; null: none.';
comment on column monitoring.ingestion_current.model_versions is 'Model versions met in the window.';

create or replace view monitoring.database_size_current as
select coalesce(parent.relname, c.relname)::text as relation, sum(pg_total_relation_size(c.oid))::bigint as bytes,
       sum(greatest(c.reltuples, 0))::bigint as n_rows, count(*)::integer as n_partitions
from pg_class c
left join pg_inherits i on i.inhrelid = c.oid
left join pg_class parent on parent.oid = i.inhparent
where c.relnamespace = 'monitoring'::regnamespace and c.relkind = 'r'
group by 1;
comment on view monitoring.database_size_current is 'Size of each table with its indexes, partitions together.';
comment on column monitoring.database_size_current.relation is 'Name of the table.';
comment on column monitoring.database_size_current.bytes is 'Bytes on disk, indexes and compressed values included.';
comment on column monitoring.database_size_current.n_rows is 'Rows, as the planner last estimated.';
comment on column monitoring.database_size_current.n_partitions is 'Monthly partitions; 1 for a table that has none.';

-- A class or bin in brackets and the averages _macro and _weighted are left out: recall[class=2] and f1_macro are here as
-- recall and f1.
create or replace view monitoring.metric_catalog as
select * from (values
  ('psi', 'drift', 'nats', 0::double precision, null::double precision, null::boolean, 'Population stability index: about d² for a shift of d standard deviations.', 'sum (p - q) ln(p / q)'),
  ('jensen_shannon', 'drift', '', 0, 0.832555, null, 'Jensen-Shannon distance, natural logarithm.', 'sqrt(KL(p || m) / 2 + KL(q || m) / 2), m = (p + q) / 2'),
  ('kl_divergence', 'drift', 'nats', 0, null, null, 'Kullback-Leibler divergence of the window from the reference.', 'sum p ln(p / q)'),
  ('hellinger', 'drift', '', 0, 1, null, 'Hellinger distance.', 'sqrt(1 - sum sqrt(p q))'),
  ('total_variation', 'drift', 'share', 0, 1, null, 'Share of the rows that changed bin.', 'sum |p - q| / 2'),
  ('chi_square', 'drift', '', 0, null, null, 'Pearson''s chi-square of the window''s counts; grows with the rows.', 'sum (c - E)² / E'),
  ('kolmogorov_smirnov', 'drift', 'share', 0, 1, null, 'Largest difference of the distribution functions at the bins'' edges.', 'max |F - G|'),
  ('wasserstein', 'drift', 'sd', 0, null, null, 'Distance that values moved, in standard deviations of the reference.', 'integral |F - G| / sd'),
  ('missing_share_change', 'drift', 'share', 0, 1, null, 'Change of the share of rows without a value.', '|missing now - missing before|'),
  ('unseen_share', 'drift', 'share', 0, 1, null, 'Share of the values that are no category of the reference.', 'n_unseen / n'),
  ('vanished_share', 'drift', 'share', 0, 1, null, 'Reference share of categories that should have occurred and did not.', 'sum p over categories without a row'),
  ('drifted_columns_share', 'drift', 'share', 0, 1, null, 'Share of the features that drifted.', 'n_drifted / n_features'),
  ('rows', 'quality', 'rows', 0, null, null, 'Rows of the window.', 'count'),
  ('volume_ratio', 'quality', '', 0, null, null, 'Rows against the usual number.', 'rows / median of earlier windows'),
  ('freshness_seconds', 'quality', 's', 0, null, false, 'Time from the last prediction to the end of the window.', 'window_end - last event'),
  ('duplicate_share', 'quality', 'share', 0, 1, false, 'Share of the rows received whose id had been seen.', 'n_duplicates / n_received'),
  ('quarantined_share', 'quality', 'share', 0, 1, false, 'Share of the rows received that could not be used.', 'n_quarantined / n_received'),
  ('label_coverage', 'quality', 'share', 0, 1, true, 'Share of the predictions with a known outcome.', 'n_labelled / n'),
  ('column_missing', 'quality', '', 0, 1, false, '1 where a declared column is not in the log.', '0 or 1'),
  ('column_extra', 'quality', 'columns', 0, null, false, 'Columns in the log that are not declared.', 'count'),
  ('retyped', 'quality', '', 0, 1, false, '1 where a column has another type than declared.', '0 or 1'),
  ('type_violation_share', 'quality', 'share', 0, 1, false, 'Share of the values of another type than declared.', 'n_invalid / n'),
  ('missing_share', 'quality', 'share', 0, 1, false, 'Share of the rows without a value.', 'n_missing / n'),
  ('nan_share', 'quality', 'share', 0, 1, false, 'Share of the rows whose value is NaN.', 'n_nan / n'),
  ('inf_share', 'quality', 'share', 0, 1, false, 'Share of the rows whose value is infinite.', 'n_inf / n'),
  ('zero_share', 'quality', 'share', 0, 1, null, 'Share of the rows whose value is zero (text: empty).', 'n_zero / n'),
  ('out_of_range_share', 'quality', 'share', 0, 1, false, 'Share of the values outside the reference''s range.', 'n_outside / n_values'),
  ('unseen_share', 'quality', 'share', 0, 1, false, 'Share of the values that are no category of the reference.', 'n_unseen / n_values'),
  ('constant', 'quality', '', 0, 1, false, '1 where a column that varied in the reference has one value only.', '0 or 1'),
  ('accuracy', 'performance', 'share', 0, 1, true, 'Share of right predictions.', '(tp + tn) / n'),
  ('balanced_accuracy', 'performance', 'share', 0, 1, true, 'Mean recall of the classes.', 'mean of tp / (tp + fn)'),
  ('mcc', 'performance', '', -1, 1, true, 'Matthews'' correlation of outcome and prediction.', '(tp tn - fp fn) / sqrt((tp+fp)(tp+fn)(tn+fp)(tn+fn))'),
  ('precision', 'performance', 'share', 0, 1, true, 'Share of the predicted positives that are positive.', 'tp / (tp + fp)'),
  ('recall', 'performance', 'share', 0, 1, true, 'Share of the positives that are predicted.', 'tp / (tp + fn)'),
  ('f1', 'performance', '', 0, 1, true, 'Harmonic mean of precision and recall.', '2 tp / (2 tp + fp + fn)'),
  ('positive_rate', 'performance', 'share', 0, 1, null, 'Share of positive outcomes.', '(tp + fn) / n'),
  ('predicted_positive_rate', 'performance', 'share', 0, 1, null, 'Share of positive predictions.', '(tp + fp) / n'),
  ('roc_auc', 'performance', '', 0, 1, true, 'Chance that a positive scores higher than a negative; 0.5 is guessing.', 'P(s+ > s-) + P(s+ = s-) / 2'),
  ('pr_auc', 'performance', '', 0, 1, true, 'Average precision over all thresholds of the score.', 'sum (R_i - R_(i-1)) P_i'),
  ('log_loss', 'performance', 'nats', 0, null, false, 'Mean negative log likelihood of the outcomes under the scores.', '-mean ln p(y)'),
  ('brier', 'performance', '', 0, 2, false, 'Mean squared difference of score and outcome.', 'mean (s - y)²'),
  ('expected_calibration_error', 'performance', 'share', 0, 1, false, 'Mean distance of score and outcome share over the score''s bins.', 'sum n_b |mean s_b - mean y_b| / n'),
  ('calibration_bias', 'performance', 'share', -1, 1, null, 'Mean score minus share of positive outcomes.', 'mean s - mean y'),
  ('reliability', 'performance', 'share', 0, 1, null, 'Share of positive outcomes in a bin of the score.', 'mean y_b'),
  ('mean_score', 'performance', 'share', 0, 1, null, 'Mean score in a bin of the score.', 'mean s_b'),
  ('confusion', 'performance', 'rows', 0, null, null, 'Labelled rows by actual and predicted class.', 'count'),
  ('mae', 'performance', 'unit of the outcome', 0, null, false, 'Mean absolute error.', 'mean |y - f|'),
  ('rmse', 'performance', 'unit of the outcome', 0, null, false, 'Root of the mean squared error.', 'sqrt(mean (y - f)²)'),
  ('mape', 'performance', 'share', 0, null, false, 'Mean absolute error as a share of the outcome.', 'mean |y - f| / |y|'),
  ('bias', 'performance', 'unit of the outcome', null, null, null, 'Mean error: prediction minus outcome.', 'mean (f - y)'),
  ('r2', 'performance', '', null, 1, true, 'Share of the outcome''s variance that the predictions explain.', '1 - sum (y - f)² / sum (y - mean y)²'),
  ('error_p05', 'performance', 'unit of the outcome', null, null, null, '5 % of the errors are below.', 'quantile of f - y'),
  ('error_p25', 'performance', 'unit of the outcome', null, null, null, '25 % of the errors are below.', 'quantile of f - y'),
  ('error_p50', 'performance', 'unit of the outcome', null, null, null, 'Median error.', 'quantile of f - y'),
  ('error_p75', 'performance', 'unit of the outcome', null, null, null, '75 % of the errors are below.', 'quantile of f - y'),
  ('error_p95', 'performance', 'unit of the outcome', null, null, null, '95 % of the errors are below.', 'quantile of f - y'),
  ('groups', 'fairness', 'groups', 0, null, null, 'Groups of the protected column that are measured.', 'count'),
  ('selection_rate', 'fairness', 'share', 0, 1, null, 'Share of the group''s predictions that are positive.', '(tp + fp) / n'),
  ('true_positive_rate', 'fairness', 'share', 0, 1, true, 'Share of the group''s positives that are predicted.', 'tp / (tp + fn)'),
  ('false_positive_rate', 'fairness', 'share', 0, 1, false, 'Share of the group''s negatives that are predicted positive.', 'fp / (fp + tn)'),
  ('precision', 'fairness', 'share', 0, 1, true, 'Share of the group''s positive predictions that are right.', 'tp / (tp + fp)'),
  ('calibration_gap', 'fairness', 'share', -1, 1, null, 'Mean score of the group minus its share of positives.', 'mean s - mean y'),
  ('mae', 'fairness', 'unit of the outcome', 0, null, false, 'Mean absolute error of the group.', 'mean |y - f|'),
  ('mean_error', 'fairness', 'unit of the outcome', null, null, null, 'Mean error of the group: prediction minus outcome.', 'mean (f - y)'),
  ('demographic_parity_difference', 'fairness', 'share', -1, 1, null, 'Difference of selection rates.', 'group - reference group; *: max - min'),
  ('demographic_parity_ratio', 'fairness', '', 0, null, null, 'Ratio of selection rates.', 'group / reference group; *: min / max'),
  ('equal_opportunity_difference', 'fairness', 'share', -1, 1, null, 'Difference of true positive rates.', 'group - reference group; *: max - min'),
  ('false_positive_rate_difference', 'fairness', 'share', -1, 1, null, 'Difference of false positive rates.', 'group - reference group; *: max - min'),
  ('equalized_odds_difference', 'fairness', 'share', 0, 1, false, 'The larger difference of true and false positive rates.', 'max(|d tpr|, |d fpr|)'),
  ('predictive_parity_difference', 'fairness', 'share', -1, 1, null, 'Difference of precisions.', 'group - reference group; *: max - min'),
  ('calibration_difference', 'fairness', 'share', -2, 2, null, 'Difference of calibration gaps.', 'group - reference group; *: max - min'),
  ('mae_difference', 'fairness', 'unit of the outcome', null, null, null, 'Difference of mean absolute errors.', 'group - reference group; *: max - min'),
  ('mean_error_difference', 'fairness', 'unit of the outcome', null, null, null, 'Difference of mean errors.', 'group - reference group; *: max - min')
) catalogue (metric, family, unit, minimum, maximum, higher_is_better, description, formula);
comment on view monitoring.metric_catalog is 'What each metric is: unit, range, which way it is better, formula. One row per name and family.';
comment on column monitoring.metric_catalog.family is 'drift, quality, performance or fairness.';
comment on column monitoring.metric_catalog.unit is 'share (in [0, 1]), s, nats, sd (of the reference), rows …; empty: none.';
comment on column monitoring.metric_catalog.minimum is 'Least possible value; null: none.';
comment on column monitoring.metric_catalog.maximum is 'Greatest possible value; null: none.';
comment on column monitoring.metric_catalog.higher_is_better is 'Whether a higher value is better; null: neither good nor bad in itself.';
comment on column monitoring.metric_catalog.description is 'One sentence.';
comment on column monitoring.metric_catalog.formula is 'p and q: shares by bin in the reference and the window; y: outcome, f: prediction, s: score.';
