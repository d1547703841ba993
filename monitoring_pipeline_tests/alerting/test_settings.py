"""What stands under ``alarms`` in a declaration is what verdicts are judged by."""

from math import log

import pytest
from pydantic import ValidationError

from monitoring_pipeline.alerting.coverage import CoverageSettings
from monitoring_pipeline.alerting.freshness import FreshnessSettings
from monitoring_pipeline.alerting.performance import PerformanceSettings
from monitoring_pipeline.alerting.volume import VolumeSettings
from monitoring_pipeline.monitors.alarms import Alarms

DAY, HOUR = 86_400.0, 3_600.0


def test_a_declaration_without_alarms_leaves_every_default():
    alarms = Alarms()
    assert PerformanceSettings.declared(alarms.performance, DAY) == PerformanceSettings()
    assert PerformanceSettings.declared(alarms.performance, HOUR) == PerformanceSettings().for_windows(HOUR)
    assert VolumeSettings.declared(alarms.volume, 24) == VolumeSettings(windows_a_day=24)
    assert CoverageSettings.declared(alarms.coverage) == CoverageSettings()
    assert FreshnessSettings.declared(alarms.freshness) == FreshnessSettings()


def test_declared_constants_are_taken():
    alarms = Alarms.model_validate(
        {
            "performance": {"horizons": [1, 5], "auc": {"floor": 0.05, "ignored": 0, "prior_sd": 0.02, "least": 20,
                                                        "least_reference": 200}},
            "volume": {"ratio": 2, "accept_after": 5}, "coverage": {"floor": 0.2, "ages": ["6h"]},
            "freshness": {"floor": 1},
        }
    )  # fmt: skip
    settings = PerformanceSettings.declared(alarms.performance, HOUR, least_coverage=0.5)
    assert (settings.horizons, settings.auc.floor, settings.least_coverage) == ((1, 5), 0.05, 0.5)
    assert settings.windows_a_day == 24 and settings.level == PerformanceSettings().level
    volume = VolumeSettings.declared(alarms.volume, 1)
    assert (volume.floor, volume.accepts) == (pytest.approx(log(2)), 5)
    assert CoverageSettings.declared(alarms.coverage).floor == 0.2
    assert FreshnessSettings.declared(alarms.freshness).floor == 1


@pytest.mark.parametrize(
    ("declared", "complaint"),
    [
        ({"volume": {"ratio": 1}}, "greater than 1"),
        ({"performance": {"horizons": [1, 1]}}, "different numbers of windows"),
        ({"coverage": {"accept_above": 0.5}}, "less than or equal to 0.05"),
        ({"drift": {"seasonal": {"weeks": 3}}}, "Extra inputs"),
    ],
)
def test_what_cannot_be_meant_is_refused(declared, complaint):
    with pytest.raises(ValidationError, match=complaint):
        Alarms.model_validate(declared)
