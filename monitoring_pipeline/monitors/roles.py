"""Which column is what: guesses from names, types and values, for the first draft of a monitor."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from monitoring_pipeline.errors import DeclarationError
from monitoring_pipeline.monitors.declaration import Task
from monitoring_pipeline.monitors.kinds import (
    FLAGS,
    INTEGERS,
    UNIQUE_SHARE,
    by_name,
    classes_of,
    has_decimal_comma,
    is_class,
    is_code,
    is_epoch,
    is_number,
    is_share,
    is_text,
    is_time,
    is_unique,
    is_whole,
    n_classes,
    numbers_rows,
    words,
)
from monitoring_pipeline.monitors.model_version import find_model_version, why_no_version
from monitoring_pipeline.monitors.odd_values import not_known_as_number, written_in_two_ways
from monitoring_pipeline.monitors.positive_class import POSITIVE, PositiveClass, guess_positive_class
from monitoring_pipeline.monitors.summary import DECIMAL_COMMA, ColumnSummary, SourceSummary

Group = Literal["numerical", "categorical", "boolean"]
_PANDAS_INDEX = re.compile(r"__index_level_\d+__")
_DATED = re.compile(r"\d{1,4}[./-]\d{1,2}[./-]\d{1,4}([ T,]+\d{1,2}:\d{2}.*)?")
MAX_CATEGORIES = 1000  # more distinct values than this are ids or free text to a monitor
MOST_NAMED = 40  # columns, in a message
BLANK = "FILL_IN"  # stands in a draft for the name of a column that was not found
Blanks = dict[str, str]  # role -> why no column was found for it

# The most telling names first; compared word by word, so that `PredictionTime` and `prediction_time` are one.
_ID = (
    "prediction id",
    "request id",
    "inference id",
    "event id",
    "transaction id",
    "order id",
    "row id",
    "uuid",
    "guid",
    "id",
)
_ID_ENDINGS = {"id", "uuid", "guid", "key", "hash", "ref", "reference", "nr"}
_TIME = (
    "event time",
    "prediction time",
    "predicted at",
    "prediction timestamp",
    "scored at",
    "request time",
    "event timestamp",
    "timestamp",
    "created at",
    "occurred at",
    "event date",
    "prediction date",
    "prediction ts",
    "event ts",
    "request timestamp",
    "inference time",
    "inference timestamp",
    "logged at",
    "datetime",
    "date time",
    "time",
    "ts",
    "date",
)
_TIME_ENDINGS = {"time", "timestamp", "ts", "at", "date", "datetime", "epoch", "ms", "seconds"}
_LABEL_TIME = (
    "label time",
    "labelled at",
    "labeled at",
    "label timestamp",
    "label ts",
    "label date",
    "outcome time",
    "outcome at",
    "outcome timestamp",
    "outcome date",
    "known at",
    "known since",
    "known",
    "observed at",
    "resolved at",
    "settled at",
    "confirmed at",
)
_WRITTEN_TIME = ("updated at", "created at", "modified at")  # of a label row: when it became known
_OUTCOME = (
    "target",
    "label",
    "outcome",
    "actual",
    "actuals",
    "ground truth",
    "truth",
    "y true",
    "true label",
    "true class",
    "actual value",
    "actual class",
    "actual label",
    "y",
)
_SCORE = (
    "score",
    "probability",
    "proba",
    "prob",
    "prediction score",
    "prediction probability",
    "predicted probability",
    "pred proba",
    "y score",
    "y prob",
    "y proba",
    "y pred proba",
    "model score",
    "confidence",
)
_SCORE_WORDS = {"score", "probability", "proba", "prob"}
_PREDICTION = (
    "prediction",
    "pred",
    "predicted",
    "y pred",
    "y hat",
    "yhat",
    "predicted class",
    "predicted label",
    "predicted value",
    "forecast",
    "estimate",
    "model output",
)
_PREDICTION_WORDS = {"prediction", "pred", "predicted", "forecast", "yhat"}


@dataclass(frozen=True)
class Roles:
    """What each column of a prediction log seems to be. ``left_out``: why a column is no feature.

    ``remarks``: what to say of a column where it stands. ``label_time``: of the ``outcome`` that the log itself holds.
    """

    task: Task
    prediction_id: str
    event_time: str
    naive_time: bool
    model_version: str | None
    prediction: str | None
    score: str | None
    class_scores: dict[str, str]
    outcome: str | None
    positive_class: PositiveClass
    features: dict[str, Group]
    left_out: dict[str, str] = field(default_factory=dict)
    remarks: dict[str, str] = field(default_factory=dict)
    label_time: str | None = None


def infer_roles(
    log: SourceSummary,
    truth: SourceSummary | None = None,
    reference: SourceSummary | None = None,
    blanks: Blanks | None = None,
) -> Roles:
    """Guess the roles of the columns of a prediction log; ``truth`` tells which ids and outcomes to expect,
    ``reference`` which features there is something to compare with.

    Where no id, no event time or neither a prediction nor a score can be found, ``blanks`` is told and the column is
    called ``BLANK``; without ``blanks`` it raises DeclarationError.
    """
    columns = [column for column in log.columns if not _PANDAS_INDEX.fullmatch(column.name)]
    time, identifier = _time_and_id(columns, log, truth, blanks)
    rest = [column for column in columns if column not in (time, identifier)]
    version = log.told_column("model_version") or find_model_version(rest)
    found = _find_output([column for column in rest if column is not version], log, blanks)
    outcome = found.outcome if truth is None else find_outcome(truth, log)
    task = _task(found.prediction, found.score, found.class_scores, outcome)
    prediction, score, spare = _usable_output(found, task, outcome)
    known_at = by_name([c for c in rest if is_time(c) or is_epoch(c)], _LABEL_TIME)
    known_at = (log.told_column("label_time") or known_at) if found.outcome else None
    others = [c for c in rest if c not in (version, known_at) and not found.has(c)]
    features, left_out = _features(others, log.n_rows, reference)
    left_out |= spare
    left_out |= dict.fromkeys({c.name for c in log.columns} - {c.name for c in columns}, "an index that pandas wrote")
    if found.outcome is not None and truth is not None:
        left_out[found.outcome.name] = "looks like the outcome; a feature that knows it would hide everything else"
    return Roles(
        task=task,
        prediction_id=identifier.name,
        event_time=time.name,
        naive_time=time.kind in ("TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS", "DATE"),
        model_version=version.name if version else None,
        prediction=prediction.name if prediction else None,
        score=score.name if score else None,
        class_scores=found.class_scores,
        outcome=found.outcome.name if found.outcome else None,
        positive_class=guess_positive_class(outcome, prediction if score or task == "binary" else None),
        features=features,
        left_out=left_out,
        remarks={c.name: why for c in others if (why := _remark(c, features))},
        label_time=known_at.name if known_at else None,
    )


def _time_and_id(
    columns: Sequence[ColumnSummary], log: SourceSummary, truth: SourceSummary | None, blanks: Blanks | None
) -> tuple[ColumnSummary, ColumnSummary]:
    """The columns of the event time and of the prediction id."""
    time = log.told_column("event_time") or find_event_time(columns)
    if time is None:
        said = _missing(log, "event_time", "the prediction was made at", _nearly_a_time(columns))
        time = not_found("event_time", f"predictions: time: {said}", blanks)
    identifier = log.told_column("prediction_id") or _find_id(columns, log, truth)
    if identifier is None:
        said = _missing(log, "prediction_id", "tells predictions apart", _nearly_an_id(columns))
        identifier = not_found("prediction_id", f"predictions: id: {said}", blanks)
    return time, identifier


def _missing(log: SourceSummary, role: str, what: str, nearly: str | None) -> str:
    return f"no column {what}; {nearly}" if nearly else _absent(log, what, role)


def not_found(role: str, why: str, blanks: Blanks | None) -> ColumnSummary:
    """A column called ``BLANK``, after ``blanks`` was told why. Raises DeclarationError without ``blanks``."""
    if blanks is None:
        raise DeclarationError(why)
    blanks[role] = why
    return ColumnSummary(BLANK, "VARCHAR", 0, 0)


def _usable_output(
    found: _Output, task: Task, outcome: ColumnSummary | None
) -> tuple[ColumnSummary | None, ColumnSummary | None, dict[str, str]]:
    """Prediction and score as the task can declare them, and why other outputs are left out."""
    prediction, score = found.prediction, found.score
    left_out = {c.name: "the other class's score" for c in found.spare}
    if task == "regression":
        return prediction or score, None, left_out
    if task == "multiclass" and score is not None:
        left_out[score.name] = "only a binary monitor has one score; write `class_scores`"
        return prediction, None, left_out
    if task == "binary" and prediction is not None and score is not None and (why := _other_words(prediction, outcome)):
        left_out[prediction.name] = why
        return None, score, left_out
    return prediction, score, left_out


def id_candidates(columns: Sequence[ColumnSummary], n_rows: int) -> list[ColumnSummary]:
    """Columns worth counting over all rows: those that may be the id by the sample, and those that are called so."""
    able = [c for c in columns if c.n_distinct > 0 and not is_time(c) and (is_text(c) or is_whole(c))]
    unique = [c for c in able if is_unique(c, n_rows)]
    named = [c for c in able if _is_called_id(c) and c not in unique]
    unique.sort(key=lambda c: not _is_called_id(c))
    return [*unique, *named][:6]


def find_event_time(columns: Sequence[ColumnSummary]) -> ColumnSummary | None:
    """The column of the event time in a prediction log."""
    known_at = by_name(columns, _LABEL_TIME)
    able = [column for column in columns if column is not known_at]
    return find_time(able, _TIME) or next(
        (c for c in able if is_epoch(c) and set(words(c.name)[-1:]) & _TIME_ENDINGS), None
    )


def _is_called_id(column: ColumnSummary) -> bool:
    return by_name([column], _ID) is not None or words(column.name)[-1:] == ("id",)


def _nearly_an_id(columns: Sequence[ColumnSummary]) -> str | None:
    """Why a column that is called an id is none."""
    named = [c for c in columns if _is_called_id(c) and c.repeats is not None]
    column = by_name(named, _ID) or next(iter(named), None)
    if column is None or column.repeats is None:
        return None
    said = f"{column.name!r} looks like one, but {column.repeats.anywhere:.0%} of its values occur again"
    if 1 - column.repeats.in_a_file >= UNIQUE_SHARE:
        return f"{said} in other files; write ids that differ between files, such as with the day before them"
    return f"{said}; write one that is different in every prediction"


def _nearly_a_time(columns: Sequence[ColumnSummary]) -> str | None:
    """Why a column that is called a time, or looks like one, is none."""
    able = [c for c in columns if c.samples and is_text(c)]
    called = by_name(able, _TIME) or next((c for c in able if set(words(c.name)[-1:]) & _TIME_ENDINGS), None)
    dated = next((c for c in able if _DATED.fullmatch(c.samples[0].strip())), None)
    column = called if called is not None and called.samples[0][:1].isdigit() else dated
    if column is None:
        return None
    said = f"{column.name!r} looks like one, but {column.samples[0]!r} cannot be read as a time"
    return f"{said}; write ISO 8601, such as 2024-03-31T10:00:00Z, or seconds since 1970"


def _other_words(prediction: ColumnSummary | None, outcome: ColumnSummary | None) -> str | None:
    """Why a predicted class beside a score is of no use: it calls the classes otherwise than the outcome does."""
    if prediction is None or outcome is None:
        return None
    said, true = classes_of(prediction), classes_of(outcome)
    if not said or not true or set(said) & set(true):
        return None
    return f"says {_listed(said)} where the outcome {outcome.name!r} says {_listed(true)}; write them alike to use it"


def _remark(column: ColumnSummary, features: dict[str, Group]) -> str:
    """What to say of a feature whose name or values promised something else."""
    code = column.is_code and features.get(column.name) == "categorical"
    said = (
        why_no_version(column),
        "digits kept as text, or with leading zeros: a code; if it is a number, move it to `numerical`" if code else "",
        not_known_as_number(column) if features.get(column.name) == "numerical" else "",
        written_in_two_ways(column.samples) if features.get(column.name) == "categorical" else "",
    )
    return "; ".join(filter(None, said))


def _listed(classes: Sequence[str]) -> str:
    return ", ".join(map(repr, classes[:3])) + (", …" if len(classes) > 3 else "")


@dataclass(frozen=True)
class _Output:
    """What the model said, and the outcome where the log holds it. ``spare``: scores that say nothing new."""

    prediction: ColumnSummary | None
    score: ColumnSummary | None
    class_scores: dict[str, str]
    spare: list[ColumnSummary]
    outcome: ColumnSummary | None

    def has(self, column: ColumnSummary) -> bool:
        one_of = (self.prediction, self.score, self.outcome, *self.spare)
        return any(column is other for other in one_of) or column.name in self.class_scores.values()


def _find_output(columns: Sequence[ColumnSummary], log: SourceSummary, blanks: Blanks | None) -> _Output:
    outcome = log.told_column("outcome") or by_name(columns, _OUTCOME)
    rest = [column for column in columns if column is not outcome]
    class_scores, score, spare = _find_scores([c for c in rest if c.name != log.told.get("prediction")])
    score = log.told_column("score") or score
    prediction = log.told_column("prediction") or _find_prediction(
        [c for c in rest if c is not score and c.name not in class_scores.values()]
    )
    written = [c for c in rest if has_decimal_comma(c) and _is_output(c)]
    if written and (prediction is None or prediction in written):
        raise DeclarationError(_decimal_comma(written[0]))
    if not (prediction or score or class_scores):
        prediction = not_found("prediction", _no_output(log), blanks)
    if outcome is None:
        others = [c for c in rest if c is not score and c is not prediction and c not in spare]
        outcome = _predicted_thing(others, prediction, score)
    return _Output(prediction, score, class_scores, spare, outcome)


def _is_output(column: ColumnSummary) -> bool:
    named = by_name([column], (*_PREDICTION, *_SCORE)) is not None
    return named or bool((_PREDICTION_WORDS | _SCORE_WORDS) & set(words(column.name)))


def _decimal_comma(column: ColumnSummary) -> str:
    example = next(sample for sample in column.samples if DECIMAL_COMMA.fullmatch(sample))
    what = f"{column.name!r} holds numbers with a decimal comma (such as {example!r})"
    return f"predictions: {what}; write them with a decimal point"


def _predicted_thing(
    columns: Sequence[ColumnSummary], prediction: ColumnSummary | None, score: ColumnSummary | None
) -> ColumnSummary | None:
    """The outcome by what the output calls it: ``churned`` by ``churn_probability``, ``price`` by ``pred_price``."""
    for output, generic in ((prediction, _PREDICTION_WORDS), (score, _SCORE_WORDS | _PREDICTION_WORDS)):
        thing = [word for word in words(output.name) if word not in generic | {"y", "model"}] if output else []
        for column in columns:
            name = [word for word in words(column.name) if word not in ("is", "has", "was", "actual", "true")]
            inflected = n_classes(column) == 2 and len(name) == 1 and len(thing[:1]) == 1 and len(thing[0]) > 3
            if thing and (name == thing or (inflected and name[0].startswith(thing[0]))):
                return column
    return None


def find_outcome(truth: SourceSummary, log: SourceSummary) -> ColumnSummary | None:
    """The column of the true outcome in a source of ground truth: by name, else what the log does not have."""
    candidates = [column for column in truth.columns if not is_time(column)]
    named = truth.told_column("outcome") or by_name(candidates, _OUTCOME)
    if named is not None:
        return named
    new = [column for column in candidates if log.column(column.name) is None]
    # What is unique may be the id under another name, unless it has a fraction.
    told = [c for c in new if not is_unique(c, truth.n_rows)] or [c for c in new if c.kind in ("DOUBLE", "FLOAT")]
    return next(iter(told or new), None)


def find_time(
    columns: Sequence[ColumnSummary], names: Sequence[str] = (*_LABEL_TIME, *_WRITTEN_TIME)
) -> ColumnSummary | None:
    """The column of time with the most telling name, else the first of a time type."""
    times = [column for column in columns if is_time(column) and column.n_distinct > 0]
    epochs = [column for column in columns if is_epoch(column)]
    return by_name([*times, *epochs], names) or (times[0] if times else None)


def find_join_id(truth: SourceSummary, prediction_id: str) -> ColumnSummary | None:
    """The column of a source of ground truth with the prediction ids: of the same name, so called, or else unique."""
    unique = (c for c in truth.columns if is_unique(c, truth.n_rows) and (is_text(c) or is_whole(c)))
    told = truth.told_column("label_id")
    return told or truth.column(prediction_id) or by_name(truth.columns, _ID) or next(unique, None)


def _absent(log: SourceSummary, does: str, name: str) -> str:
    return f"no column {does} (columns: {_met(log)}); write one, or name it: `--set {name}=COLUMN`"


def _met(log: SourceSummary) -> str:
    names = [column.name for column in log.columns]
    more = len(names) - MOST_NAMED
    return ", ".join(names[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def _no_output(log: SourceSummary) -> str:
    return (
        f"predictions: no column looks like the model's output (columns: {_met(log)}); name it:"
        " `--set prediction=COLUMN` (a class or a value) or `--set score=COLUMN` (in [0, 1])"
    )


def _find_id(columns: Sequence[ColumnSummary], log: SourceSummary, truth: SourceSummary | None) -> ColumnSummary | None:
    unique = [c for c in columns if is_unique(c, log.n_rows) and not is_time(c) and (is_text(c) or is_whole(c))]
    shared = [c for c in unique if truth is not None and truth.column(c.name) is not None]
    for candidates in (shared, unique):
        named = by_name(candidates, _ID) or next((c for c in candidates if words(c.name)[-1:] == ("id",)), None)
        if named is not None:
            return named
    if shared:
        return shared[0]
    full = [c for c in unique if c.n_null <= 0.05 * log.n_rows]
    ending = next((c for c in full if set(words(c.name)[-1:]) & _ID_ENDINGS), None)
    return ending or next((c for c in full if is_text(c)), None)


def _find_scores(
    columns: Sequence[ColumnSummary],
) -> tuple[dict[str, str], ColumnSummary | None, list[ColumnSummary]]:
    """Scores by class (three or more), the one score, and columns that say the same once more."""
    scores, group = [c for c in columns if is_share(c)], _class_scores(columns)
    if len(group) > 2:
        return {suffix: column.name for suffix, column in group}, None, []
    if len(group) == 2:
        positive = next((pair for value in POSITIVE for pair in group if pair[0].lower() == value), group[1])
        return {}, positive[1], [column for _, column in group if column is not positive[1]]
    return {}, by_name(scores, _SCORE) or next((c for c in scores if _SCORE_WORDS & set(words(c.name))), None), []


def _class_scores(columns: Sequence[ColumnSummary]) -> list[tuple[str, ColumnSummary]]:
    """(class, column) of the largest group of columns called as scores of classes are.

    One beyond [0, 1] among others within is a score that is wrong, which `validate` says, and no feature.
    """
    groups: dict[str, list[tuple[str, ColumnSummary]]] = {}
    for column in columns:
        match = re.fullmatch(r"(?i)(.*?(?:score|probability|proba|prob|p)(?:_class)?)[_ .-](.+)", column.name)
        if match and is_number(column) and column.kind not in INTEGERS:
            groups.setdefault(match[1], []).append((match[2], column))
    shares = {name: [pair for pair in group if is_share(pair[1])] for name, group in groups.items()}
    best = max(groups, key=lambda name: len(shares[name]), default=None)
    if best is None:
        return []
    return groups[best] if 2 * len(shares[best]) > len(groups[best]) else shares[best]


def _find_prediction(columns: Sequence[ColumnSummary]) -> ColumnSummary | None:
    usable = [c for c in columns if c.n_distinct > 0 and not is_time(c)]
    return by_name(usable, _PREDICTION) or next((c for c in usable if _PREDICTION_WORDS & set(words(c.name))), None)


def _task(
    prediction: ColumnSummary | None,
    score: ColumnSummary | None,
    class_scores: dict[str, str],
    outcome: ColumnSummary | None,
) -> Task:
    if class_scores:
        return "multiclass"
    if outcome is not None and n_classes(outcome) > 2:
        classes = is_class(outcome) and (prediction is None or is_class(prediction))
        if classes and prediction is None and score is not None:
            return "binary"  # one score is of one class against the rest
        return "multiclass" if classes else "regression"
    if score is not None or prediction is None:
        return "binary"
    if not is_class(prediction):
        return "regression"
    return "binary" if n_classes(prediction) <= 2 else "multiclass"


def _features(
    columns: Sequence[ColumnSummary], n_rows: int, reference: SourceSummary | None
) -> tuple[dict[str, Group], dict[str, str]]:
    features: dict[str, Group] = {}
    left_out: dict[str, str] = {}
    for column in columns:
        reason = _no_feature(column, n_rows) or _nothing_to_compare(column, reference)
        if reason:
            left_out[column.name] = reason
        else:
            features[column.name] = _group(column)
    return features, left_out


def _nothing_to_compare(column: ColumnSummary, reference: SourceSummary | None) -> str | None:
    """Why the reference has nothing to hold a column against; None when it has, or is not given."""
    if reference is None or not reference.n_rows:
        return None
    there = reference.column(column.name)
    return "the reference lacks it" if there is None else None if there.n_distinct else "empty in the reference"


def _no_feature(column: ColumnSummary, n_rows: int) -> str | None:
    """Why a column is no feature; None when it is one."""
    if column.n_distinct == 0:
        return "holds no value"
    if column.n_distinct == 1:
        return "holds one value only" if not column.samples else f"holds one value only: {column.samples[0][:40]}"
    if is_time(column):
        return "a time; its age or its hour could be a feature"
    if not (is_text(column) or is_number(column) or column.kind == "BOOLEAN"):
        return f"values of type {column.kind} are not profiled"
    if is_text(column) and _mean_length(column) > 60:
        return "free text"
    if has_decimal_comma(column):
        return "numbers with a decimal comma; write them with a decimal point"
    if numbers_rows(column, n_rows):
        return "numbers the rows"
    named = is_text(column) or is_code(column)
    if named and n_rows > 100 and column.n_distinct > max(MAX_CATEGORIES, n_rows / 2):
        return f"an id or free text: {column.n_distinct:,} different values in {n_rows:,} rows"
    if named and column.n_distinct > MAX_CATEGORIES:
        return f"{column.n_distinct:,} different values are too many categories"
    if named and n_rows > 100 and column.n_distinct > 0.9 * (n_rows - column.n_null):
        return f"an id or free text: {column.n_distinct:,} different values in {n_rows:,} rows"
    return None


def _group(column: ColumnSummary) -> Group:
    values = {sample.lower() for sample in column.samples}
    if column.kind == "BOOLEAN" or (column.n_distinct == 2 and values in FLAGS):
        return "boolean"
    return "categorical" if is_text(column) or is_code(column) else "numerical"


def _mean_length(column: ColumnSummary) -> float:
    return sum(map(len, column.samples)) / len(column.samples) if column.samples else 0.0
