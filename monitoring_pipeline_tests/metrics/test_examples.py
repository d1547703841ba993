"""The examples in the docstrings of metrics are right."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

from monitoring_pipeline import metrics

MODULES = [
    found.name for found in pkgutil.walk_packages(metrics.__path__, "monitoring_pipeline.metrics.") if not found.ispkg
]


@pytest.mark.parametrize("name", MODULES)
def test_examples(name):
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_every_drift_method_has_an_example():
    for method in ("psi", "jensen_shannon", "kl_divergence", "hellinger", "total_variation", "chi_square", "smoothing"):
        module = importlib.import_module(f"monitoring_pipeline.metrics.drift.{method}")
        assert any(test.examples for test in doctest.DocTestFinder().find(module)), method
