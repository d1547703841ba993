-- What does the distribution of each column look like in the newest window, bin by bin?
select p.monitor, p.window_start, p.column_name, b.bin,
       case when p.kind = 'categorical' then coalesce(p.categories[b.bin], '(unseen)')
            else '(' || coalesce(p.edges[b.bin - 1]::text, '-inf') || ', ' || coalesce(p.edges[b.bin]::text, 'inf') || ']'
       end as label,
       b.count, b.count::double precision / nullif(p.n, 0) as share
from monitoring.column_profile_current p
cross join lateral unnest(p.bin_counts) with ordinality as b (count, bin)
where p.segment = '*'
  and p.window_start = (select max(window_start) from monitoring.column_profile_current n where n.monitor = p.monitor and n.n > 0)
order by p.monitor, p.column_name, p.role, b.bin;
