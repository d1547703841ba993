"""Keys that are one object, and measurements that say the same."""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pytest

from monitoring_pipeline.measurements import Measurement, MetricKeys, metric_keys, same_values

KEYS = metric_keys("drift", ("x", "y"), ("feature", "score"), ("psi", "psi"))
BASE = Measurement(
    "drift", "1", "training", "*", KEYS, np.array([0.1, np.nan]), np.array([5, 6]),
    n_reference=np.array([7, 8]), p_value=np.array([0.5, np.nan]), detail=("new", None),
)  # fmt: skip


def test_equal_keys_are_one_object_with_one_digest():
    again = metric_keys("drift", ("x", "y"), ("feature", "score"), ("psi", "psi"))
    assert again is KEYS and len(KEYS) == 2
    other = MetricKeys("drift", ("x", "y"), ("feature", "score"), ("psi", "psi"))
    assert (other, hash(other), other.digest) == (KEYS, hash(KEYS), KEYS.digest)
    assert pickle.loads(pickle.dumps(KEYS)) == KEYS
    assert len(KEYS.digest) == 16 and int(KEYS.digest, 16) >= 0


def test_the_digest_tells_contents_apart():
    digests = {
        metric_keys(family, columns, ("", ""), ("a", "b")).digest
        for family in ("quality", "realized")
        for columns in (("x", "y"), ("y", "x"), ("x,y", ""), ("\ud800", '"'))
    }
    assert len(digests) == 8


def test_keys_of_different_lengths_are_refused():
    with pytest.raises(ValueError, match="1 columns, 2 roles and 1 metrics"):
        metric_keys("drift", ("x",), ("", ""), ("psi",))


def test_the_same_up_to_the_noise_of_summing():
    assert same_values(BASE, replace(BASE))
    assert same_values(BASE, replace(BASE, value=BASE.value * (1 + 1e-13), p_value=np.array([0.5, np.nan])))


@pytest.mark.parametrize(
    "change",
    [
        {"value": np.array([0.1 * (1 + 1e-11), np.nan])},
        {"value": np.array([0.1, 0.0])},
        {"value": np.array([np.nan, np.nan])},
        {"n": np.array([5, 7])},
        {"n_reference": np.array([7, 9])},
        {"n_reference": None},
        {"p_value": None},
        {"effect": np.array([0.1, np.nan])},
        {"detail": ("newer", None)},
        {"detail": None},
        {"segment": "c=a"},
        {"model_version": "2"},
        {"keys": metric_keys("drift", ("x", "z"), ("feature", "score"), ("psi", "psi"))},
        {"n_labelled": 3},
    ],
    ids=lambda change: next(iter(change)),
)
def test_any_other_change_is_a_difference(change):
    other = replace(BASE, **change)
    assert not same_values(BASE, other) and not same_values(other, BASE)
