-- Where does a drift value come from: which data, which declaration, which code, which run?
select d.monitor, d.window_start, d.column_name, d.method, d.value, d.threshold, d.threshold_source,
       w.lake_files, d.data_version = w.data_version as of_current_data, d.config_version,
       c.declaration -> 'thresholds' -> 'drift' as declared_thresholds, d.code_version, d.run_id, d.computed_at
from monitoring.drift_current d
left join monitoring.prediction_window w using (monitor, window_start)
left join monitoring.monitor_declaration c on c.monitor = d.monitor and c.config_version = d.config_version
where d.drifted and d.segment = '*'
order by d.value desc nulls last, d.monitor, d.window_start, d.column_name, d.method
limit 20;
