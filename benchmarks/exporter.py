"""A scrape of the monitor's exporter at 100 monitors × 50 columns. Goal: ≤ 300 ms, uncached.

    python benchmarks/exporter.py [--monitors 100] [--columns 50] [--windows 90]

Half of the monitors are hourly; every column has each drift method against two baselines and eight quality figures,
in the newest ``--measured`` windows; the ledger has ``--windows``. Prints JSON: seconds of the statement, of the text,
of a scrape.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from sqlalchemy import text

from monitoring_pipeline.exporter import Collector, start
from monitoring_pipeline.exporter.exposition import render
from monitoring_pipeline.settings import Settings
from monitoring_pipeline.stages.catalogue import STAGES
from monitoring_pipeline.warehouse.database import Warehouse
from monitoring_pipeline.warehouse.exposition import NEWEST_FIGURES
from monitoring_pipeline.warehouse.ledger import know_stages

FILL = """
insert into monitoring.monitor
  (monitor, task, window_size, starts_on, baselines, has_ground_truth, label_coverage, label_max_delay, config_version)
select 'monitor_' || m, 'binary', case when m % 2 = 0 then 'hour' else 'day' end, '2020-01-01', '{training,previous}',
       true, 0.95, '7 days', 'c'
from generate_series(1, :monitors) m;
insert into monitoring.known_version (monitor, model_version) select monitor, '1' from monitoring.monitor;
create temp table span as
select monitor, now_ - (w + 1) * length as window_start, now_ - w * length as window_end, w
from (select monitor, case window_size when 'hour' then interval '1 hour' else interval '24 hours' end as length,
             date_trunc(window_size, now(), 'UTC') as now_ from monitoring.monitor) m,
     generate_series(0, :windows - 1) w;
insert into monitoring.source_file (monitor, role, path, size, modified_at, n_rows, revision)
select monitor, 'predictions', 'log', 1, now(), 1, 1 from monitoring.monitor;
insert into monitoring.source_file_window (monitor, role, path, window_start, n_rows, revision)
select monitor, 'predictions', 'log', window_start, 1, 1 from span;
insert into monitoring.prediction_window
  (monitor, window_start, window_end, n_rows, n_duplicates, n_quarantined, data_version, source_revision,
   ingestion_revision, lake_files, versions)
select monitor, window_start, window_end, 1000, 0, 0, 'd', 1, 1, '{}', '{"1": 1000}' from span;
insert into monitoring.window_stage
  (monitor, window_start, window_end, stage, data_version, label_batch, config_version, run_id, completed_at, inputs,
   output_version)
select monitor, window_start, window_end, stage, 'd', 0, 'c', 'r', now(),
       case stage when 'ingestion' then jsonb_build_object('sources', '1')
                  when 'verdicts' then jsonb_build_object('stage:drift', 'o', 'stage:quality', 'o')
                  else jsonb_build_object('data', 'd', 'labels', '0') end, 'o'
from span, unnest('{ingestion,profile,ground_truth,drift,quality,performance,verdicts}'::text[]) stage;
select monitoring.ensure_months('measurement', array_agg(distinct window_start)),
       monitoring.ensure_months('verdict', array_agg(distinct window_start)) from span;
insert into monitoring.metric_keys (digest, family, column_names, roles, metrics)
select 'drift', 'drift', array_agg('column_' || c), array_agg('feature'::text), array_agg(method)
from generate_series(1, :columns) c, unnest('{psi,jensen_shannon,kl_divergence,hellinger,total_variation,chi_square,
     kolmogorov_smirnov,wasserstein,missing_share_change}'::text[]) method
union all
select 'quality', 'quality', array_agg('column_' || c), array_agg(''::text), array_agg(metric)
from generate_series(1, :columns) c,
     unnest('{missing_share,out_of_range_share,nan_share,inf_share,zero_share,constant,mean,maximum}'::text[]) metric
union all
select 'performance', 'realized', array_agg('*'::text), array_agg(''::text), array_agg(metric)
from unnest('{roc_auc,accuracy,f1,precision,recall,brier,log_loss,ece}'::text[]) metric;
insert into monitoring.threshold_set (digest, thresholds, sources)
select family, array_fill(0.2::float8, array[cardinality(metrics)]),
       array_fill('default'::text, array[cardinality(metrics)])
from monitoring.metric_keys;
insert into monitoring.computation
  (monitor, window_start, window_end, stage, data_version, label_batch, config_version, code_version)
select monitor, window_start, window_end, 's', 'd', 0, 'c', 'v' from span where w <= :measured;
insert into monitoring.judgement (monitor, config_version, policy_version, code_version)
select monitor, 'c', 'p', 'v' from monitoring.monitor;
insert into monitoring.measurement
  (monitor, window_start, window_end, family, model_version, baseline, segment, metric_keys_id, computation_id,
   n_predictions, n_labelled, value, n, n_reference)
select s.monitor, s.window_start, s.window_end, k.family, '1', p.baseline, p.segment, k.metric_keys_id,
       c.computation_id, 1000, 900, array(select random() from unnest(k.metrics) m where s.w >= 0),
       array_fill(1000::bigint, array[cardinality(k.metrics)]),
       case k.family when 'drift' then array_fill(1000::bigint, array[cardinality(k.metrics)]) end
from span s
join monitoring.computation c using (monitor, window_start)
cross join monitoring.metric_keys k
join (values ('drift', 'training', '*'), ('drift', 'previous', '*'), ('quality', '', '*'), ('realized', '', '*'),
             ('realized', '', 'a=1'), ('realized', '', 'a=2'), ('realized', '', 'a=3')) p (family, baseline, segment)
  on p.family = k.family
where case k.family when 'realized' then s.w between 1 and :measured else s.w < :measured end;
insert into monitoring.verdict
  (measurement_id, monitor, window_start, judgement_id, threshold_set_id, flags, share_value, share_source, mature)
select m.measurement_id, m.monitor, m.window_start, j.judgement_id, t.threshold_set_id,
       (select string_agg(case when k.family <> 'quality' or q.metric in ('missing_share', 'out_of_range_share',
                                 'nan_share', 'inf_share') then '1' || (q.value < 0.1)::int else '00' end, ''
                          order by q.at)::bit varying
             from unnest(k.metrics, m.value) with ordinality q (metric, value, at)),
       case k.family when 'drift' then 0.1 end, case k.family when 'drift' then 'default' end, true
from monitoring.measurement m
join monitoring.metric_keys k using (metric_keys_id)
join monitoring.threshold_set t on t.digest = k.family
join monitoring.judgement j on j.monitor = m.monitor;
"""


def fill(warehouse: Warehouse, **sizes: int) -> None:
    with warehouse.transaction() as connection:
        know_stages(connection, [(stage.name, stage.asset, stage.needs_labels) for stage in STAGES])
        for statement in FILL.split(";\n"):
            if statement.strip():
                connection.execute(text(statement), sizes)
    with warehouse.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("vacuum analyze")


# Prometheus is another process: reading eight megabytes must not wait for the interpreter that writes them.
CLIENT = """
import sys, time, urllib.request
for _ in range(int(sys.argv[2])):
    begun = time.perf_counter()
    urllib.request.urlopen(sys.argv[1]).read()
    print(time.perf_counter() - begun)
"""


def scrapes(times: int, address: str) -> dict[str, float]:
    command = [sys.executable, "-c", CLIENT, address, str(times)]
    return summed_up([float(line) for line in subprocess.check_output(command, text=True).split()])


def timed(times: int, work) -> dict[str, float]:  # type: ignore[no-untyped-def]
    taken = []
    for _ in range(times):
        begun = time.perf_counter()
        work()
        taken.append(time.perf_counter() - begun)
    return summed_up(taken)


def summed_up(taken: list[float]) -> dict[str, float]:
    return {"median": round(statistics.median(taken), 4), "worst": round(max(taken), 4)}


def measure(warehouse: Warehouse, times: int = 7) -> dict[str, object]:
    collector = Collector(warehouse, ttl=0.0)
    snapshot = collector.snapshot()
    with start(warehouse, 0, ttl=0.0) as exporter:
        address = f"http://127.0.0.1:{exporter.port}/metrics"
        body = urllib.request.urlopen(address).read()
        scrape = scrapes(times, address)
    with start(warehouse, 0) as exporter:
        address = f"http://127.0.0.1:{exporter.port}/metrics"
        urllib.request.urlopen(address).read()
        cached = scrapes(times, address)
    found = {
        "groups": len(snapshot.groups),
        "samples": sum(1 for line in body.splitlines() if not line.startswith(b"#")),
        "bytes": len(body),
        "statement_seconds": timed(times, collector.snapshot),
        "text_seconds": timed(times, lambda: render(snapshot.groups)),
        "scrape_seconds": scrape,
        "cached_scrape_seconds": cached,
        "stale_windows_seconds": timed(2, collector.stale_windows.refresh),  # in the background, every five minutes
    }
    collector.close()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--monitors", type=int, default=100)
    parser.add_argument("--columns", type=int, default=50)
    parser.add_argument("--windows", type=int, default=90)
    parser.add_argument("--measured", type=int, default=5)
    parser.add_argument("--explain", action="store_true")
    options = vars(parser.parse_args())
    explain = options.pop("explain")
    with tempfile.TemporaryDirectory() as home:
        Path(home).chmod(0o755)
        with Warehouse.open(Settings(home=Path(home))) as warehouse:
            fill(warehouse, **options)
            print(json.dumps({**options, **measure(warehouse)}, indent=2))
            if explain:
                with warehouse.transaction() as connection:
                    plan = text("explain (analyze, buffers) " + NEWEST_FIGURES.text)
                    asked = {"methods": ["psi"], "stale_after": 3, "replay": False}
                    print("\n".join(connection.execute(plan, asked).scalars()))


if __name__ == "__main__":
    main()
