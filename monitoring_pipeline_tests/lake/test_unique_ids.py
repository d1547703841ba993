"""Unique ids are counted exactly, whatever an approximate count says of them."""

from __future__ import annotations

import duckdb

from monitoring_pipeline.lake.inspection import summarize
from monitoring_pipeline.monitors.drafting import draft


def test_init_takes_every_log_with_unique_ids(settings, tmp_path):
    for salt in range(8):
        path = tmp_path / f"log{salt}.parquet"
        duckdb.sql(
            f"COPY (SELECT 'req-{salt + 14}-' || i AS prediction_id,"
            " TIMESTAMP '2024-03-01' + to_seconds(i) AS event_time,"
            f" (i % 100) / 100.0 AS score, i % 70 AS age FROM range(20000) t(i)) TO '{path}'"
        )
        summary = summarize(str(path), settings)
        column = summary.column("prediction_id")
        assert column is not None and column.n_distinct == 20_000
        assert "prediction_id: prediction_id" in draft("m", summary)
