"""Labels: late, twice, never, for unknown ids, before their predictions."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from monitoring_pipeline.errors import SourceError
from monitoring_pipeline.lake.ground_truth import take_in_batch
from monitoring_pipeline.lake.sources.index import index_labels
from monitoring_pipeline.lake.views import labelled_relation, reference_relation

from .conftest import DAY, fetch, rows, take_in, take_in_one, write


@pytest.fixture
def week(declare, settings, tmp_path):
    """Three days of four predictions, r0..r3, r10..r13, r20..r23."""
    for i, day in enumerate(["2024-03-01", "2024-03-02", "2024-03-03"]):
        write(tmp_path / f"log/{day}.parquet", rows(4, 10 * i, day))
    monitor = declare()
    return monitor, list(take_in(monitor, settings).values())


def labels(path: Path, outcomes: dict, known: list | None = None) -> str:
    times = known or [datetime(2024, 3, 5)] * len(outcomes)
    return str(write(path, {"id": list(outcomes), "y": list(outcomes.values()), "known": times}))


def outcomes(monitor, windows, batches, settings) -> dict[str, str | None]:
    files = [path for batch in batches for path in batch.files.values()]
    return dict(fetch(labelled_relation(monitor, windows, files), settings, "__id, __outcome"))


def test_labels_reach_their_windows_and_unknown_ids_are_counted(week, settings, tmp_path):
    monitor, windows = week
    file = labels(tmp_path / "truth/a.parquet", {"r0": 1, "r11": 0, "r12": 1, "nobody": 1})
    batch = take_in_batch(monitor, 1, [file], windows, [], settings.lake, settings)
    assert (batch.n_rows, batch.n_matched, batch.n_unknown, batch.n_duplicates) == (4, 3, 1, 0)
    assert {start.day: n for start, n in batch.windows.items()} == {1: 1, 2: 2}
    assert set(batch.files) == set(batch.windows) and batch.pending_file
    got = outcomes(monitor, windows, [batch], settings)
    assert {i: y for i, y in got.items() if y is not None} == {"r0": "1", "r11": "0", "r12": "1"}
    assert len(got) == 12
    assert set(outcomes(monitor, windows, [], settings).values()) == {None}


def test_labels_before_predictions_wait_in_the_lake(declare, settings, tmp_path):
    monitor = declare()
    file = labels(tmp_path / "truth/a.parquet", {"r0": 1, "r1": 0, "r99": 1})
    early = take_in_batch(monitor, 1, [file], [], [], settings.lake, settings)
    assert (early.n_matched, early.n_unknown, early.files) == (0, 3, {})
    write(tmp_path / "log/a.parquet", rows(4))
    windows = [take_in_one(monitor, settings)]
    later = take_in_batch(monitor, 2, [], windows, [early.pending_file], settings.lake, settings)
    assert (later.n_rows, later.n_matched, later.n_unknown) == (0, 2, 1)
    assert outcomes(monitor, windows, [later], settings) == {"r0": "1", "r1": "0", "r2": None, "r3": None}
    last = take_in_batch(monitor, 3, [], windows, [later.pending_file], settings.lake, settings)
    assert (last.n_matched, last.n_unknown) == (0, 1)


def test_last_label_wins_inside_a_batch_and_between_batches(week, settings, tmp_path):
    monitor, windows = week
    times = [datetime(2024, 3, 9), datetime(2024, 3, 5), datetime(2024, 3, 5), datetime(2024, 3, 5)]
    twice = write(tmp_path / "truth/a.parquet", {"id": ["r0", "r0", "r1", "r1"], "y": [1, 0, 0, 1], "known": times})
    first = take_in_batch(monitor, 1, [str(twice)], windows, [], settings.lake, settings)
    assert (first.n_matched, first.n_duplicates) == (2, 2)
    assert outcomes(monitor, windows, [first], settings)["r0"] == "1", "the later label time"
    assert outcomes(monitor, windows, [first], settings)["r1"] == "1", "the same time: the later row"
    older = labels(tmp_path / "truth/b.parquet", {"r0": 0, "r1": 0}, [datetime(2024, 3, 8), datetime(2024, 3, 6)])
    second = take_in_batch(monitor, 2, [older], windows, [], settings.lake, settings)
    got = outcomes(monitor, windows, [first, second], settings)
    assert (got["r0"], got["r1"]) == ("1", "0"), "label time decides before batch"


def test_without_label_time_the_later_batch_wins(declare, settings, tmp_path):
    monitor = declare(ground_truth={"path": "truth/*", "outcome": "y"})
    write(tmp_path / "log/a.parquet", rows(2))
    windows = [take_in_one(monitor, settings)]
    one = take_in_batch(
        monitor, 1, [labels(tmp_path / "truth/a.parquet", {"r0": 1})], windows, [], settings.lake, settings
    )
    two = take_in_batch(
        monitor, 2, [labels(tmp_path / "truth/b.parquet", {"r0": 0})], windows, [], settings.lake, settings
    )
    assert outcomes(monitor, windows, [two, one], settings)["r0"] == "0"


def test_growing_label_file_brings_only_what_is_new(week, settings, tmp_path):
    monitor, windows = week
    file = labels(tmp_path / "truth/a.parquet", {"r0": 1, "r10": 0})
    first = take_in_batch(monitor, 1, [file], windows, [], settings.lake, settings)
    file = labels(tmp_path / "truth/a.parquet", {"r0": 1, "r10": 1, "r20": 1})
    known = list(first.files.values())
    second = take_in_batch(monitor, 2, [file], windows, [], settings.lake, settings, known)
    assert (second.n_rows, second.n_matched, second.n_unchanged) == (3, 2, 1)
    assert {start.day for start in second.windows} == {2, 3}


def test_refused_labels_have_reasons(declare, settings, tmp_path):
    monitor = declare(schema={"score": None, "prediction": "x", "numerical": []}, task="regression")
    write(tmp_path / "log/a.parquet", rows(4))
    windows = [take_in_one(monitor, settings)]
    file = labels(tmp_path / "truth/a.parquet", {"r0": "1.5", "r1": None, "r2": "much", "r3": "inf", "": "2"})
    batch = take_in_batch(monitor, 1, [file], windows, [], settings.lake, settings)
    assert batch.quarantine == {"missing prediction id": 1, "no outcome": 1, "outcome is not a number": 2}
    assert (batch.n_quarantined, batch.n_matched) == (4, 1)
    assert outcomes(monitor, windows, [batch], settings)["r0"] == 1.5
    assert len(list(Path(settings.lake).glob("m/quarantine/labels-*.parquet"))) == 1


@pytest.mark.parametrize(
    ("written", "text"), [([1, 0], ["1", "0"]), ([1.0, 0.0], ["1", "0"]), ([True, False], ["true", "false"]),
                          (["1.0", "True"], ["1", "true"]), (["a ", "b"], ["a", "b"])],
)  # fmt: skip
def test_classes_are_canonical_text(declare, settings, tmp_path, written, text):
    monitor = declare(schema={"prediction": "p"})
    write(tmp_path / "log/a.parquet", rows(2) | {"p": written})
    windows = [take_in_one(monitor, settings)]
    file = labels(tmp_path / "truth/a.parquet", {"r0": written[0], "r1": written[1]})
    batch = take_in_batch(monitor, 1, [file], windows, [], settings.lake, settings)
    relation = labelled_relation(monitor, windows, list(batch.files.values()))
    assert fetch(relation, settings, "__prediction, __outcome", "ORDER BY __id") == [(t, t) for t in text]


def test_ids_written_as_integers_and_as_floats_meet(declare, settings, tmp_path):
    write(tmp_path / "log/a.parquet", rows(3) | {"id": [1, 2, 3]})
    monitor = declare()
    windows = [take_in_one(monitor, settings)]
    file = labels(tmp_path / "truth/a.parquet", {1.0: 1, 2.0: 0})
    assert take_in_batch(monitor, 1, [file], windows, [], settings.lake, settings).n_matched == 2


def test_csv_labels_with_a_broken_row(declare, settings, tmp_path):
    write(tmp_path / "log/a.parquet", rows(3))
    monitor = declare(ground_truth={"path": "truth/*.csv", "outcome": "y"})
    windows = [take_in_one(monitor, settings)]
    path = tmp_path / "truth/a.csv"
    path.parent.mkdir()
    path.write_text("id,y\nr0,1\nr1,0,what\nr2,1.0\n")
    (indexed,) = index_labels(monitor, {}, settings)
    assert (indexed.path, indexed.n_rows, indexed.error) == (str(path), 2, None)
    batch = take_in_batch(monitor, 1, [str(path)], windows, [], settings.lake, settings)
    assert (batch.n_rows, batch.n_matched, batch.quarantine) == (3, 2, {"broken row": 1})
    assert outcomes(monitor, windows, [batch], settings) == {"r0": "1", "r1": None, "r2": "1"}


def test_label_files_that_cannot_be_used_are_named(week, settings, tmp_path):
    monitor, windows = week
    (tmp_path / "truth").mkdir()
    (tmp_path / "truth/a.parquet").write_bytes(b"PAR1 no more")
    (indexed,) = index_labels(monitor, {}, settings)
    assert "a.parquet" in indexed.error
    with pytest.raises(SourceError, match=r"a\.parquet"):
        take_in_batch(monitor, 1, [indexed.path], windows, [], settings.lake, settings)
    write(tmp_path / "truth/b.parquet", {"id": ["r0"], "outcome": [1]})
    with pytest.raises(
        SourceError, match=r"b\.parquet: has no column 'y' \(ground_truth\.outcome\); it has: id, outcome"
    ):
        take_in_batch(monitor, 1, [str(tmp_path / "truth/b.parquet")], windows, [], settings.lake, settings)


def test_labels_of_predictions_read_in_place(declare, settings, tmp_path):
    write(tmp_path / "log/a.parquet", rows(4))
    monitor = declare(predictions={"path": "log/*.parquet", "immutable": True})
    windows = [take_in_one(monitor, settings)]
    batch = take_in_batch(
        monitor, 1, [labels(tmp_path / "truth/a.parquet", {"r1": 1})], windows, [], settings.lake, settings
    )
    assert batch.windows == {DAY.start: 1}
    assert outcomes(monitor, windows, [batch], settings) == {"r0": None, "r1": "1", "r2": None, "r3": None}


def test_reference_is_cleaned_alike_and_may_lack_id_and_time(declare, settings, tmp_path):
    columns = rows(4) | {"y": [1.0, 0.0, None, 1.0], "version": ["v1", "v1", "v2", None]}
    columns["score"][1] = None
    del columns["id"], columns["at"]
    write(tmp_path / "reference/a.parquet", columns)
    monitor = declare(schema={"model_version": "version"})
    relation = reference_relation(monitor, settings)
    assert relation.columns == ("__id", "__time", "__window", "__version", "__score", "x", "c", "b", "__outcome")
    got = fetch(relation, settings, "*", "ORDER BY x")
    assert [(r[0], r[1], r[3], r[5], r[8]) for r in got] == [
        (None, None, "v1", 0.0, "1"), (None, None, "v2", 2.0, None), (None, None, "1", 3.0, "1"),
    ]  # fmt: skip
    assert {r[2] for r in got} == {datetime(1970, 1, 1)}


def test_reference_in_text_is_copied_to_the_lake(declare, settings, tmp_path):
    (tmp_path / "reference").mkdir()
    (tmp_path / "reference/a.csv").write_text("score,x,c,b,y\n0.5,1,a,true,1\n0.25,2,b,false,0\n")
    monitor = declare(reference={"path": "reference/*.csv", "outcome": "y"})
    relation = reference_relation(monitor, settings)
    assert sorted(fetch(relation, settings, "__score, x, __outcome, __version")) == [
        (0.25, 2.0, "0", "1"),
        (0.5, 1.0, "1", "1"),
    ]


def test_reference_that_is_not_there_or_lacks_a_column_is_named(declare, settings, tmp_path):
    with pytest.raises(SourceError, match=r"no file matches reference/\*\.parquet"):
        reference_relation(declare(), settings)
    write(tmp_path / "reference/a.parquet", rows(3))
    with pytest.raises(SourceError, match=r"reference\.outcome"):
        reference_relation(declare(), settings)


def test_many_windows_take_labels_in_seconds(declare, settings, tmp_path):
    days = [f"2024-0{m}-{d:02}" for m in (1, 2, 3) for d in range(1, 29)]
    parts = [rows(10, 10 * i, day) for i, day in enumerate(days)]
    write(tmp_path / "log/a.parquet", {key: [v for part in parts for v in part[key]] for key in parts[0]})
    monitor = declare()
    windows = list(take_in(monitor, settings).values())
    file = labels(tmp_path / "truth/a.parquet", {f"r{i}": i % 2 for i in range(840)})
    start = datetime.now(UTC)
    batch = take_in_batch(monitor, 1, [file], windows, [], settings.lake, settings)
    assert len(batch.files) == 84 and batch.n_matched == 840
    assert (datetime.now(UTC) - start).total_seconds() < 10
