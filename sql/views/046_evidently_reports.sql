-- Evidently's reports.

create or replace view monitoring.evidently_report_current as
select monitor, window_start, window_end, model_version, path, performance_path, n_current, n_reference, n_labelled, sampled,
       code_version, run_id, computed_at
from monitoring.evidently_report;
comment on view monitoring.evidently_report_current is 'Evidently''s reports: one row a monitor and window or period, with the files'' paths.';
