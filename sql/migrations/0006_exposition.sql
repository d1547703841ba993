-- depends: 0001_ledger
-- What a scrape of the monitor's exporter asks of all windows at once, without reading all windows.

create index window_stage_success on monitoring.window_stage (monitor, completed_at) where completed_at is not null;
create index window_stage_failure on monitoring.window_stage (monitor, window_start) where last_error is not null;
