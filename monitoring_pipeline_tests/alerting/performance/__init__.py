"""Tests of the calibrated performance verdicts."""
