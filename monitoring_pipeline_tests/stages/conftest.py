"""The front door, for every test of this room."""

from monitoring_pipeline_tests.front_door import door

__all__ = ["door"]
