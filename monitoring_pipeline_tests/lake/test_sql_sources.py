"""SQL tables as sources: SQLite here, Postgres where the session has a server."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from monitoring_pipeline.errors import DeclarationError, SourceError
from monitoring_pipeline.lake.ground_truth import take_in_batch
from monitoring_pipeline.lake.sources.index import index_labels, index_predictions
from monitoring_pipeline.lake.views import labelled_relation, reference_relation

from .conftest import NOW, fetch, kept, take_in

TABLE = 'odd "table" name'
COLUMN = '"; drop table x; --'


def fill(url: str, n: int = 6, first: int = 0, stamp: str = "2024-03-05 00:00:00") -> None:
    """``n`` predictions, two an hour from 2024-03-01 22:00 on, in a table with odd names."""
    engine = sa.create_engine(url)
    table = sa.Table(
        sa.quoted_name(TABLE, True), sa.MetaData(),
        sa.Column("id", sa.Integer), sa.Column("at", sa.DateTime), sa.Column("score", sa.Float),
        sa.Column(sa.quoted_name(COLUMN, True), sa.Numeric(10, 2)), sa.Column("c", sa.String(20)),
        sa.Column("b", sa.Boolean), sa.Column("written", sa.DateTime), sa.Column("y", sa.Integer),
    )  # fmt: skip
    table.create(engine, checkfirst=True)
    start = datetime(2024, 3, 1, 22)
    with engine.begin() as connection:
        connection.execute(
            table.insert(),
            [
                {"id": i, "at": start + timedelta(minutes=30 * i), "score": 0.5, COLUMN: i + 0.25, "c": "ä",
                 "b": bool(i % 2), "written": datetime.fromisoformat(stamp), "y": i % 2}
                for i in range(first, first + n)
            ],
        )  # fmt: skip
    engine.dispose()


@pytest.fixture(params=["sqlite", "postgres"])
def url(request, tmp_path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/log.db"
    return str(request.getfixturevalue("warehouse_url"))


@pytest.fixture
def monitor(declare, url, monkeypatch):
    monkeypatch.setenv("LOG_URL", url)
    source = {"url": "${LOG_URL}", "table": TABLE}
    return declare(
        schema={"numerical": [COLUMN]},
        predictions=source | {"updated_at": "written"},
        ground_truth=source | {"outcome": "y", "updated_at": "written"},
        reference=source | {"outcome": "y"},
    )


def test_windows_of_a_table(monitor, url, settings):
    fill(url)
    answers = take_in(monitor, settings)
    assert {key: (w.n_rows, w.contract.retyped, w.contract.invalid) for key, w in answers.items()} == {
        "2024-03-01": (4, {}, {}), "2024-03-02": (2, {}, {}),
    }  # fmt: skip
    got = kept(
        monitor, settings, *answers.values(), select=f'__id, __time, "{COLUMN.replace(chr(34), chr(34) * 2)}", c, b'
    )
    assert got[1] == ("1", datetime(2024, 3, 1, 22, 30), 1.25, "ä", "true") and len(got) == 6


def test_only_changed_windows_are_indexed_again(monitor, url, settings):
    fill(url)
    first = index_predictions(monitor, {}, settings, NOW)
    known = {f.path: f.version for f in first}
    assert [f.n_rows for f in first] == [4, 2]
    assert index_predictions(monitor, known, settings, NOW) == []
    fill(url, 1, 6, "2024-03-06 00:00:00")
    (changed,) = index_predictions(monitor, known, settings, NOW)
    assert changed.windows == {datetime(2024, 3, 2, tzinfo=UTC): 3}


def test_a_corrected_zone_reads_the_table_anew(monitor, url, settings):
    fill(url)
    known = {f.path: f.version for f in index_predictions(monitor, {}, settings, NOW)}
    schema = monitor.schema_.model_copy(update={"timezone": "Pacific/Honolulu"})  # ten hours later
    corrected = monitor.model_copy(update={"schema_": schema})
    found = index_predictions(corrected, known, settings, NOW)
    assert [f.windows for f in found] == [{datetime(2024, 3, 2, tzinfo=UTC): 6}, {}], "03-01 has no rows any more"
    known |= {f.path: f.version for f in found}
    assert index_predictions(corrected, known, settings, NOW) == []


def test_table_versions_follow_the_content(monitor, url, settings):
    fill(url)
    before = take_in(monitor, settings)
    assert take_in(monitor, settings) == before
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        quoted = TABLE.replace('"', '""')
        connection.execute(sa.text(f'UPDATE "{quoted}" SET score = 0.75 WHERE id = 5'))
    engine.dispose()
    after = take_in(monitor, settings)
    assert after["2024-03-01"].data_version == before["2024-03-01"].data_version
    assert after["2024-03-02"].data_version != before["2024-03-02"].data_version


def test_labels_come_in_increments(monitor, url, settings):
    fill(url)
    windows = list(take_in(monitor, settings).values())
    (first,) = index_labels(monitor, {}, settings)
    assert first.n_rows == 6
    one = take_in_batch(monitor, 1, [first.path], windows, [], settings.lake, settings)
    assert one.n_matched == 6
    known = {first.path: first.version}
    assert index_labels(monitor, known, settings) == []
    fill(url, 2, 6, "2024-03-06 00:00:00")
    (second,) = index_labels(monitor, known, settings)
    assert second.n_rows == 2
    windows = list(take_in(monitor, settings).values())
    two = take_in_batch(monitor, 2, [second.path], windows, [], settings.lake, settings)
    assert (two.n_rows, two.n_matched) == (2, 2)
    relation = labelled_relation(monitor, windows, [*one.files.values(), *two.files.values()])
    assert fetch(relation, settings, "count(*), count(__outcome)") == [(8, 8)]


def test_reference_from_a_table(monitor, url, settings):
    fill(url)
    assert fetch(reference_relation(monitor, settings), settings, "count(*), count(DISTINCT __outcome)") == [(6, 2)]


def test_what_is_not_there_is_named_without_the_password(declare, settings, tmp_path):
    fill(f"sqlite:///{tmp_path}/log.db")
    for source, said in [
        ({"url": f"sqlite:///{tmp_path}/log.db", "table": "nope"}, "'nope' is not in"),
        ({"url": f"sqlite:///{tmp_path}/none.db", "table": TABLE}, "does not exist"),
        ({"url": "no url", "table": TABLE}, "no SQLAlchemy URL"),
        ({"url": "postgresql://u:secret@127.0.0.1:1/x", "table": TABLE}, "cannot be reached"),
    ]:
        with pytest.raises(SourceError, match=said) as raised:
            index_predictions(declare(predictions=source), {}, settings, NOW)
        assert "secret" not in str(raised.value)
    with pytest.raises(DeclarationError, match="UNSET_NAME is not set"):
        index_predictions(declare(predictions={"url": "${UNSET_NAME}", "table": "t"}), {}, settings, NOW)


def test_relative_sqlite_path_is_relative_to_the_monitor(declare, settings, tmp_path):
    fill(f"sqlite:///{Path(tmp_path)}/log.db")
    monitor = declare(schema={"numerical": []}, predictions={"url": "sqlite:///log.db", "table": TABLE})
    assert sum(w.n_rows for w in take_in(monitor, settings).values()) == 6
