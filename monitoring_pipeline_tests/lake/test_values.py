"""Texts under the declared types."""

from __future__ import annotations

import duckdb
import pytest

from monitoring_pipeline.lake import values

NO_NUMBER = ["", " ", "#N/A", "-", " ?", ".", "NA", " n/a ", "Null", "none", "<NA>", "\u00a0na\u2003"]
NEITHER = ["x", "nan.", "n a", "true", "na\n", "\tna", "N/A.", "<na"]
FLAGS = {"true": ["true", "TRUE", " t ", "yes", "Y", "1", "1.0"], "false": ["false", "F", "no", "n", "0", "0.0"]}


def kept(value: values.Value, texts: list[str]) -> list[tuple[object, bool]]:
    sql = f"SELECT {value.sql}, coalesce({value.invalid}, false) FROM (SELECT unnest(?) AS __v)"
    return duckdb.execute(sql, [texts]).fetchall()


@pytest.mark.parametrize("convert", [values.numerical, values.boolean])
def test_words_for_no_value_are_missing_and_other_words_do_not_fit(convert):
    value = convert("__v", "VARCHAR")
    assert kept(value, NO_NUMBER) == [(None, False)] * len(NO_NUMBER)
    unfit = [word for word in NEITHER if convert is values.numerical or word != "true"]
    assert kept(value, unfit) == [(None, True)] * len(unfit)


def test_an_id_is_the_same_however_a_writer_types_it():
    texts = ["1000001.0", "1000001", "7.50", "a.0", "", "v1.0", "3.00"]
    found = duckdb.execute(f"SELECT {values.key('v', 'VARCHAR')} FROM (SELECT unnest(?) AS v)", [texts]).fetchall()
    assert [row[0] for row in found] == ["1000001", "1000001", "7.50", "a.0", None, "v1.0", "3.00"]
    for number, kind in (("1000001", "BIGINT"), ("1000001.0", "DOUBLE"), ("NULL", "DOUBLE")):
        found = duckdb.sql(f"SELECT {values.key('v', kind)} FROM (SELECT CAST({number} AS {kind}) AS v)").fetchall()
        assert found == [(None if number == "NULL" else "1000001",)]


def test_words_for_true_and_false():
    value = values.boolean("__v", "VARCHAR")
    for flag, words in FLAGS.items():
        assert kept(value, words) == [(flag, False)] * len(words)
    others = ["1x0", "10", "truee", "1,0", "y\n", "01"]
    assert kept(value, others) == [(None, True)] * len(others)


@pytest.mark.parametrize("convert", [values.numerical, values.boolean, values.categorical, values.class_label])
def test_no_list_of_words_becomes_a_join(convert):
    """A join carries all columns: with one of them for each column, a wide file takes memory by their square."""
    value = convert("__v", "VARCHAR")
    select = f"SELECT {value.sql}, {value.invalid or 'false'} FROM (SELECT i::VARCHAR AS __v FROM range(9) t(i))"
    ((_, plan),) = duckdb.execute(f"EXPLAIN {select}").fetchall()
    assert "Join" not in plan and "JOIN" not in plan
