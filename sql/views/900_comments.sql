-- Comments for column names that many tables and views share. A column that already has a comment keeps it, unless that is
-- one of those that are said otherwise since.

do $$
declare
  lacking record;
begin
  for lacking in
    with corrected (before, meaning) as (
      values
        ('Kind of its worst alarms: drift, quality, performance, volume, coverage or freshness.',
         'Kind of its worst alarms: drift, quality, performance, fairness, volume, coverage, freshness or service.'),
        ('Kind of its worst alarms: drift, quality, performance, volume, coverage, freshness or service.',
         'Kind of its worst alarms: drift, quality, performance, fairness, volume, coverage, freshness or service.'),
        ('drift, quality, realized or estimated. Writing replaces one family of one window.',
         'drift, quality, realized, estimated, shadow or fairness. Writing replaces one family of one window.'),
        ('drift, quality, realized, estimated, or column for verdicts on columns.',
         'drift, quality, realized, estimated, shadow, fairness, or column for verdicts on columns.')
    )
    select relation.relname, attribute.attname, corrected.meaning
    from pg_class relation
    join pg_attribute attribute on attribute.attrelid = relation.oid and attribute.attnum > 0 and not attribute.attisdropped
    join corrected on corrected.before = col_description(relation.oid, attribute.attnum)
    where relation.relnamespace = 'monitoring'::regnamespace and relation.relkind in ('r', 'p', 'v')
  loop
    execute format('comment on column monitoring.%I.%I is %L', lacking.relname, lacking.attname, lacking.meaning);
  end loop;
  for lacking in
    with glossary (name, meaning) as (
      values
        ('revision_id', 'Number of the row.'),
        ('monitor', 'Name of the monitor.'),
        ('model_version', 'Version of the model.'),
        ('window_start', 'First moment of the window (UTC, included).'),
        ('window_end', 'End of the window (UTC, excluded).'),
        ('baseline', 'What the window is compared with: training, previous or seasonal.'),
        ('segment', 'Part of the window, as column=value; * is everything.'),
        ('column_name', 'Column of the prediction log by its own name; * for metrics of whole rows or several columns.'),
        ('role', 'feature, prediction, score or target.'),
        ('kind', 'realized (measured from outcomes) or estimated (without).'),
        ('method', 'How the difference is measured: psi, jensen_shannon, kolmogorov_smirnov …'),
        ('metric', 'Name of the metric.'),
        ('value', 'Value of the metric; null where it is undefined, such as a mean of no rows.'),
        ('threshold', 'What the value (drift: the effect, where given) is compared with.'),
        ('threshold_source', 'declared by the monitor, default, or how variation without drift is known: calibrated, calibrated-short, learnt or provisional.'),
        ('p_value', 'Probability of such a difference without any drift, where the method is a test.'),
        ('importance', 'How much the column matters to the model, in [0, 1]; null: not known.'),
        ('subject', 'Empty for the whole, class=X against the rest, or macro.'),
        ('cause', 'Likely cause of degraded performance: concept, base rate or calibration, harder mix …'),
        ('expected', 'Rows, or labelled share, as expected from earlier windows.'),
        ('q_value', 'p-value adjusted for all columns and segments of the window.'),
        ('p_season', 'p-value that also counts the same hours of earlier weeks; null: there were none.'),
        ('level', 'Chance of a false incident that the budget allows the window; q-values up to it alarm.'),
        ('season', 'Whether it differs from the reference only as earlier weeks led to expect.'),
        ('status', 'alarm, notice (explained by earlier weeks), quiet or abstained (not judged).'),
        ('moved', 'What moved most: location, spread, shape, outside, missing, unseen or category X.'),
        ('horizon', 'Number of trailing windows that were merged to see it.'),
        ('contrast', 'location, spread, outside, missing, unseen or category X.'),
        ('between_sd', 'Standard deviation between windows without drift, sampling apart.'),
        ('source', 'calibrated, calibrated-short, learnt or provisional.'),
        ('effect', 'Size of the difference that is compared with the threshold, where it is not the value itself.'),
        ('error_bound', 'Bound of the binning error: the exact value is at most this far from value; null: exact or unbounded.'),
        ('drifted', 'Whether the column drifted; null when either side holds no values.'),
        ('violated', 'Whether the metric violates its threshold; null when it has none.'),
        ('degraded', 'Whether the metric is worse than its threshold; null when it has none.'),
        ('n_reference', 'Number of values in the baseline.'),
        ('n_current', 'Number of values in the window.'),
        ('n', 'Number of rows or values the metric is computed from.'),
        ('detail', 'What was found, such as new categories or the actual type.'),
        ('ci_low', 'Lower end of the 95 % interval.'),
        ('ci_high', 'Upper end of the 95 % interval.'),
        ('n_predictions', 'Number of predictions.'),
        ('n_labelled', 'Number of predictions with a known outcome.'),
        ('coverage', 'Labelled share of the predictions, in [0, 1].'),
        ('mature', 'Whether the value is final: all labels are due, or those missing cannot move the count of the rarer class by more than a tenth.'),
        ('as_known_at', 'When this revision became the current one.'),
        ('superseded_at', 'When a newer revision replaced it; null for the current one.'),
        ('data_version', 'Version of the window''s data.'),
        ('label_batch', 'Number of the newest label batch considered.'),
        ('config_version', 'Version of the declaration; see monitor_declaration.'),
        ('code_version', 'Version of the code that computed it.'),
        ('run_id', 'Dagster run that wrote the row.'),
        ('computed_at', 'When it was computed.'),
        ('layout_id', 'Bins and categories used for counting; see layout.'),
        ('counts', 'Counts in the order of layout_column: n, n_missing, n_nan, n_inf, n_zero, then the bins, column by column.'),
        ('sums', 'minimum, maximum, mean and m2 (sum of squared distances from the mean), column by column.'),
        ('source_revision', 'Newest revision among the source files of the window.'),
        ('reason', 'Why it is out of date: source, failed, data, labels, reference, baseline, maturity, config or policy.'),
        ('reference_value', 'Value of the same metric in the reference, where a verdict can use it.'),
        ('policy_version', 'Version of the thresholds and rules of the verdict; null: not judged yet.'),
        ('judged_at', 'When it was judged; null: not yet.'),
        ('input', 'What the stage read: data, labels, stage:S, reference:V, profile@N (of the window N s earlier) …'),
        ('recorded', 'Its version when the stage read it; null: it did not exist.'),
        ('now', 'Its version now; null: it does not exist.'),
        ('profiled_at', 'When the window was last profiled.'),
        ('stale', 'Whether any stage of the window is older than its inputs.'),
        ('last_error', 'Why the last attempt failed; null when none did.'),
        ('n_missing', 'Values that are null.'),
        ('n_nan', 'Values that are NaN.'),
        ('n_inf', 'Values that are infinite.'),
        ('n_zero', 'Values that are zero (text: empty).'),
        ('minimum', 'Smallest finite value.'),
        ('maximum', 'Largest finite value.'),
        ('mean', 'Mean of the finite values.'),
        ('m2', 'Sum of squared distances of the finite values from their mean.'),
        ('bin_counts', 'Values by bin: numerical (-inf, e0], (e0, e1], …, (ek, inf); categorical the categories, then unseen.'),
        ('n_matched_ever', 'Labels matched by all batches together.'),
        ('n_quarantined_ever', 'Label rows set aside by all batches together.'),
        ('attempt_id', 'The retrain attempt it belongs to.'),
        ('decision_id', 'revision_id of the decision about retraining it belongs to.'),
        ('challenger_version', 'The version that was trained.'),
        ('champion_version', 'The version it was compared with.'),
        ('state_since', 'When it came into this state.'),
        ('started_at', 'When it began.'),
        ('window_size', 'week, month, quarter, or such as 5000 rows: trailing windows that hold as many.'),
        ('partial', 'Whether it is incomplete: windows are missing or still to come, or they hold fewer rows than asked for.'),
        ('n_windows', 'Number of windows merged.'),
        ('metric_keys_id', 'What each position of the arrays is about; see metric_keys.')
    ), base (view_name, table_name) as (
      values
        ('monitor_progress_current', 'monitor'), ('incident_current', 'incident'), ('incident_history', 'incident'), ('column_verdict_current', 'column_verdict'),
        ('drift_calibration', 'drift_null'), ('rollup_current', 'rollup'), ('model_version_current', 'model_version'),
        ('retrain_decision_current', 'retrain_decision'), ('training_metric_current', 'training_metric'),
        ('tuning_trial_current', 'tuning_trial'), ('retrain_attempt_current', 'retrain_attempt'),
        ('model_comparison_current', 'model_comparison'), ('promotion_current', 'promotion'),
        ('training_curve_current', 'training_curve'), ('parity_current', 'parity'), ('backtest_current', 'backtest'),
        ('backtest_month_current', 'backtest_month'), ('backtest_retraining_current', 'backtest_retraining'), ('evidently_report_current', 'evidently_report'), ('window_status', 'prediction_window'),
        ('stage_status', 'window_stage'), ('stale_window', 'window_stage'), ('stage_input', 'window_stage'), ('label_batch_current', 'label_batch'),
        ('column_profile_current', 'layout_column'), ('monitor_current', 'monitor'),
        ('ingestion_current', 'prediction_window'), ('window_headline_current', 'window_headline'), ('reference_profile_current', 'layout_column')
    )
    select relation.relname, attribute.attname,
           coalesce(col_description(behind.oid, source.attnum), glossary.meaning) as meaning
    from pg_class relation
    join pg_attribute attribute on attribute.attrelid = relation.oid and attribute.attnum > 0 and not attribute.attisdropped
    left join base on base.view_name = relation.relname
    left join pg_class behind on behind.relname = base.table_name and behind.relnamespace = relation.relnamespace
    left join pg_attribute source on source.attrelid = behind.oid and source.attname = attribute.attname
    left join glossary on glossary.name = attribute.attname
    where relation.relnamespace = 'monitoring'::regnamespace and relation.relkind in ('r', 'p', 'v')
      and not relation.relispartition and col_description(relation.oid, attribute.attnum) is null
      and (glossary.meaning is not null or source.attnum is not null)
    order by relation.relkind = 'v', relation.relname  -- tables first: views take over what their table says
  loop
    if lacking.meaning is not null then
      execute format('comment on column monitoring.%I.%I is %L', lacking.relname, lacking.attname, lacking.meaning);
    end if;
  end loop;
end
$$;
