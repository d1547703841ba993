"""From stored outcome profiles to the small arrays that are judged, and from a layout to what is judged of it.

A subject is one thing judged of every segment: the score of a binary classifier, each class of a multiclass one against
the rest and their macro mean, the errors of a regression, or the predicted classes of a classifier without scores.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.special import logit

from monitoring_pipeline.alerting.budget import Floats
from monitoring_pipeline.alerting.performance import errors, predicted, scores
from monitoring_pipeline.alerting.performance.contrasts import Family
from monitoring_pipeline.alerting.performance.settings import PerformanceSettings
from monitoring_pipeline.profiles.layout import OutcomeLayout
from monitoring_pipeline.profiles.outcome import REGRESSION_SUMS, OutcomeProfile

SUMS = tuple(REGRESSION_SUMS.index(name) for name in ("e", "abs_e", "e2"))
CLIP = 1e-6


@dataclass(frozen=True)
class Subject:
    """``name``: empty for the whole, ``class=a``, or ``macro``; ``position`` of the scored class, -1 elsewhere."""

    kind: Literal["scores", "macro", "errors", "predicted"]
    name: str = ""
    position: int = -1


def subjects(layout: OutcomeLayout) -> tuple[Subject, ...]:
    """What is judged of a monitor with this layout; the budget's family of a window holds all of them."""
    if layout.task == "regression":
        return (Subject("errors"),)
    if not layout.scored:
        return (Subject("predicted"),)
    if layout.task == "binary":
        return (Subject("scores", position=0),)
    classes = tuple(Subject("scores", f"class={name}", k) for k, name in enumerate(layout.scored))
    return (*classes, Subject("macro", "macro"))


def evidence_of(subject: Subject, outcomes: Sequence[OutcomeProfile]) -> Floats:
    """(T, D) evidence of these profiles, in their order; all of one layout. What D holds is said by ``scores``,
    ``errors`` and ``predicted``. No profiles: ValueError, since the layout is not known."""
    if not outcomes:
        raise ValueError("no outcome profiles; a window without rows is OutcomeProfile.empty(layout)")
    if subject.kind == "errors":
        return np.array([[o.n_scored, *o.sums[list(SUMS)]] for o in outcomes], float)
    if subject.kind == "predicted":
        return np.stack([_by_predicted(o) for o in outcomes])
    each = slice(None) if subject.kind == "macro" else slice(subject.position, subject.position + 1)
    labelled = np.stack([o.labelled_counts[each] for o in outcomes])
    positive = np.stack([o.positive_counts[each] for o in outcomes])
    return np.concatenate((labelled, positive), axis=-1).reshape(len(outcomes), -1).astype(float)


def family_of(subject: Subject, reference: OutcomeProfile, settings: PerformanceSettings) -> Family:
    """The contrasts of one series (S = 1) against this reference: the whole reference of the segment."""
    evidence = evidence_of(subject, [reference])[0]
    if subject.kind == "errors":
        return errors.against_reference(evidence, settings)
    if subject.kind == "predicted":
        return predicted.against_reference(evidence, settings)
    if subject.kind == "scores":
        return scores.against_reference(score_axis(reference, subject.position), evidence, settings)
    classes = [
        scores.against_reference(score_axis(reference, k), evidence_of(one, [reference])[0], settings)
        for k, one in enumerate(subjects(reference.layout)[:-1])
    ]
    return scores.macro(classes, evidence, settings)


def score_axis(reference: OutcomeProfile, position: int) -> Floats:
    """x (B,) of each score bin: the logit of the mean score of the reference's rows in it; of an empty bin, that of
    its middle. Scores that are not all in [0, 1] are no probabilities: x is then the score in standard deviations.
    """
    counts, sums = reference.score_counts[position].astype(float), reference.score_sums[position]
    edges = np.asarray(reference.layout.score_edges, float)
    lower, upper = np.append(edges[:1], edges), np.append(edges, edges[-1:])
    if not len(edges):
        lower = upper = np.full(1, 0.5)
    mean = np.where(counts > 0, sums / np.maximum(counts, 1), (lower + upper) / 2)
    seen = mean[counts > 0]
    if len(seen) and (seen.min() < 0 or seen.max() > 1):
        centre = np.average(mean, weights=counts)
        spread = float(np.sqrt(np.average((mean - centre) ** 2, weights=counts)))
        return (mean - centre) / (spread or 1.0)
    return logit(np.clip(mean, CLIP, 1 - CLIP))


def rarer_of(subject: Subject, evidence: Floats) -> Floats:
    """(..., ) labelled rows of the rarer class in evidence (..., D), by which maturity is judged: of the class against
    the rest; of errors against right predictions; NaN for a regression, which has no classes. Of ``macro``: 0, its
    windows are mature when those of all its classes are."""
    if subject.kind == "errors":
        return np.full(evidence.shape[:-1], np.nan)
    if subject.kind == "macro":
        return np.zeros(evidence.shape[:-1])
    rows, events = (side.sum(-1) for side in scores.sides_of(evidence))
    return np.minimum(events, rows - events)


def _by_predicted(outcome: OutcomeProfile) -> Floats:
    """(2 (K+1),) rows and wrong rows by predicted class; rows without any prediction are left out."""
    known = len(outcome.layout.classes)
    table = outcome.confusion[:, : known + 1].astype(float)
    rows = table.sum(0)
    right = np.append(np.diagonal(table)[:known], 0.0)
    return np.concatenate((rows, rows - right))
