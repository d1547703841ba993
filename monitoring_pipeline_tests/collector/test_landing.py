"""Where records land: a directory or a URL, read by the monitor's sources, one monitor's trouble its own."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import fsspec
import pyarrow.parquet as pq
import pytest

from monitoring_pipeline.collector.landing import Batch, LandingSink, Shipment, decode_batches
from monitoring_pipeline.collector.server import serve
from monitoring_pipeline.errors import UserError
from monitoring_pipeline.settings import Settings
from monitoring_pipeline_tests.collector.conftest import record, rows, serving
from monitoring_pipeline_tests.lake.conftest import take_in_one
from monitoring_pipeline_tests.toy import Toy

COLUMNS = (("prediction_id", "text"), ("y", "text"), ("known", "time"))
LATER = datetime(2024, 3, 7, tzinfo=UTC)


@pytest.fixture
def bucket() -> Iterator[str]:
    """A store that is not a local directory, and known to this process alone."""
    yield "memory://collected"
    fsspec.filesystem("memory").rm("/collected", recursive=True)


@pytest.mark.parametrize("written", ["directory", "file URL", "URL"])
def test_what_lands_is_what_the_sources_read(tmp_path: Path, bucket: str, written: str) -> None:
    fsspec.filesystem("memory").makedirs("/collected", exist_ok=True)
    landing = {"directory": f"{tmp_path}/some where", "file URL": f"file://{tmp_path}/landed", "URL": bucket}[written]
    toy = Toy(tmp_path)
    toy.declare()
    for collector in serving(tmp_path / "home", tmp_path, landing=landing):
        assert collector.predictions([record(i) for i in range(7)]).status_code == 202
        assert collector.predictions([record(i) for i in range(5, 9)]).status_code == 202, "some once more"
    assert not (tmp_path / "home" / "collected").exists()

    monitor = toy.declare(predictions={"path": f"{landing}/toy/predictions/*.parquet"})
    settings = Settings(home=tmp_path / "home")
    found = take_in_one(monitor, settings, LATER)
    assert (found.n_rows, found.n_duplicates, found.n_quarantined) == (9, 2, 0)


def test_a_landing_place_that_cannot_be_is_said_at_the_start(tmp_path: Path) -> None:
    Toy(tmp_path).declare()
    with pytest.raises(UserError, match=r"s4://bucket.*install what the URL needs"):
        serve(tmp_path / "home", tmp_path / "monitors", port=0, landing="s4://bucket")


def labels(monitor: str, *ids: str) -> Batch:
    return Batch(monitor, "ground_truth", COLUMNS, [[i, "1", 0] for i in ids])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"landing": " "}, "--landing is empty"),
        ({"home": "a file"}, "spool cannot be written.*--home"),
        ({"tls_cert": "a file", "tls_key": "a file"}, "TLS files cannot be used"),
        ({"tls_cert": "a file"}, "needs both"),
    ],
    ids=str,
)
def test_what_it_cannot_start_with_is_said_in_a_line(tmp_path: Path, options: dict[str, str], message: str) -> None:
    Toy(tmp_path).declare()
    (tmp_path / "a file").write_text("no certificate either")
    given: dict[str, Any] = {"home": "home"} | options
    paths = {name: tmp_path / value if name != "landing" else value for name, value in given.items()}
    with pytest.raises(UserError, match=message):
        serve(monitors_dir=tmp_path / "monitors", port=0, **paths)


def test_one_monitors_trouble_is_its_own(tmp_path: Path) -> None:
    sink, blocker = LandingSink(tmp_path), tmp_path / "broken"
    blocker.write_text("a file where a directory belongs")
    shipment = Shipment([labels("broken", "a"), labels("good", "b"), labels("broken", "c"), labels("fine", "d")])
    for _ in range(3):
        with pytest.raises(OSError, match="broken"):
            sink.write("segment", shipment)
    written = {m: next((tmp_path / m / "ground_truth").glob("*.parquet")) for m in ("good", "fine")}
    before = {m: path.stat().st_mtime_ns for m, path in written.items()}
    blocker.unlink()
    sink.write("segment", shipment)
    assert [r["prediction_id"] for r in rows(tmp_path / "broken" / "ground_truth")] == ["a", "c"]
    assert {m: path.stat().st_mtime_ns for m, path in written.items()} == before, "not as if it had changed"

    sink.write("segment", shipment)  # as after a death before the spool file was deleted
    assert [len(list((tmp_path / m / "ground_truth").iterdir())) for m in ("broken", "good", "fine")] == [1, 1, 1]
    assert pq.read_table(written["good"]).num_rows == 1


def test_a_body_that_cannot_be_read_takes_no_other_with_it() -> None:
    bodies = [labels("m", "a").to_bytes(), b'["m", "ground_truth"]', b"\xff", labels("m", "b", "c").to_bytes()]
    found = decode_batches(b"", bodies)
    assert found.rows is not None and found.rows.ids == ["a", "b", "c"] and found.unreadable
    nothing = decode_batches(b"", bodies[1:3])
    assert nothing.rows is None and nothing.unreadable
    assert decode_batches(b"", bodies[:1]).unreadable == ""
