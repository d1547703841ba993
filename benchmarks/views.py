"""What the public views take on a year of windows: one method over 90 days, all methods over the whole of one monitor.

    python -m benchmarks.views URL

URL is that of the demo's database, say, as ``monitoring-pipeline db url`` prints it. Warm and without parallel workers.
Beside the best wall time stands the CPU time of the server's process, which other work on the machine does not change.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass

import psutil
from sqlalchemy import Connection, create_engine, text

QUESTIONS: dict[str, str] = {
    "drift: one method × 90 days": """
        select window_start, column_name, value, drifted from monitoring.drift_current
        where monitor = :monitor and method = 'psi' and baseline = 'training' and segment = '*'
          and window_start >= :since""",
    "drift: all methods, baselines and segments": """
        select method, count(*), count(*) filter (where drifted), max(value) from monitoring.drift_current
        where monitor = :monitor group by method""",
    "quality: one metric × 90 days": """
        select window_start, column_name, value, violated from monitoring.quality_current
        where monitor = :monitor and metric = 'missing_share' and segment = '*' and window_start >= :since""",
    "quality: all metrics and segments": """
        select metric, count(*), count(*) filter (where violated) from monitoring.quality_current
        where monitor = :monitor group by metric""",
    "performance: one metric × 90 days": """
        select window_start, value, ci_low, ci_high, degraded from monitoring.performance_current
        where monitor = :monitor and metric = 'roc_auc' and segment = '*' and window_start >= :since""",
    "performance: all metrics and segments": """
        select metric, count(*), count(*) filter (where degraded) from monitoring.performance_current
        where monitor = :monitor group by metric""",
    "verdicts on columns × 90 days": """
        select window_start, column_name, p_value, status from monitoring.column_verdict_current
        where monitor = :monitor and segment = '*' and window_start >= :since""",
    "profile of one column × 90 days": """
        select window_start, mean, n_missing, bin_counts from monitoring.column_profile_current
        where monitor = :monitor and segment = '*' and window_start >= :since
          and column_name = (select column_name from monitoring.layout_column where kind = 'numerical' limit 1)""",
}
NEWEST = text("""
select monitor, count(*) as windows, max(window_start) - interval '90 days' as since
from monitoring.prediction_window group by monitor order by windows desc, monitor limit 1""")


@dataclass(frozen=True)
class Took:
    """Best wall time and mean CPU time of the server's process, in milliseconds; NaN where it runs elsewhere."""

    question: str
    rows: int
    wall_ms: float
    cpu_ms: float


def measure(conn: Connection, rounds: int = 20) -> list[Took]:
    """Each question about the monitor that has most windows."""
    monitor = conn.execute(NEWEST).one()
    conn.exec_driver_sql("set max_parallel_workers_per_gather = 0")
    wanted = {"monitor": monitor.monitor, "since": monitor.since}
    return [_asked(conn, name, sql, wanted, rounds) for name, sql in QUESTIONS.items()]


def _asked(conn: Connection, name: str, sql: str, wanted: dict[str, object], rounds: int) -> Took:
    server = _server(conn)
    rows = len(conn.execute(text(sql), wanted).all())
    times, before = [], _cpu(server)
    for _ in range(rounds):
        began = time.perf_counter()
        conn.execute(text(sql), wanted).all()
        times.append(time.perf_counter() - began)
    return Took(name, rows, 1000 * min(times), 1000 * (_cpu(server) - before) / rounds)


def _server(conn: Connection) -> psutil.Process | None:
    try:
        found = psutil.Process(conn.exec_driver_sql("select pg_backend_pid()").scalar_one())
    except psutil.NoSuchProcess:
        return None
    return found if "postgres" in found.name() else None


def _cpu(process: psutil.Process | None) -> float:
    """Seconds, in steps of 10 ms."""
    if process is None:
        return float("nan")
    times = process.cpu_times()
    return times.user + times.system


def table(took: list[Took]) -> str:
    """As Markdown."""
    lines = [f"| {one.question} | {one.rows} | {one.wall_ms:.0f} | {one.cpu_ms:.1f} |" for one in took]
    return "\n".join(["| question | rows | ms | of it CPU of the server |", "|---|---|---|---|", *lines])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("url", help="of the database, as `monitoring-pipeline db url` prints it")
    url = parser.parse_args().url.replace("postgresql://", "postgresql+psycopg2://")
    with create_engine(url).connect() as conn:
        print(table(measure(conn)))


if __name__ == "__main__":
    main()
