"""The contrast of a classifier without scores: error, from right and wrong predictions by predicted class.

Evidence (S, T, 2 (K+1)): labelled rows by predicted class (the last: a class the reference lacks), then the wrong ones
among them. ê is the reference's share of errors among the predictions of the class, so that another mix of predicted
classes is not taken for a worse model, as the line of the scores does for classifiers with scores.

error  Σ(wrong - ê) / Σ ê (1 - ê): log odds by which errors are more frequent than the reference's confusion says; the
       smaller of this and its square-root form. Variance 1 / Σ ê (1 - ê). ``least``: expected errors, and as many right
       predictions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from monitoring_pipeline.alerting.budget import Floats
from monitoring_pipeline.alerting.performance.contrasts import Contrasts, divided, inverse, smaller, weighted
from monitoring_pipeline.alerting.performance.scores import sides_of
from monitoring_pipeline.alerting.performance.settings import PerformanceSettings
from monitoring_pipeline.alerting.status import Flags

SHRINKAGE = 10.0  # rows by which a class's share of errors is drawn to that of all


@dataclass(frozen=True)
class Predicted:
    """``expected`` (S, K+1): share of errors by predicted class."""

    expected: Floats
    able: Flags
    reference_variance: Floats

    @property
    def names(self) -> tuple[str, ...]:
        """Of the contrast."""
        return ("error",)

    @property
    def sides(self) -> tuple[int, ...]:
        """Fewer errors are not bad."""
        return (1,)

    def rows(self, evidence: Floats) -> Floats:
        """Labelled rows with a prediction."""
        return sides_of(evidence)[0].sum(-1)

    def contrasts(self, evidence: Floats, settings: PerformanceSettings) -> Contrasts:
        """As the module describes, (S, T, 1)."""
        rows, wrong = sides_of(evidence)
        e = self.expected
        expected, info = (weighted(rows, k[:, None]) for k in (e, e * (1 - e)))
        n, seen = rows.sum(-1), wrong.sum(-1)
        rare = expected <= n / 2
        e, o = (np.maximum(np.where(rare, k, n - k), 0.0) for k in (expected, seen))
        value = divided(np.where(rare, 1, -1) * smaller(o, e), info)
        return Contrasts(value[..., None], inverse(info)[..., None], (e >= settings.error.least)[..., None])


def against_reference(evidence: Floats, settings: PerformanceSettings) -> Predicted:
    """The family of one series (S = 1) from the reference's evidence (2 (K+1),)."""
    rows, wrong = sides_of(np.asarray(evidence, float))
    n, errors = float(rows.sum()), float(wrong.sum())
    overall = errors / n if n else 0.5
    expected = (wrong + SHRINKAGE * overall) / (rows + SHRINKAGE)
    expected[-1] = overall  # always wrong; how many such predictions there are is the news
    able = min(errors, n - errors) >= settings.error.least_reference
    info = float(rows @ (expected * (1 - expected)))
    return Predicted(expected[None], np.array([[able]]), np.array([[1 / max(info, 1e-9)]]))
