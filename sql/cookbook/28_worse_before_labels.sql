-- Is the model worse before labels came?
-- Estimates whose whole interval is on the bad side of the reference, beside what outcomes have said since.
select e.monitor, e.model_version, e.window_start, e.metric, e.value as estimated, e.ci_low, e.ci_high, e.reference_value,
       r.value as realized, coalesce(r.coverage, 0) as labelled_share, c.z as gap_z
from monitoring.performance_current e
join monitoring.metric_catalog m
  on m.family = 'performance' and m.metric = regexp_replace(e.metric, '_(macro|weighted)$', '') and m.higher_is_better is not null
left join monitoring.performance_current r
  on r.monitor = e.monitor and r.model_version = e.model_version and r.window_start = e.window_start and r.window_end = e.window_end
 and r.segment = e.segment and r.metric = e.metric and r.kind = 'realized'
left join monitoring.concept_current c
  on c.monitor = e.monitor and c.model_version = e.model_version and c.window_start = e.window_start and c.segment = e.segment
 and c.metric = e.metric
where e.kind = 'estimated' and case when m.higher_is_better then e.ci_high < e.reference_value else e.ci_low > e.reference_value end
order by e.window_start desc, e.monitor, e.metric
limit 50;
