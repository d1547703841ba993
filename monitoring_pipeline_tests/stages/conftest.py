"""The front door and the story, for every test of this room."""

from pathlib import Path

import pytest

from monitoring_pipeline.settings import Settings
from monitoring_pipeline.warehouse.database import Warehouse
from monitoring_pipeline_tests.front_door import door
from monitoring_pipeline_tests.stages.story import Story
from monitoring_pipeline_tests.toy import Toy

__all__ = ["door"]


@pytest.fixture
def story(warehouse: Warehouse, settings: Settings, tmp_path: Path) -> Story:
    """No files yet, and an empty database."""
    return Story(Toy(tmp_path), warehouse, settings)


@pytest.fixture
def eventful(story: Story) -> Story:
    """The reference and the days of an eventful month and a half."""
    story.write_reference()
    story.write_events()
    return story
