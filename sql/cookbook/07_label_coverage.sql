-- How complete is the ground truth, by age of the window?
select monitor,
       case when age < interval '1 day' then '0-1 days' when age < interval '7 days' then '1-7 days'
            when age < interval '30 days' then '7-30 days' else 'over 30 days' end as age_of_window,
       count(*) as windows, sum(n_rows) as predictions, sum(n_labelled) as labelled,
       sum(n_labelled)::double precision / nullif(sum(n_rows), 0) as coverage, min(coverage) as least_coverage
from (select *, now() - window_end as age from monitoring.window_status where n_labelled is not null) status
group by monitor, age_of_window
order by monitor, min(age);
