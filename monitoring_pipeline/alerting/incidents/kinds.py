"""What kind of change an incident is, and what to do about it. docs/incidents.md shows this table."""

from __future__ import annotations

from dataclasses import dataclass

from monitoring_pipeline.alerting.incidents.alarm import Group


@dataclass(frozen=True)
class Change:
    """A kind of change. ``name`` as in the sentence, ``meaning`` and ``actions`` for a person on call."""

    name: str
    meaning: str
    actions: tuple[str, ...]


OUTAGE = Change(
    "outage",
    "rows, or their labels, do not arrive as they usually do",
    ("check the service and the log's shipping", "do not retrain on these windows"),
)
DATA_FAULT = Change(
    "data fault",
    "values are missing, new, of another type or beyond their range",
    ("find what changed where the feature is made", "correct it and load the windows again", "do not retrain on them"),
)
CONCEPT = Change(
    "concept drift",
    "the same inputs lead to other outcomes",
    ("ask what changed in the business", "retrain on data since the change"),
)
LABEL = Change(
    "label drift",
    "outcomes differ from the reference's, or from what the scores say",
    ("check how labels are made", "recalibrate, or retrain on data since the change"),
)
HARDER = Change(
    "harder mix",
    "more of the cases that were always hard to tell apart",
    ("nothing, if the mix is expected", "add features or rows for these cases"),
)
PREDICTION = Change(
    "prediction drift",
    "the model's output moved and its inputs did not",
    ("check which model version serves", "compare with the estimated performance"),
)
FEATURE = Change(
    "feature drift",
    "the inputs moved",
    ("find out whether the world or the pipeline changed", "retrain if performance suffers", "else nothing"),
)
SKEW = Change(
    "training-serving skew",
    "production has differed from the reference since the first window, or features from what they are computed to be",
    ("compare how the feature is made in training and in service", "take a reference from production"),
)
LOSS = Change(
    "performance loss",
    "the model is worse than allowed, and no cause is known",
    ("look at the segments and columns of the same windows", "retrain if it lasts"),
)
FAIRNESS = Change(
    "unequal treatment",
    "groups of a protected column are treated more differently than a pinned threshold allows",
    ("compare the groups' rates, labels and data quality", "have the model reviewed before it decides on"),
)
ARTIFACT = Change(
    "damaged artifact",
    "the file of the champion is missing, altered or cannot be read",
    ("bring the file back from a copy", "or put another version in service"),
)
CHANGES = (OUTAGE, DATA_FAULT, CONCEPT, LABEL, HARDER, PREDICTION, FEATURE, SKEW, LOSS, FAIRNESS, ARTIFACT)
BY_CAUSE = {
    "concept": CONCEPT, "concept and level": CONCEPT, "base rate or calibration": LABEL, "harder mix": HARDER,
}  # fmt: skip
FAULTS = ("missing", "unseen", "outside")


LASTING = 7  # windows from which a difference since the first window is called skew


def change_of(group: Group, first_judged: int | None = None) -> Change:
    """The kind of change that explains most of an incident. ``first_judged``: number of the monitor's first window."""
    causes = [BY_CAUSE[a.cause] for a in group.alarms if a.cause in BY_CAUSE]
    if causes:
        return max(causes, key=causes.count)
    kinds = {alarm.kind for alarm in group.alarms}
    if kinds & {"volume", "freshness", "coverage"}:
        return OUTAGE
    if any(alarm.moved == "parity" for alarm in group.alarms):
        return SKEW
    drift = [alarm for alarm in group.alarms if alarm.kind == "drift"]
    if "quality" in kinds or (drift and all(alarm.moved in FAULTS for alarm in drift)):
        return DATA_FAULT
    if not drift:
        return FAIRNESS if kinds == {"fairness"} else LOSS
    if group.first == first_judged and len({alarm.number for alarm in drift}) >= LASTING:
        return SKEW
    roles = {alarm.role for alarm in drift}
    if roles <= {"target"}:
        return LABEL
    return PREDICTION if roles and roles <= {"prediction", "score"} else FEATURE
