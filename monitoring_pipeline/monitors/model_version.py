"""Whether a column is the version of the model, or a feature of that name: an aircraft's model, an app's version.

A version has few values and changes over time in few steps. A champion and a challenger stand side by side, so their
values may alternate from row to row; then the name or the values have to tell.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from monitoring_pipeline.monitors.kinds import by_name, is_number, is_text, words
from monitoring_pipeline.monitors.summary import ColumnSummary

MOST_VERSIONS = 100
SIDE_BY_SIDE = 5  # champion, challengers and shadows that answer at the same time
STEPWISE = 0.6  # of the changes that shuffled rows would have
# The first names say it; the others are as often a feature, and their values have to look like versions too.
_CERTAIN = (
    "model version", "ml model version", "model version id", "model tag", "model hash", "model sha", "model revision",
    "model build", "model run id", "predictor version", "scorer version", "estimator version",
)  # fmt: skip
_LIKELY = ("model id", "version", "model name", "model variant")
_POSSIBLE = ("model", "variant", "model type", "estimator", "classifier")
NAMES = (*_CERTAIN, *_LIKELY, *_POSSIBLE)
_LOOKS_LIKE_ONE = re.compile(
    r"(?i)(.*[-_. ])?(v|ver|version|rev|r|build)[-_. ]?\d+.*"  # v3, churn-v3, xgb_ver2.1
    r"|(.*[-_ ])?\d+\.\d+(\.\d+)*([-+._ ].*)?"  # 1.4.2, churn-1.4
    r"|(.*[-_. ])?20\d\d-?[01]\d(-?[0-3]\d)?.*"  # xgb-2024-01-05, 20240105
    r"|(.*[-_. ])?(champion|challenger|control|treatment|shadow|canary|baseline|prod|production|staging|latest)\d*"
    r"|(?=.*\d)(?=.*[a-f])[0-9a-f]{7,64}"  # a commit
    r"|.*(xgb|lgbm|lightgbm|catboost|logreg|logistic|linear|forest|bert|mlp|gbm|gbt|svm|lstm|resnet).*"
)


def find_model_version(columns: Sequence[ColumnSummary]) -> ColumnSummary | None:
    """The column of the model version, or None."""
    named = [column for column in columns if is_candidate(column) and _is_one(column)]
    return by_name(named, NAMES) or next((c for c in named if _is_certain(c)), None)


def is_candidate(column: ColumnSummary) -> bool:
    """Whether its name could be one of a version, and its values are few."""
    by_that_name = " ".join(words(column.name)) in NAMES or _is_certain(column)
    return by_that_name and 0 < column.n_distinct <= MOST_VERSIONS and (is_text(column) or is_number(column))


def why_no_version(column: ColumnSummary) -> str:
    """What to say of a column whose name promised a version."""
    if not is_candidate(column) or _is_certain(column):
        return ""
    return f"no model version: {column.n_distinct} values side by side"


def _is_certain(column: ColumnSummary) -> bool:
    name = words(column.name)
    return " ".join(name) in _CERTAIN or name[-2:] == ("model", "version")


def _is_one(column: ColumnSummary) -> bool:
    if _is_certain(column) or column.n_distinct == 1:
        return True
    if column.alternation is not None and column.alternation <= STEPWISE:
        return True
    if column.n_distinct > SIDE_BY_SIDE:
        return False
    if " ".join(words(column.name)) in _LIKELY:
        return True
    return bool(column.samples) and all(_LOOKS_LIKE_ONE.fullmatch(sample.strip()) for sample in column.samples)
