"""What `init` is told about a source and what `validate` finds wrong with one."""

from __future__ import annotations

from datetime import datetime

import pytest
import sqlalchemy as sa

from monitoring_pipeline.errors import SourceError
from monitoring_pipeline.lake.inspection import _source_of, check_sources, summarize

from .conftest import rows, write


@pytest.fixture
def sound(tmp_path):
    """A log, labels and a reference that agree with the declaration."""
    write(tmp_path / "log/a.parquet", rows(10))
    write(tmp_path / "truth/a.parquet", {"id": ["r1", "late"], "y": [1, 0], "known": [datetime(2024, 3, 5)] * 2})
    write(tmp_path / "reference/a.parquet", rows(10) | {"y": [i % 2 for i in range(10)]})


def found(monitor, settings) -> dict[str, str]:
    return {".".join(f.location): f.message for f in check_sources(monitor, settings)}


def test_nothing_is_found_where_nothing_is_wrong(declare, settings, sound):
    assert check_sources(declare(), settings) == []


def test_missing_columns_say_what_to_write(declare, settings, sound):
    monitor = declare(schema={"score": "Score", "numerical": ["nope"]})
    got = found(monitor, settings)
    assert "write 'score'" in got["schema.score"]
    assert "has no column 'nope'; write one of its columns: id, at, score, x, c, b" in got["schema.numerical"]


def test_a_misspelled_segment_is_found_where_it_is_declared(declare, settings, sound):
    said = found(declare(segments=["regoin"]), settings)
    assert "has no column 'regoin'" in said["segments"]


def test_values_that_do_not_fit(declare, settings, sound, tmp_path):
    bad = rows(10) | {"id": ["same"] * 9 + [None], "x": ["1"] * 9 + ["many"], "score": [i * 10.0 for i in range(10)],
                      "at": ["2024-03-01"] * 8 + ["noon"] * 2}  # fmt: skip
    write(tmp_path / "log/a.parquet", bad)
    messages = [f"{'.'.join(f.location)}: {f.message}" for f in check_sources(declare(), settings)]
    for expected in [
        "schema.numerical: 1 of 10 values of 'x' in the prediction log are not numbers (such as 'many')",
        "schema.score: 'score' runs from 0 to 90, but a score is a probability",
        "schema.event_time: 2 of 10 times in 'at' of the prediction log cannot be read (such as 'noon')",
        "schema.prediction_id: 8 of 9 ids in 'id' occur again",
        "schema.prediction_id: 1 rows have no 'id'",
    ]:
        assert any(message.startswith(expected) for message in messages), messages


def test_ids_that_a_retry_wrote_twice_are_no_mistake(declare, settings, sound, tmp_path):
    again = {name: [*values, values[0]] for name, values in rows(40).items()}
    write(tmp_path / "log/a.parquet", again)
    assert found(declare(), settings) == {}


def test_outcome_without_the_positive_class(declare, settings, sound):
    got = found(declare(schema={"positive_class": "yes"}), settings)
    assert got["schema.positive_class"].endswith("is '0', '1', never 'yes'; write the value that counts as positive")


def test_a_column_called_as_the_check_calls_its_own(declare, settings, sound, tmp_path):
    names = rows(10) | {name: [0.5] * 10 for name in ("v", "t", "u", "id_", "__sampled_", "s", "line")}
    write(tmp_path / "reference/a.parquet", names | {"y": [i % 2 for i in range(10)]})
    write(tmp_path / "log/a.parquet", names)
    schema = {"numerical": ["x", "v", "t", "u", "s", "line"]}
    assert check_sources(declare(schema=schema), settings) == []


def test_label_ids_that_never_match(declare, settings, sound, tmp_path):
    write(tmp_path / "truth/a.parquet", {"id": ["x1"], "y": [1], "known": [datetime(2024, 3, 5)]})
    assert "none of 1 label ids (such as 'x1')" in found(declare(), settings)["ground_truth.prediction_id"]


def test_sources_that_are_not_there_or_cannot_be_read(declare, settings, sound, tmp_path):
    (tmp_path / "reference/a.parquet").write_bytes(b"PAR1 no")
    sa.create_engine(f"sqlite:///{tmp_path}/x.db").connect().close()
    (tmp_path / "x.db").touch()
    monitor = declare(
        predictions={"path": "none/*.parquet"},
        ground_truth={"url": "sqlite:///x.db", "table": "t", "outcome": "y"},
    )
    got = found(monitor, settings)
    assert "no file matches none/*.parquet" in got["predictions.path"]
    assert "a.parquet: cannot be read" in got["reference.path"]
    assert "'t' is not in" in got["ground_truth.url"]


def test_summary_of_parquet(settings, tmp_path):
    path = write(tmp_path / "log/a.parquet", rows(10) | {"x": [float("nan"), None, *[2.0] * 7, 5.0]})
    summary = summarize(str(path), settings)
    assert (summary.n_rows, summary.path) == (10, str(path))
    x, c, at = summary.column("x"), summary.column("c"), summary.column("at")
    assert (x.kind, x.n_null, x.n_distinct, x.minimum, x.maximum) == ("DOUBLE", 1, 3, 2.0, 5.0)
    assert (c.kind, c.n_distinct, c.samples) == ("VARCHAR", 2, ("a", "b"))
    assert (at.kind, at.minimum) == ("TIMESTAMP", datetime(2024, 3, 1))


def test_summary_of_text_finds_types(settings, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data/a.csv").write_text(
        "i,f,b,t,z,s,e\n"
        "1,1.0,true,2024-03-01,2024-03-01T00:00:00Z,NA,\n"
        "2,2,false,2024-03-02 10:00,2024-03-01T00:00:00+01:00,b,\n"
    )
    summary = summarize(str(tmp_path / "data"), settings)
    assert summary.path == f"{tmp_path}/data/**/*.csv" and summary.n_rows == 2
    assert {c.name: c.kind for c in summary.columns} == {
        "i": "BIGINT", "f": "DOUBLE", "b": "BOOLEAN", "t": "TIMESTAMP", "z": "TIMESTAMP WITH TIME ZONE",
        "s": "VARCHAR", "e": "VARCHAR",
    }  # fmt: skip
    assert summary.column("e").n_null == 2 and summary.column("i").maximum == 2


def test_summary_of_a_table_and_of_nothing(settings, tmp_path):
    engine = sa.create_engine(f"sqlite:///{tmp_path}/x.db")
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE TABLE t (id INTEGER, v REAL)"))
        connection.execute(sa.text("INSERT INTO t VALUES (1, 0.5), (2, NULL)"))
    summary = summarize(f"sqlite:///{tmp_path}/x.db#t", settings)
    assert (summary.table, summary.n_rows) == ("t", 2)
    assert (summary.column("id").kind, summary.column("v").kind, summary.column("v").n_null) == ("BIGINT", "DOUBLE", 1)
    for nothing, said in [("none.parquet", "no file matches"), ("empty", "holds no file")]:
        (tmp_path / "empty").mkdir(exist_ok=True)
        with pytest.raises(SourceError, match=said):
            summarize(str(tmp_path / nothing), settings)


def test_a_wide_source_is_sampled_within_memory(settings, tmp_path):
    write(tmp_path / "wide.parquet", {f"f{i}": [float(i)] * 5_000 for i in range(300)})
    summary = summarize(str(tmp_path / "wide.parquet"), settings)  # 200,000 rows of it would need twice the limit
    assert (summary.n_rows, len(summary.columns)) == (5_000, 300)


def test_classes_under_other_names(declare, settings, sound, tmp_path):
    scores = {"s0": [0.3] * 10, "s1": [0.7] * 10}
    write(tmp_path / "log/a.parquet", rows(10) | scores)
    classes = {"y": ["low", "high"] * 5, "p": ["0", "1"] * 5}
    write(tmp_path / "reference/a.parquet", rows(10) | scores | classes)
    write(tmp_path / "truth/a.parquet", {"id": ["r1"], "y": ["low"], "known": [datetime(2024, 3, 5)]})
    schema = {"score": None, "class_scores": {"0": "s0", "1": "s1"}}
    got = found(declare(schema, task="multiclass"), settings)
    assert "is 'low', which have no score, and never '0', '1', which have one" in got["schema.class_scores"]
    assert found(declare(schema | {"class_scores": {"low": "s0", "high": "s1"}}, task="multiclass"), settings) == {}
    # A class that has no score yet, beside classes that all occur, is drift and no mistake of the declaration.
    assert found(declare(schema | {"class_scores": {"low": "s0"}}, task="multiclass"), settings) == {}

    write(tmp_path / "log/a.parquet", rows(10) | {"p": classes["p"]})
    got = found(declare({"positive_class": "high", "prediction": "p"}), settings)
    assert got["schema.prediction"].startswith("'0', '1' are predicted in the reference, and none of them is ever")


def test_a_reference_without_values_and_a_decimal_comma(declare, settings, sound, tmp_path):
    write(tmp_path / "reference/a.parquet", rows(10) | {"y": [0, 1] * 5, "x": [float("nan"), None] * 5})
    assert "the reference has no value in 'x'" in found(declare(), settings)["schema.numerical"]
    write(tmp_path / "reference/a.parquet", rows(10) | {"y": [0, 1] * 5, "x": ["3,14"] * 10})
    messages = [f.message for f in check_sources(declare(), settings) if f.location == ("schema", "numerical")]
    assert any("(such as '3,14'); write a decimal point, not a comma" in message for message in messages)


@pytest.mark.parametrize(
    ("written", "declared"),
    [("sqlite:///x.db", "sqlite:///{here}/x.db"), ("sqlite:////y/x.db", "sqlite:////y/x.db")],
    ids=["relative", "absolute"],
)
def test_a_sqlite_file_is_named_from_the_root(settings, tmp_path, monkeypatch, written, declared):
    """As globs are: the file of the monitor, which relative paths are relative to, is written elsewhere."""
    monkeypatch.chdir(tmp_path)
    assert _source_of(f"{written}#t").url == declared.format(here=tmp_path)
