"""Every fairness metric of one window and protected column: a measurement for each group and one of all together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from monitoring_pipeline.measurements import Measurement, metric_keys
from monitoring_pipeline.metrics.fairness.differences import Compared, against, largest
from monitoring_pipeline.metrics.fairness.groups import Rates, rates_of
from monitoring_pipeline.profiles.outcome import OutcomeProfile
from monitoring_pipeline.profiles.profile import EVERYTHING, Profile

LABEL_FREE = ("selection_rate", "demographic_parity_difference", "demographic_parity_ratio")


@dataclass(frozen=True)
class Group:
    """A group in a window: its segment (``sex=female``), its predictions, and those against outcomes as far as
    known."""

    segment: str
    profile: Profile | None
    outcome: OutcomeProfile


def label_free(metric: str) -> bool:
    """Whether the metric is known without outcomes.

    >>> label_free("demographic_parity_ratio[class=cat]"), label_free("equalized_odds_difference")
    (True, False)
    """
    return metric.partition("[")[0] in LABEL_FREE


def measure_fairness(
    model_version: str, column: str, reference: str, groups: Sequence[Group], min_rows: int, left_out: int = 0
) -> list[Measurement]:
    """Each of the groups against the one of segment ``reference``, then the largest difference of any two (``*``).

    A group whose rates rest on fewer than ``min_rows`` rows is measured but not among the largest differences. Without
    the reference group the others have rates and no differences. ``left_out``: groups that were not compared.
    """
    rates = {g.segment: rates_of(g.profile, g.outcome) for g in groups}
    labelled = {g.segment: (g.outcome.n_predictions, g.outcome.n_labelled) for g in groups}
    total = tuple(sum(of[i] for of in labelled.values()) for i in (0, 1))
    found = [
        _measurement(model_version, column, reference, segment, _of_group(of, rates.get(reference, {}), segment ==
                     reference), labelled[segment])
        for segment, of in rates.items()
    ]  # fmt: skip
    said = f"{left_out} smaller groups are not compared" if left_out else None
    together = {"groups": Compared((float(len(groups)), float("nan"), float("nan")), total[0], total[0], said)}
    for suffix in dict.fromkeys(suffix for of in rates.values() for suffix in of):
        names = {segment.partition("=")[2]: of[suffix] for segment, of in rates.items() if suffix in of}
        together |= {f"{metric}{suffix}": one for metric, one in largest(names, min_rows).items()}
    return [*found, _measurement(model_version, column, reference, EVERYTHING, together, (total[0], total[1]))]


def _of_group(of: Mapping[str, Rates], reference: Mapping[str, Rates], is_reference: bool) -> dict[str, Compared]:
    found: dict[str, Compared] = {}
    for suffix, rates in of.items():
        if is_reference or suffix not in reference:
            each = {
                name: Compared(rate.interval(), rate.n, rate.n if is_reference else 0) for name, rate in rates.items()
            }
        else:
            each = against(rates, reference[suffix])
        found |= {f"{metric}{suffix}": one for metric, one in each.items()}
    return found


def _measurement(
    version: str, column: str, reference: str, segment: str, each: Mapping[str, Compared], labelled: tuple[int, int]
) -> Measurement:
    names = tuple(each)
    value, low, high = np.array([one.interval for one in each.values()], float).reshape(-1, 3).T.copy()
    said = tuple(one.said for one in each.values())
    return Measurement(
        "fairness", version, reference, segment,
        metric_keys("fairness", (column,) * len(names), ("",) * len(names), names),
        value, np.array([one.n for one in each.values()], np.int64),
        n_reference=np.array([one.n_other for one in each.values()], np.int64), low=low, high=high,
        detail=said if any(said) else None, n_predictions=labelled[0], n_labelled=labelled[1],
    )  # fmt: skip
