"""Worlds that several tests of this room share."""

from monitoring_pipeline_tests.retraining.flipped import flipped, lived
from monitoring_pipeline_tests.stages.conftest import story

__all__ = ["flipped", "lived", "story"]
