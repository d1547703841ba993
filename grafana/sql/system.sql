-- The monitor itself: does it keep up, what failed, what does it cost?

-- name: fleet
select m.monitor, newest.window_end as seen_until,
       least({{now}}, coalesce(m.ends_on::timestamp at time zone 'UTC', 'infinity')) as due
from monitoring.monitor_current m
left join lateral (
  select p.window_end from monitoring.ingestion_current p
  where p.monitor = m.monitor and p.window_end <= {{now}} order by p.window_start desc limit 1) newest on true

-- Of windows of the time range, or done in it: a replay of the past runs later than its windows.
-- name: then
({{in_range}} or completed_at >= $__timeFrom()::timestamptz and completed_at < $__timeTo()::timestamptz)

-- name: lag
select monitor, seen_until, greatest(extract(epoch from due - seen_until), 0) as lag from ({{fleet}}) f order by 3 desc nulls first, 1

-- name: n_behind
select count(*) from ({{fleet}}) f join monitoring.monitor_current m using (monitor)
where due - seen_until > 2 * m.window_seconds * interval '1 second'

-- name: n_failed
select count(distinct (monitor, window_start)) from monitoring.stage_status where last_error is not null and {{in_range}}

-- name: n_stale
select count(distinct window_start) from monitoring.stale_window where {{this_monitor}} and {{in_range}}

-- name: database_bytes
select sum(bytes) from monitoring.database_size_current

-- name: bytes_a_window
select (select sum(bytes) from monitoring.database_size_current)::float8 / nullif((select count(*) from monitoring.ingestion_current), 0)

-- name: newest_result
select max(completed_at) from monitoring.stage_status where {{this_monitor}}

-- name: failed
select s.monitor, s.window_start, s.stage, s.attempts, s.failed_at, s.last_error, s.run_id from monitoring.stage_status s
where s.last_error is not null and ({{in_range}} or s.failed_at >= $__timeFrom()::timestamptz and s.failed_at < $__timeTo()::timestamptz)
order by s.failed_at desc limit 100

-- name: stale
select stage, reason, count(*) as windows, min(window_start) as first, max(window_start) as last from monitoring.stale_window
where {{this_monitor}} and {{in_range}} group by 1, 2 order by 3 desc, 1

-- A run does one stage for all of its windows before the next: what passed between two ends is the later stage's time.
-- name: stages
with newest as (
  select run_id from monitoring.stage_status where {{this_monitor}} and {{then}} and run_id is not null
  order by completed_at desc nulls last limit 1
), ended as (
  select stage, count(*) as windows, max(completed_at) as at, min(completed_at) as began from monitoring.stage_status
  where {{this_monitor}} and {{then}} and run_id = (select run_id from newest) and completed_at is not null group by 1
), took as (
  select stage, windows, at, extract(epoch from at - coalesce(lag(at) over (order by at), began)) as seconds from ended)
select stage, windows, seconds, 1000 * seconds / windows as a_window from took order by at

-- name: runs
select run_id, min(window_start) as first, max(window_start) as last, count(distinct window_start) as windows, min(completed_at) as began,
       extract(epoch from max(completed_at) - min(completed_at)) as seconds,
       1000 * extract(epoch from max(completed_at) - min(completed_at)) / count(distinct window_start) as a_window
from monitoring.stage_status where {{this_monitor}} and {{then}} and run_id is not null and completed_at is not null
group by 1 order by began desc limit 50

-- name: tables
select relation, bytes from monitoring.database_size_current order by 2 desc limit 12

-- In hundredths of the time range, of whole minutes: a run of minutes is seen in a short range, and a year stays readable.
-- name: completed
select date_bin(make_interval(mins => greatest(ceil(extract(epoch from $__timeTo()::timestamptz - $__timeFrom()::timestamptz) / 6000), 1)::integer),
                completed_at, $__timeFrom()::timestamptz) as time, stage as metric, count(*) as value
from monitoring.stage_status
where {{this_monitor}} and completed_at is not null and $__timeFilter(completed_at) group by 1, 2 order by 1, 2
