-- Retention deletes what a monitor's declaration says is too old; windows it deleted data of are not computed again.

alter table monitoring.prediction_window add column pruned_at timestamptz;
comment on column monitoring.prediction_window.pruned_at is
  'When retention first deleted profiles, measurements or lake files of the window: it is not computed again until new rows come for it. Null: never.';
create index prediction_window_pruned on monitoring.prediction_window (monitor, window_start) where pruned_at is not null;
