"""Passwords in addresses are neither kept nor shown."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import text

from monitoring_pipeline.monitors.secrets import hidden, named, without_passwords
from monitoring_pipeline.stages.declaring import declare
from monitoring_pipeline.warehouse.database import Warehouse
from monitoring_pipeline_tests.toy import Toy


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("postgresql://u:s3cr3t@h:5/d", "postgresql://u:***@h:5/d"),
        ("postgresql+psycopg2://u:s3/cr:3@t@h/d?sslmode=require", "postgresql+psycopg2://u:***@h/d?sslmode=require"),
        ("postgresql://u:${PASSWORD}@h/d", "postgresql://u:${PASSWORD}@h/d"),
        ("postgresql://h/d?user=u&password=s3cr3t&a=1", "postgresql://h/d?user=u&password=***&a=1"),
        ("postgresql://u@h/d", "postgresql://u@h/d"),
        ("https://u:s3cr3t@h/x.parquet", "https://u:***@h/x.parquet"),
        ("sqlite:///a:b/c.db", "sqlite:///a:b/c.db"),
        ("../log/*.parquet", "../log/*.parquet"),
    ],
)
def test_of_an_address_only_the_password_is_hidden(written: str, kept: str) -> None:
    assert hidden(written) == kept
    assert without_passwords({"predictions": {"url": written, "path": [written, None]}, "start": 1}) == {
        "predictions": {"url": kept, "path": [kept, None]},
        "start": 1,
    }


@pytest.mark.parametrize(
    ("written", "drafted", "variables"),
    [
        ("postgresql://u:s3/cr:3@t@h/d", "postgresql://u:${LOG_PASSWORD}@h/d", ["LOG_PASSWORD"]),
        (
            "s3://k:a@b/x?token=b",
            "s3://k:${LOG_PASSWORD}@b/x?token=${LOG_PASSWORD_2}",
            ["LOG_PASSWORD", "LOG_PASSWORD_2"],
        ),
        ("postgresql://u:${PASSWORD}@h/d", "postgresql://u:${PASSWORD}@h/d", []),
        ("../log/*.parquet", "../log/*.parquet", []),
    ],
)
def test_a_password_is_drafted_as_a_variable(written: str, drafted: str, variables: list[str]) -> None:
    assert named(written, "LOG_PASSWORD") == (drafted, variables)


def test_the_database_keeps_none(tmp_path: Path, warehouse: Warehouse) -> None:
    monitor = Toy(tmp_path).declare(predictions={"url": "postgresql://u:s3cr3t@h/d", "table": "t"})
    with warehouse.transaction() as conn:
        declare(conn, monitor)
        # As a former version kept it.
        conn.execute(text('update monitoring.monitor_declaration set declaration = \'{"a": "s3cr3t"}\''))
        declare(conn, monitor)
        kept = conn.execute(text("select declaration::text from monitoring.monitor_declaration")).scalars().all()
    assert len(kept) == 1 and "s3cr3t" not in kept[0] and "u:***@h/d" in kept[0]
