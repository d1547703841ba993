"""A file that is not UTF-8 in the glob: the run names it, and computes every window of the others."""

from __future__ import annotations

from monitoring_pipeline_tests.front_door import FrontDoor
from monitoring_pipeline_tests.toy import ready


def test_a_utf16_csv_among_the_files_leaves_the_other_windows_computed(door: FrontDoor) -> None:
    it, monitor = ready(door.base, 2)
    monitor = it.declare(predictions={"path": "../log/*"})
    (door.base / "log" / "bad.csv").write_bytes(it.rows(0).to_csv().encode("utf-16"))
    (door.base / "log" / "worse.csv").write_bytes(b"a,b\0c\n1,2\n")
    door.run(monitor, 0, 1)
    assert len(door.query("select * from monitoring.drift_current")) > 0
    computed = door.query("select window_start, n_rows from monitoring.window_status order by window_start")
    assert list(computed["n_rows"]) == [300, 300]
