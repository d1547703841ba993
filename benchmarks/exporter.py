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
from monitoring_pipeline.warehouse.database import Warehouse
from monitoring_pipeline.warehouse.exposition import NEWEST_FIGURES

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
  (monitor, window_start, window_end, stage, data_version, label_batch, config_version, run_id, completed_at,
   changed_at)
select monitor, window_start, window_end, stage, 'd', 0, 'c', 'r', now(), now()
from span, unnest('{ingestion,profile,ground_truth,drift,quality,performance}'::text[]) stage;
insert into monitoring.drift_metric
  (monitor, model_version, window_start, window_end, baseline, segment, column_name, role, method, value, threshold,
   threshold_source, drifted, n_reference, n_current, data_version, config_version, code_version, computed_at,
   as_known_at)
select monitor, '1', window_start, window_end, baseline, '*', 'column_' || c, 'feature', method, random(), 0.2,
       'default', random() < 0.1, 1000, 1000, 'd', 'c', 'v', now(), now()
from span, generate_series(1, :columns) c, unnest('{training,previous}'::text[]) baseline,
     unnest('{psi,jensen_shannon,kl_divergence,hellinger,total_variation,chi_square,kolmogorov_smirnov,wasserstein,
              missing_share_change}'::text[]) method
where w < :measured;
insert into monitoring.quality_metric
  (monitor, model_version, window_start, window_end, segment, column_name, metric, value, threshold, threshold_source,
   violated, n, data_version, config_version, code_version, computed_at, as_known_at)
select monitor, '1', window_start, window_end, '*', 'column_' || c, metric, random(), 0.2, 'default',
       case when metric in ('missing_share', 'out_of_range_share', 'nan_share', 'inf_share') then random() < 0.1 end,
       1000, 'd', 'c', 'v', now(), now()
from span, generate_series(1, :columns) c,
     unnest('{missing_share,out_of_range_share,nan_share,inf_share,zero_share,constant,mean,maximum}'::text[]) metric
where w < :measured;
insert into monitoring.performance_metric
  (monitor, model_version, window_start, window_end, segment, metric, kind, value, threshold_source, degraded,
   n_predictions, n_labelled, coverage, mature, data_version, config_version, code_version, computed_at, as_known_at)
select monitor, '1', window_start, window_end, segment, metric, 'realized', random(), 'default', random() < 0.1, 1000,
       900, 0.9, true, 'd', 'c', 'v', now(), now()
from span, unnest('{*,a=1,a=2,a=3}'::text[]) segment,
     unnest('{roc_auc,accuracy,f1,precision,recall,brier,log_loss,ece}'::text[]) metric
where w between 1 and :measured;
"""


def fill(warehouse: Warehouse, **sizes: int) -> None:
    with warehouse.transaction() as connection:
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
