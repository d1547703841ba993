"""The monitoring with a log, for every test of this room."""

from monitoring_pipeline_tests.serving.conftest import lake, make

__all__ = ["lake", "make"]
