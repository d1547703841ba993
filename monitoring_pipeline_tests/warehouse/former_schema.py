"""A database as an earlier release left it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from sqlalchemy import Engine

from monitoring_pipeline.resources import data_dir
from monitoring_pipeline.warehouse import migrations


def migrate_to(engine: Engine, last: str, directory: Path) -> None:
    """Applies the migrations up to number ``last`` (``0018``), without views; ``directory`` holds a copy of them."""
    copy = directory / "former"
    (copy / "views").mkdir(parents=True)
    (copy / "migrations").mkdir()
    for path in (data_dir("sql") / "migrations").glob("*.sql"):
        if path.stem[:4] <= last:
            shutil.copy(path, copy / "migrations")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(migrations, "data_dir", {"sql": copy}.__getitem__)
        assert migrations.migrate(engine)
