"""An outcome of Yes and No stays text from the draft to the run."""

from __future__ import annotations

import pandas as pd
import pytest

from monitoring_pipeline.cli.run import _check
from monitoring_pipeline.errors import UserError
from monitoring_pipeline.lake.inspection import check_sources, summarize
from monitoring_pipeline.monitors.drafting import draft

from .conftest import rows


@pytest.mark.parametrize(
    "words", [("Yes", "No"), ("YES", "NO"), ("t", "f"), ("yes", "no"), ("01", "00"), ("True", "False")]
)
def test_init_drafts_the_positive_class_as_the_reader_keeps_it(declare, settings, tmp_path, words):
    (tmp_path / "reference").mkdir()
    log = pd.DataFrame(rows(60)).assign(outcome=[words[i % 3 > 0] for i in range(60)])
    log.to_csv(tmp_path / "reference/a.csv", index=False)
    drafted = draft("m", summarize(str(tmp_path / "reference/a.csv"), settings))
    line = next(line for line in drafted.splitlines() if "positive_class" in line)
    positive = line.split(": ", 1)[1].split(" #")[0].strip().strip('"')
    monitor = declare(schema={"positive_class": positive}, reference={"path": "reference/*.csv", "outcome": "outcome"})
    assert not [f for f in check_sources(monitor, settings) if f.location == ("schema", "positive_class")], line


def test_run_stops_when_the_positive_class_never_occurs_in_the_reference(declare, settings, tmp_path):
    (tmp_path / "reference").mkdir()
    pd.DataFrame(rows(20)).assign(y=["Yes", "No"] * 10).to_csv(tmp_path / "reference/a.csv", index=False)
    monitor = declare(schema={"positive_class": "true"}, reference={"path": "reference/*.csv", "outcome": "y"})
    with pytest.raises(
        UserError, match="positive_class: the outcome 'y' of the reference is 'No', 'Yes', never 'true'"
    ):
        _check(monitor, settings)


@pytest.mark.parametrize("written", ["Yes ", " Yes", "Yes"])
@pytest.mark.parametrize("met", ["Yes", "Yes  "])
def test_blanks_around_a_class_do_not_count(declare, settings, tmp_path, written, met):
    (tmp_path / "reference").mkdir()
    pd.DataFrame(rows(20)).assign(y=[met, "No"] * 10).to_parquet(tmp_path / "reference/a.parquet")
    monitor = declare(schema={"positive_class": written})
    assert not [f for f in check_sources(monitor, settings) if f.location == ("schema", "positive_class")]


@pytest.mark.parametrize(
    ("written", "kept"), [("1.0", "1"), (1.0, "1"), ("True", "true"), (True, "true"), ("1.5", "1.5")]
)
def test_a_declared_class_is_written_as_the_reader_writes_it(declare, written, kept):
    monitor = declare(schema={"positive_class": written}, reference={"path": "r", "model_version": "1.0"})
    assert (monitor.schema_.positive_class, monitor.reference.model_version) == (kept, "1.0")
