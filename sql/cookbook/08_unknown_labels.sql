-- Do labels arrive that match no prediction, and how many are still unmatched?
select b.monitor, b.batch, b.taken_in_at, b.n_rows, b.n_matched, b.n_unknown, b.n_duplicates, b.n_quarantined,
       b.batch = c.batch as still_waiting
from monitoring.label_batch b
join monitoring.label_batch_current c using (monitor)
where b.n_unknown > 0
order by b.taken_in_at desc, b.monitor
limit 50;
