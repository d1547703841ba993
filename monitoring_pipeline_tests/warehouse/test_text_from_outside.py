"""Errors, names and values from outside are stored whatever characters they hold."""

from __future__ import annotations

import json

import pytest
from sqlalchemy import text

from monitoring_pipeline.warehouse.copying import copy_rows
from monitoring_pipeline.warehouse.database import Warehouse

ODD = {"a\0b": "a\\x00b", "\udcff.csv": "\\udcff.csv", "\ud800\0": "\\ud800\\x00", "ä😀\\u0000": "ä😀\\u0000"}


@pytest.mark.parametrize("given", ODD)
def test_text_with_nul_or_half_a_surrogate_pair_is_stored(warehouse: Warehouse, given: str) -> None:
    with warehouse.transaction() as conn:
        assert conn.execute(text("select cast(:t as text)"), {"t": given}).scalar() == ODD[given]
        assert conn.execute(text("select cast(:t as text[])"), {"t": [given]}).scalar() == [ODD[given]]
        document = json.dumps({given: [given, 1, None]})
        expected = {ODD[given]: [ODD[given], 1, None]}
        assert conn.execute(text("select cast(:t as jsonb)"), {"t": document}).scalar() == expected
        conn.execute(text("create temp table kept (t text)"))
        copy_rows(conn, "kept", ["t"], [[given]])
        assert conn.execute(text("select t from kept")).scalar() == ODD[given]
