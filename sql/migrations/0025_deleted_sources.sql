-- depends: 0024_backtest
-- Source files that retention deleted after they were taken in: said once, and their windows stay as they are.

alter table monitoring.source_file add column missed_at timestamptz;
comment on column monitoring.source_file.missed_at is
  'When a run first missed the file; null: it never did. What was taken in of it stays.';
