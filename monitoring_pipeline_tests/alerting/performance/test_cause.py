"""The cause named for changes of known kind."""

import pytest

from benchmarks.detection_streams import Change
from monitoring_pipeline.alerting.performance import cause as c
from monitoring_pipeline.alerting.performance import causes, decide, judge
from monitoring_pipeline_tests.alerting.performance.series import LEVEL, SETTINGS, all_mature, regressed, scored


def named(calibration, evidence):
    """(S, T) causes, and those of each series' first alarm."""
    tests = judge(calibration, evidence, all_mature(evidence), SETTINGS)
    verdicts = decide([tests], LEVEL)[0]
    found = causes(calibration, evidence, all_mature(evidence), tests, verdicts, LEVEL, SETTINGS)
    assert ((found != "") == (verdicts.status == "alarm")).all()
    first = [row[row != ""][0] for row in found[:, 40:] if (row != "").any()]
    return found, first


@pytest.mark.parametrize("kind", ["iid", "all"])
@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (Change("concept", 0.1), {c.CONCEPT}),
        (Change("flip", 0.1), {c.CONCEPT_AND_LEVEL}),
        (Change("odds", 2.0), {c.LEVEL}),
        (Change("prior", 1.5), {c.LEVEL}),
        (Change("harder", 0.8), {c.HARDER_MIX}),
    ],
)
def test_causes_of_scores(kind, change, expected):
    _, first = named(*scored([30, len(change.kind)], 5000, kind, windows=60, change=change, since=40, series=12))
    assert len(first) >= 10
    assert sum(one in expected for one in first) >= len(first) - 1, first


def test_causes_of_errors():
    _, first = named(*regressed(31, 2000, scale=1.4, since=40, series=3))
    assert set(first) == {"larger errors"}
    _, first = named(*regressed(32, 2000, bias=0.5, since=40, series=3))
    assert set(first) == {"bias"}


def test_quiet_windows_have_no_cause():
    found, first = named(*scored(33, 500, windows=45))
    assert not first and found.shape == (1, 45) and not (found != "").any()
