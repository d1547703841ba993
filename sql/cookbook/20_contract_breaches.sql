-- When did the prediction log stop matching what the monitor declares?
select monitor, window_start, contract -> 'missing' as missing_columns, contract -> 'extra' as extra_columns,
       contract -> 'retyped' as retyped_columns, contract -> 'invalid' as invalid_values
from monitoring.prediction_window
where contract -> 'missing' <> '[]' or contract -> 'retyped' <> '{}' or contract -> 'invalid' <> '{}'
order by window_start desc, monitor
limit 50;
