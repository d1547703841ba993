"""Ingestion against every kind of bad input, with real files."""

from __future__ import annotations

import math
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import fsspec
import pyarrow as pa
import pytest

from monitoring_pipeline.errors import SourceError, WindowError
from monitoring_pipeline.lake.ingestion import ingest_window
from monitoring_pipeline.lake.sources.index import index_predictions
from monitoring_pipeline.records import IngestedWindow, WindowFailure
from monitoring_pipeline.settings import Settings
from monitoring_pipeline.windows import Window

from .conftest import DAY, NOW, kept, quarantined, rows, take_in, take_in_one, write


def test_good_rows_arrive_under_canonical_columns(declare, settings, tmp_path):
    write(tmp_path / "log/a.parquet", rows(3) | {"version": ["v1", "v2", None]})
    monitor = declare(schema={"model_version": "version"})
    window = take_in_one(monitor, settings)
    assert (window.n_rows, window.n_duplicates, window.n_quarantined) == (3, 0, 0)
    assert window.versions == {"1": 1, "v1": 1, "v2": 1}
    assert window.last_event == datetime(2024, 3, 1, 0, 2, tzinfo=UTC)
    first, _, last = kept(monitor, settings, window)
    start = datetime(2024, 3, 1)
    assert first == ("r0", start, start, "v1", 0.0, 0.0, "a", "true")
    assert last == ("r2", start + timedelta(minutes=2), start, "1", 2 / 3, 2.0, "a", "false")


def test_window_without_rows_is_empty_and_writes_nothing(declare, settings, tmp_path):
    path = write(tmp_path / "log/a.parquet", rows(3))
    monitor = declare()
    window = ingest_window(monitor, Window.from_key("2024-03-02", "day"), [str(path)], settings.lake, settings, NOW)
    assert (window.n_rows, window.files) == (0, ())
    none = ingest_window(monitor, DAY, [], settings.lake, settings, NOW)
    assert (none.n_rows, none.files) == (0, ())
    assert kept(monitor, settings, window, none) == []
    assert not Path(settings.lake).exists() or not list(Path(settings.lake).rglob("*.parquet"))


def test_running_twice_writes_the_same_file(declare, settings, tmp_path):
    write(tmp_path / "log/a.parquet", rows(10))
    monitor = declare()
    assert take_in_one(monitor, settings) == take_in_one(monitor, settings)
    assert len(list(Path(settings.lake).rglob("*.parquet"))) == 1


def test_changed_source_is_another_data_version_in_another_file(declare, settings, tmp_path):
    path = write(tmp_path / "log/a.parquet", rows(10))
    monitor = declare()
    before = take_in_one(monitor, settings)
    write(path, rows(12))
    after = take_in_one(monitor, settings)
    assert before.data_version != after.data_version and after.n_rows == 12
    assert set(before.files).isdisjoint(after.files) and len(kept(monitor, settings, after)) == 12


def test_missing_feature_is_null_and_missing_required_column_fails_its_window_only(declare, settings, tmp_path):
    good = rows(3)
    del good["x"]
    write(tmp_path / "log/a.parquet", good | {"extra": [1, 2, 3]})
    bad = rows(3, 10, "2024-03-02")
    del bad["score"]
    write(tmp_path / "log/b.parquet", bad)
    monitor = declare()
    answers = take_in(monitor, settings)
    window = answers["2024-03-01"]
    assert isinstance(window, IngestedWindow)
    assert window.contract.missing == ("x",) and window.contract.extra == ("extra",)
    assert [x for (x,) in kept(monitor, settings, window, select="x")] == [None] * 3
    failure = answers["2024-03-02"]
    assert isinstance(failure, WindowFailure)
    assert "b.parquet" in failure.message and "'score'" in failure.message and "schema.score" in failure.message


def test_column_that_became_text_keeps_rows_and_counts_what_does_not_fit(declare, settings, tmp_path):
    columns = rows(4) | {"x": ["1.5", "oops", None, "NA"], "b": ["yes", "0", "maybe", None]}
    write(tmp_path / "log/a.parquet", columns)
    monitor = declare()
    window = take_in_one(monitor, settings)
    assert window.n_rows == 4 and window.n_quarantined == 0
    assert window.contract.retyped == {"x": "VARCHAR", "b": "VARCHAR"}
    assert window.contract.invalid == {"x": 1, "b": 1}
    assert kept(monitor, settings, window, select="x, b") == [
        (1.5, "true"),
        (None, "false"),
        (None, None),
        (None, None),
    ]


def test_files_of_one_window_may_disagree_in_types(declare, settings, tmp_path):
    write(tmp_path / "log/a.parquet", rows(2) | {"c": [1, 2]})
    write(tmp_path / "log/b.parquet", rows(2, 10) | {"c": [1.0, 3.0], "x": ["7", "8"]})
    monitor = declare()
    window = take_in_one(monitor, settings)
    assert kept(monitor, settings, window, select="c, x") == [("1", 0.0), ("2", 1.0), ("1", 7.0), ("3", 8.0)]
    assert window.contract.retyped == {"x": "VARCHAR"}


def test_all_missing_constant_and_non_finite_values_stay_what_they_are(declare, settings, tmp_path):
    write(
        tmp_path / "log/a.parquet",
        rows(4) | {"c": pa.nulls(4), "x": [math.inf, -math.inf, math.nan, 7.0], "b": [True] * 4},
    )
    monitor = declare()
    window = take_in_one(monitor, settings)
    values = kept(monitor, settings, window, select="x, c, b")
    assert [x for x, _, _ in values][:2] == [math.inf, -math.inf] and math.isnan(values[2][0])
    assert {(c, b) for _, c, b in values} == {(None, "true")}
    assert window.contract.invalid == {}


def test_hundred_thousand_categories(declare, settings, tmp_path):
    n = 100_000
    write(tmp_path / "log/a.parquet", {
        "id": pa.array(range(n)), "at": pa.array([datetime(2024, 3, 1)] * n), "score": pa.array([0.5] * n),
        "x": pa.array([1.0] * n), "c": [f"k{i}" for i in range(n)], "b": pa.array([True] * n),
    })  # fmt: skip
    window = take_in_one(declare(), settings)
    assert window.n_rows == n
    assert kept(declare(), settings, window, select="'' AS __id, count(DISTINCT c)")[0][1] == n


def test_duplicates_inside_and_across_files_keep_the_earliest(declare, settings, tmp_path):
    first, second = rows(4), rows(4, 2)
    first["id"][1] = "r0"  # later in the same file: loses
    write(tmp_path / "log/a.parquet", first)
    write(tmp_path / "log/b.parquet", second)  # r2, r3 again at 00:00 and 00:01, before a's 00:02 and 00:03
    monitor = declare()
    window = take_in_one(monitor, settings)
    # 8 rows, ids r0 r0 r2 r3 | r2 r3 r4 r5
    assert (window.n_rows, window.n_duplicates, window.versions) == (5, 3, {"1": 5})
    got = kept(monitor, settings, window, select="__id, __time::VARCHAR")
    assert [i for i, _ in got] == ["r0", "r2", "r3", "r4", "r5"]
    assert dict(got)["r2"] == "2024-03-01 00:00:00" and dict(got)["r0"] == "2024-03-01 00:00:00"


def test_duplicates_at_the_same_time_go_by_path_and_row(declare, settings, tmp_path):
    same = rows(3) | {"id": ["d", "d", "d"], "at": [datetime(2024, 3, 1)] * 3}
    write(tmp_path / "log/b.parquet", same | {"x": [1.0, 2.0, 3.0]})
    write(tmp_path / "log/a.parquet", same | {"x": [4.0, 5.0, 6.0]})
    monitor = declare()
    assert kept(monitor, settings, take_in_one(monitor, settings), select="x, __id") == [(4.0, "d")]


def test_rows_are_refused_with_their_reasons(declare, settings, tmp_path):
    columns = rows(8)
    columns["id"][0] = None
    columns["id"][1] = ""
    columns["score"][2] = None
    columns["score"][3] = math.nan
    columns["score"][4] = 1.5
    columns["score"][5] = -0.01
    columns["at"][6] = datetime(2024, 3, 1, 12, 6)
    write(tmp_path / "log/a.parquet", columns)
    monitor = declare()
    now = datetime(2024, 3, 1, 12, 0, tzinfo=UTC)
    window = take_in_one(monitor, settings, now)
    assert window.quarantine == {
        "event time in the future": 1, "missing prediction id": 2, "no prediction": 2, "score outside [0, 1]": 2,
    }  # fmt: skip
    assert (window.n_rows, window.n_quarantined) == (1, 7)
    assert window.last_event == datetime(2024, 3, 1, 0, 7, tzinfo=UTC)
    aside = quarantined(settings, monitor)
    assert [(row["source_row"], row["reason"]) for row in aside][:3] == [
        (1, "missing prediction id"), (2, "missing prediction id"), (3, "no prediction"),
    ]  # fmt: skip
    assert all(row["source_file"].endswith("a.parquet") for row in aside)


def test_five_minutes_ahead_is_no_future(declare, settings, tmp_path):
    write(tmp_path / "log/a.parquet", rows(1) | {"at": [datetime(2024, 3, 1, 12, 5)]})
    assert take_in_one(declare(), settings, datetime(2024, 3, 1, 12, 0, tzinfo=UTC)).n_rows == 1


def test_regression_prediction_must_be_a_finite_number(declare, settings, tmp_path):
    write(tmp_path / "log/a.parquet", rows(4) | {"p": ["1.5", "inf", "nan", "no"]})
    monitor = declare(schema={"score": None, "prediction": "p"}, task="regression")
    window = take_in_one(monitor, settings)
    assert window.quarantine == {"no prediction": 1, "prediction is not a number": 2}
    assert kept(monitor, settings, window, select="__prediction, __id") == [(1.5, "r0")]


def test_multiclass_scores_follow_the_sorted_classes(declare, settings, tmp_path):
    write(tmp_path / "log/a.parquet", rows(2) | {"p": [2.0, 10.0], "s10": [0.1, 0.9], "s2": [0.9, 0.1]})
    monitor = declare(
        schema={"score": None, "prediction": "p", "class_scores": {"2": "s2", "10": "s10"}}, task="multiclass"
    )
    window = take_in_one(monitor, settings)
    assert kept(monitor, settings, window, select="__prediction, __score_0, __score_1, __id") == [
        ("2", 0.1, 0.9, "r0"), ("10", 0.9, 0.1, "r1"),
    ]  # fmt: skip


def test_truncated_parquet_is_named_and_the_others_go_on(declare, settings, tmp_path):
    good = write(tmp_path / "log/a.parquet", rows(5))
    whole = write(tmp_path / "log/b.parquet", rows(500, 100)).read_bytes()
    (tmp_path / "log/b.parquet").write_bytes(whole[: len(whole) // 2])
    monitor = declare()
    indexed = {Path(f.path).name: f for f in index_predictions(monitor, {}, settings, NOW)}
    assert indexed["a.parquet"].windows == {DAY.start: 5} and indexed["a.parquet"].error is None
    assert "b.parquet" in indexed["b.parquet"].error and "truncated" in indexed["b.parquet"].error
    with pytest.raises(SourceError, match=r"b\.parquet.*truncated"):
        ingest_window(monitor, DAY, [str(good), str(tmp_path / "log/b.parquet")], settings.lake, settings, NOW)
    assert take_in_one(monitor, settings).n_rows == 5


def test_damaged_page_is_found_though_the_footer_is_whole(declare, settings, tmp_path):
    write(tmp_path / "log/a.parquet", rows(5))
    path = write(tmp_path / "log/b.parquet", rows(900, 100), compression="zstd")
    data = bytearray(path.read_bytes())
    data[4:4000] = os.urandom(3996)
    path.write_bytes(data)
    indexed = {Path(f.path).name: f for f in index_predictions(declare(), {}, settings, NOW)}
    assert indexed["a.parquet"].error is None
    with pytest.raises(SourceError, match=r"b\.parquet"):
        ingest_window(declare(), DAY, [str(path)], settings.lake, settings, NOW)


def test_file_that_vanished_is_a_source_error(declare, settings, tmp_path):
    with pytest.raises(SourceError, match=r"gone\.parquet"):
        ingest_window(declare(), DAY, [str(tmp_path / "log/gone.parquet")], settings.lake, settings, NOW)


@pytest.mark.parametrize("name", ['"; drop table x; --', "a b", "select", "it's", "ünï", "%s {x}", "back\\slash"])
def test_any_column_name_works(declare, settings, tmp_path, name):
    columns = rows(3)
    columns[name] = columns.pop("x")
    write(tmp_path / "log/a.parquet", columns)
    monitor = declare(schema={"numerical": [name]})
    window = take_in_one(monitor, settings)
    quoted = '"' + name.replace('"', '""') + '"'
    assert kept(monitor, settings, window, select=f"{quoted}, __id") == [(0.0, "r0"), (1.0, "r1"), (2.0, "r2")]
    assert window.contract.extra == ()


def test_any_file_name_works(declare, settings, tmp_path):
    write(tmp_path / "log/it's [1]?.parquet", rows(3))
    write(tmp_path / "log/key=1/b.parquet", rows(2, 10))
    monitor = declare(predictions={"path": "log/**/*.parquet"})
    assert take_in_one(monitor, settings).n_rows == 5


def test_many_windows_of_one_file_and_a_file_only_gives_to_windows_it_is_listed_for(declare, settings, tmp_path):
    days = [f"2024-03-{d:02}" for d in range(1, 13)]
    parts = [rows(20, 100 * i, day) for i, day in enumerate(days)]
    merged = {key: [v for part in parts for v in part[key]] for key in parts[0]}
    one = write(tmp_path / "log/all.parquet", merged)
    two = write(tmp_path / "log/late.parquet", rows(1, 5000, "2024-03-02"))
    monitor = declare()
    answers = take_in(monitor, settings)
    assert {key: w.n_rows for key, w in answers.items()} == dict.fromkeys(days, 20) | {"2024-03-02": 21}
    alone = ingest_window(monitor, DAY, [str(one)], settings.lake, settings, NOW)
    assert sorted(kept(monitor, settings, alone)) == sorted(kept(monitor, settings, answers["2024-03-01"]))
    both = Window.from_key("2024-03-02", "day")
    assert ingest_window(monitor, both, [str(one)], settings.lake, settings, NOW).n_rows == 20
    assert ingest_window(monitor, both, [str(one), str(two)], settings.lake, settings, NOW).n_rows == 21


def test_immutable_source_is_read_in_place_with_the_same_answer(declare, settings, tmp_path):
    first = rows(6)
    first["id"][3], first["score"][4] = "r0", None
    write(tmp_path / "log/a.parquet", first)
    write(
        tmp_path / "log/b.parquet",
        rows(3, 50) | {"at": [datetime(2024, 3, 2), datetime(2024, 3, 1), datetime(2024, 3, 2)]},
    )
    copied, in_place = declare(), declare(predictions={"path": "log/*.parquet", "immutable": True})
    copies = list(take_in(copied, settings).values())
    places = list(take_in(in_place, settings).values())
    assert [(w.n_rows, w.n_duplicates, w.quarantine) for w in copies] == [
        (w.n_rows, w.n_duplicates, w.quarantine) for w in places
    ]
    assert {p for w in places for p in w.files} == {str(tmp_path / "log/a.parquet"), str(tmp_path / "log/b.parquet")}
    assert kept(copied, settings, *copies) == kept(in_place, settings, *places)
    assert kept(copied, settings, copies[1]) == kept(in_place, settings, places[1])


def test_memory_filesystem_holds_source_and_lake(declare, tmp_path):
    memory = fsspec.filesystem("memory")
    local = write(tmp_path / "a.parquet", rows(5))
    memory.pipe("/bucket/log/a.parquet", local.read_bytes())
    memory.pipe("/bucket/log/b.csv.gz", _gzip("id,at,score,x,c,b\nz,2024-03-01T10:00:00,0.5,1,a,true\n"))
    settings = Settings(home=tmp_path / "home", lake_url="memory://lake")
    monitor = declare(predictions={"path": ["memory://bucket/log/*.parquet", "memory://bucket/log/*.csv.gz"]})
    try:
        window = take_in_one(monitor, settings)
        assert window.n_rows == 6 and window.files[0].startswith("memory://")
        assert [row[0] for row in kept(monitor, settings, window)] == ["r0", "r1", "r2", "r3", "r4", "z"]
        assert [n for n in memory.find("/lake") if ".tmp-" in n] == []
        files = index_predictions(monitor, {}, settings, NOW)
        assert index_predictions(monitor, {f.path: f.version for f in files}, settings, NOW) == []
    finally:
        memory.rm("/bucket", recursive=True)
        memory.rm("/lake", recursive=True)


def test_file_url_is_a_local_path(declare, settings, tmp_path):
    write(tmp_path / "log/a.parquet", rows(2))
    monitor = declare(predictions={"path": f"file://{tmp_path}/log/*.parquet"})
    assert take_in_one(monitor, settings).n_rows == 2


def _gzip(text: str) -> bytes:
    import gzip

    return gzip.compress(text.encode())


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("mount"), reason="mounting a small disk needs root")
def test_full_disk_says_so_and_leaves_nothing(declare, settings, tmp_path):
    write(tmp_path / "log/a.parquet", {**rows(20_000), "x": [os.urandom(1)[0] * 1.1 + i for i in range(20_000)]})
    lake = tmp_path / "tiny"
    lake.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", lake], check=False, capture_output=True
    ).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        with pytest.raises(WindowError, match="lake is full"):
            ingest_window(declare(), DAY, [str(tmp_path / "log/a.parquet")], str(lake), settings, NOW)
        assert [p for p in lake.rglob("*") if p.is_file()] == []
    finally:
        subprocess.run(["umount", lake], check=True)


def test_file_size_limit_says_so_and_leaves_nothing(declare, settings, tmp_path):
    write(tmp_path / "log/a.parquet", {**rows(20_000), "x": [i * 1.1 for i in range(20_000)]})
    script = f"""
        import resource, signal
        from datetime import UTC, datetime
        from pathlib import Path
        from monitoring_pipeline.errors import WindowError
        from monitoring_pipeline.lake.ingestion import ingest_window
        from monitoring_pipeline.monitors.declaration import Monitor
        from monitoring_pipeline.windows import Window
        from monitoring_pipeline.settings import Settings
        monitor = Monitor.model_validate_json('''{declare().model_dump_json(by_alias=True)}''')
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
        try:
            ingest_window(monitor, Window.from_key("2024-03-01", "day"), ["{tmp_path}/log/a.parquet"],
                          "{tmp_path}/lake", Settings(home=Path("{tmp_path}/home2")), datetime(2024, 6, 1, tzinfo=UTC))
        except WindowError as error:
            print("refused:", error)
    """
    run = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, check=False)
    assert "refused: the lake is full" in run.stdout, run.stderr
    assert [p for p in (tmp_path / "lake").rglob("*") if p.is_file()] == []


def test_kill_in_the_middle_leaves_no_half_written_final_file(declare, settings, tmp_path):
    n = 250_000
    write(tmp_path / "log/a.parquet", {
        "id": [f"r{i}" for i in range(n)], "at": [datetime(2024, 3, 1)] * n, "score": [0.5] * n,
        "x": [i * 1.37 for i in range(n)], "c": ["a"] * n, "b": [True] * n,
    })  # fmt: skip
    monitor, lake = declare(), tmp_path / "lake"
    script = f"""
        from datetime import UTC, datetime
        from pathlib import Path
        from monitoring_pipeline.lake.ingestion import ingest_window
        from monitoring_pipeline.monitors.declaration import Monitor
        from monitoring_pipeline.windows import Window
        from monitoring_pipeline.settings import Settings
        monitor = Monitor.model_validate_json('''{monitor.model_dump_json(by_alias=True)}''')
        ingest_window(monitor, Window.from_key("2024-03-01", "day"), ["{tmp_path}/log/a.parquet"],
                      "{lake}", Settings(home=Path("{tmp_path}/home2")), datetime(2024, 6, 1, tzinfo=UTC))
    """
    process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(script)])
    deadline = time.monotonic() + 60
    while not list(lake.rglob(".tmp-*")) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert process.returncode == -signal.SIGKILL, "it was caught while writing"
    final = [p for p in lake.rglob("*.parquet") if not p.name.startswith(".tmp-")]
    assert final == []
    window = ingest_window(monitor, DAY, [str(tmp_path / "log/a.parquet")], str(lake), settings, NOW)
    assert kept(monitor, settings, window, select="'' AS __id, count(*), count(DISTINCT __id)")[0][1] == n
