-- depends: 0006_exposition
-- Who reads drift reads one method of all columns; by column first, every other method was passed over on the way.

drop index monitoring.drift_metric_one_current;
create unique index drift_metric_one_current on monitoring.drift_metric
  (monitor, window_start, window_end, model_version, baseline, segment, method, column_name) where superseded_at is null;
