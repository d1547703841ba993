"""``incidents``: the open ones, worst first; all of them on request; as text and as JSON."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from monitoring_pipeline.cli.app import app
from monitoring_pipeline.errors import UserError
from monitoring_pipeline.settings import Settings
from monitoring_pipeline.warehouse.database import Warehouse
from monitoring_pipeline_tests.cli.conftest import Shell
from monitoring_pipeline_tests.front_door import FrontDoor, door
from monitoring_pipeline_tests.stages.story import Story, run, without_values
from monitoring_pipeline_tests.toy import Toy

__all__ = ["door"]


def asked(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["incidents", *arguments], catch_exceptions=False)


@pytest.fixture
def told(door: FrontDoor, warehouse: Warehouse, settings: Settings, tmp_path: Path) -> Story:
    """One incident that is over, two that are open, of which one is critical; and a monitor without any."""
    story = Story(Toy(tmp_path), warehouse, settings)
    story.write_reference()
    for day in range(12):
        rows = story.toy.rows(day, 250, 1.5 if day == 2 else 0.0)
        story.write(day, without_values(rows, "amount", 0.3) if day >= 10 else rows)
    only = {"drift": {"horizons": [1]}}
    run(story.monitor(alarms=only), range(12))
    run(story.monitor("grave", alarms=only | {"severity": {"drift": "critical"}}), range(12))
    run(story.monitor("quiet", alarms=only), range(2))
    return story


def test_open_incidents_are_listed_the_worst_first_and_closed_ones_on_request(told: Story) -> None:
    result = asked()
    assert result.exit_code == 0
    headings = [line for line in result.output.splitlines() if line.startswith(("toy", "grave", "quiet"))]
    grave, toy = (next(one for one in told.incidents(name) if one.state == "open") for name in ("grave", "toy"))
    assert headings == [
        f"grave {grave.incident_id}  critical drift, open",
        f"toy {toy.incident_id}  warning drift, open",
    ]
    assert toy.summary in result.output and "  columns: amount" in result.output

    result = asked("toy", "--all")
    assert result.exit_code == 0
    states = [line.rpartition(", ")[2] for line in result.output.splitlines() if line.startswith("toy ")]
    assert states == ["open", "resolved"], "those that are open come first"
    assert "the mean of x is" in result.output and "grave" not in result.output

    assert asked("quiet").output == "no open incidents; --all shows those that are resolved\n"
    assert asked("quiet", "--all").output == "no incidents\n"
    assert json.loads(asked("quiet", "--json").output) == []


def test_as_json_they_hold_everything(told: Story) -> None:
    result = asked("toy", "--json", "--all")
    assert result.exit_code == 0
    found = json.loads(result.output)
    assert [(one["monitor"], one["state"], one["columns"][0]) for one in found] == [
        ("toy", "open", "amount"),
        ("toy", "resolved", "x"),
    ]
    stored = {one.incident_id: one for one in told.incidents()}
    for one in found:
        assert one["summary"] == stored[one["incident_id"]].summary
        assert one["evidence"]["alarms"] and one["actions"] and one["reason"] == "opened"
        assert (one["resolved_at"] is None) == (one["state"] == "open")

    with pytest.raises(UserError, match="no monitor 'nobody'; it is added by `monitoring-pipeline run nobody`"):
        asked("nobody")


def test_exit_codes_as_a_user_sees_them(shell: Shell) -> None:
    assert shell("incidents").stdout == "no open incidents; --all shows those that are resolved\n"
    unknown = shell("incidents", "nobody")
    assert unknown.returncode == 1 and "no monitor 'nobody'" in unknown.stderr and "Traceback" not in unknown.stderr
    assert shell("incidents", "--nonsense").returncode == 2
