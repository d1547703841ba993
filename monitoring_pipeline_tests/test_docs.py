"""The docs: generated pages are what the code says, the site builds, and a dead link stops it."""

from __future__ import annotations

import fnmatch
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import text

from monitoring_pipeline.metrics import reference_page as metrics
from monitoring_pipeline.warehouse import reference_page as views
from monitoring_pipeline.warehouse.database import Warehouse

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"


def test_the_page_of_metrics_is_what_the_docstrings_say() -> None:
    assert metrics.page() == (DOCS / "metric-reference.md").read_text(encoding="utf-8"), (
        "run: python -m monitoring_pipeline.metrics.reference_page > docs/metric-reference.md"
    )


def test_the_page_of_views_is_what_the_database_says(warehouse: Warehouse) -> None:
    with warehouse.transaction() as conn:
        page = views.page(conn)
    assert page == (DOCS / "sql-reference.md").read_text(encoding="utf-8"), (
        "run: monitoring-pipeline db reference > docs/sql-reference.md"
    )


def test_the_readme_lists_views_that_exist_and_counts_the_cookbook(warehouse: Warehouse) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    listed = re.findall(
        r"`([a-z_*]+)`", "".join(re.findall(r"^(\| `.+?) \|", readme.split("| view |")[1], re.MULTILINE))
    )
    with warehouse.transaction() as conn:
        there = set(conn.scalars(text("select viewname from pg_views where schemaname = 'monitoring'")))
        there |= set(conn.scalars(text("select tablename from pg_tables where schemaname = 'monitoring'")))
    assert len(listed) > 20
    assert [name for name in listed if not fnmatch.filter(there, name)] == []
    questions = len(list((ROOT / "sql" / "cookbook").glob("*.sql")))
    assert "answers twenty-nine common questions" in readme and questions == 29


def build(directory: Path) -> subprocess.CompletedProcess[str]:
    mkdocs = Path(sys.executable).parent / "mkdocs"
    command = [mkdocs, "build", "--strict", "--site-dir", directory / "site"]
    return subprocess.run(command, cwd=directory, capture_output=True, text=True, env=os.environ, timeout=120)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The docs, and of what they lead to only that it is there."""
    shutil.copytree(DOCS, tmp_path / "docs")
    for name in ("mkdocs.yml", "mkdocs_hooks.py"):
        shutil.copyfile(ROOT / name, tmp_path / name)
    for name in ("prometheus", "grafana", "benchmarks", "sql", "monitoring_pipeline", "monitors"):
        (tmp_path / name).symlink_to(ROOT / name)
    return tmp_path


def test_a_dead_link_stops_the_build(copy: Path) -> None:
    page = copy / "docs" / "index.md"
    page.write_text(page.read_text() + "\n[a](../prometheus/gone.yml) [b](concepts.md#gone) [c](gone.md)\n")
    done = build(copy)
    assert done.returncode
    for gone in ("../prometheus/gone.yml", "concepts.md#gone", "gone.md"):
        assert gone in done.stderr
    page.unlink()


def test_the_site_builds_and_loads_nothing_from_elsewhere(copy: Path) -> None:
    (copy / "docs" / "not-placed-yet.md").write_text("# A page that is in no navigation\n")
    done = build(copy)
    assert done.returncode == 0, done.stderr
    assert "A page that is in no navigation" in (copy / "site" / "index.html").read_text()
    page = (copy / "site" / "grafana.html").read_text()
    assert "<code>prometheus/README.md</code>" in page
    assert "fonts.googleapis" not in page and 'src="http' not in page
