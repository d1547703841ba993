"""Which column is what: guesses from names, types and values, for the first draft of a monitor."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Literal

from monitoring_pipeline.errors import DeclarationError
from monitoring_pipeline.monitors.declaration import Task
from monitoring_pipeline.monitors.summary import DECIMAL_COMMA, ColumnSummary, SourceSummary

Group = Literal["numerical", "categorical", "boolean"]
_PANDAS_INDEX = re.compile(r"__index_level_\d+__")
_INTEGERS = {"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT"}
_FLAGS = ({"true", "false"}, {"t", "f"}, {"yes", "no"}, {"y", "n"}, {"0", "1"})
_POSITIVE = (
    "1",
    "true",
    "yes",
    "y",
    "t",
    "positive",
    "pos",
    "late",
    "fraud",
    "churn",
    "churned",
    "default",
    "bad",
    "spam",
)
MAX_CATEGORIES = 1000  # more distinct values than this are ids or free text to a monitor
MAX_CLASSES = 20
MOST_NAMED = 40  # columns, in a message
UNIQUE_SHARE = 0.95  # a log repeats some ids, by retries

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
    "datetime",
    "date time",
    "time",
    "ts",
    "date",
)
_LABEL_TIME = (
    "label time",
    "labelled at",
    "labeled at",
    "label timestamp",
    "outcome time",
    "known at",
    "observed at",
    "updated at",
)
_VERSION = ("model version", "model id", "model name", "model", "version")
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
    """What each column of a prediction log seems to be. ``left_out``: why a column is no feature."""

    task: Task
    prediction_id: str
    event_time: str
    naive_time: bool
    model_version: str | None
    prediction: str | None
    score: str | None
    class_scores: dict[str, str]
    outcome: str | None
    positive_class: str
    features: dict[str, Group]
    left_out: dict[str, str] = field(default_factory=dict)


def infer_roles(log: SourceSummary, truth: SourceSummary | None = None) -> Roles:
    """Guess the roles of the columns of a prediction log; ``truth`` tells which ids and outcomes to expect.

    Raises DeclarationError when no id, no event time or neither a prediction nor a score can be found.
    """
    columns = [column for column in log.columns if not _PANDAS_INDEX.fullmatch(column.name)]
    time = _required(find_time(columns, _TIME), log, "time", "the prediction was made at", "event_time")
    identifier = _required(_find_id(columns, log, truth), log, "id", "tells predictions apart", "prediction_id")
    rest = [column for column in columns if column not in (time, identifier)]
    version = _find_version(rest)
    found = _find_output([column for column in rest if column is not version], log)
    outcome = found.outcome if truth is None else find_outcome(truth, log)
    task = _task(found.prediction, found.score, found.class_scores, outcome)
    prediction, score = found.prediction, found.score
    if task == "regression":
        prediction, score = prediction or score, None
    features, left_out = _features([c for c in rest if c is not version and not found.has(c)], log.n_rows)
    left_out |= {c.name: "the other class's score" for c in found.spare}
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
        positive_class=_positive_class(outcome, prediction if score or task == "binary" else None),
        features=features,
        left_out=left_out,
    )


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


def _find_output(columns: Sequence[ColumnSummary], log: SourceSummary) -> _Output:
    outcome = _by_name(columns, _OUTCOME)
    rest = [column for column in columns if column is not outcome]
    class_scores, score, spare = _find_scores(rest)
    prediction = _find_prediction([c for c in rest if c is not score and c.name not in class_scores.values()])
    written = [c for c in rest if _has_decimal_comma(c) and _is_output(c)]
    if written and (prediction is None or prediction in written):
        raise DeclarationError(_decimal_comma(written[0]))
    if not (prediction or score or class_scores):
        raise DeclarationError(_no_output(log))
    if outcome is None:
        others = [c for c in rest if c is not score and c is not prediction and c not in spare]
        outcome = _predicted_thing(others, prediction, score)
    return _Output(prediction, score, class_scores, spare, outcome)


def _is_output(column: ColumnSummary) -> bool:
    by_name = _by_name([column], (*_PREDICTION, *_SCORE)) is not None
    return by_name or bool((_PREDICTION_WORDS | _SCORE_WORDS) & set(words(column.name)))


def _has_decimal_comma(column: ColumnSummary) -> bool:
    """Numbers such as 3,14, and whole ones among them."""
    commas = [sample for sample in column.samples if DECIMAL_COMMA.fullmatch(sample)]
    rest = [sample for sample in column.samples if sample not in commas]
    return bool(commas) and all(re.fullmatch(r"[+-]?\d+", sample) for sample in rest)


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
            inflected = column.n_distinct == 2 and len(name) == 1 and len(thing[:1]) == 1 and len(thing[0]) > 3
            if thing and (name == thing or (inflected and name[0].startswith(thing[0]))):
                return column
    return None


def find_outcome(truth: SourceSummary, log: SourceSummary) -> ColumnSummary | None:
    """The column of the true outcome in a source of ground truth: by name, else what the log does not have."""
    candidates = [column for column in truth.columns if not _is_time(column)]
    named = _by_name(candidates, _OUTCOME)
    if named is not None:
        return named
    new = [column for column in candidates if log.column(column.name) is None]
    # What is unique may be the id under another name, unless it has a fraction.
    told = [c for c in new if not _is_unique(c, truth.n_rows)] or [c for c in new if c.kind in ("DOUBLE", "FLOAT")]
    return next(iter(told or new), None)


def find_time(columns: Sequence[ColumnSummary], names: Sequence[str] = _LABEL_TIME) -> ColumnSummary | None:
    """The column of time with the most telling name, else the first of a time type."""
    times = [column for column in columns if _is_time(column) and column.n_distinct > 0]
    epochs = [column for column in columns if _is_epoch(column)]
    return _by_name([*times, *epochs], names) or (times[0] if times else None)


def find_join_id(truth: SourceSummary, prediction_id: str) -> ColumnSummary | None:
    """The column of a source of ground truth with the prediction ids: of the same name, so called, or else unique."""
    unique = (c for c in truth.columns if _is_unique(c, truth.n_rows) and (_is_text(c) or c.kind in _INTEGERS))
    return truth.column(prediction_id) or _by_name(truth.columns, _ID) or next(unique, None)


def words(name: str) -> tuple[str, ...]:
    """``PredictionTime``, ``prediction_time`` and ``prediction-time`` are (prediction, time)."""
    parted = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name)
    return tuple(re.findall(r"[a-z0-9]+", parted.lower()))


def moment_of(value: object) -> datetime | None:
    """A minimum or maximum as an aware moment in UTC: from a time, ISO 8601 text or an epoch; None from all else."""
    if isinstance(value, datetime):
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day, tzinfo=UTC)
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        value = float(value)
        scale = next((s for s in (1, 1e3, 1e6, 1e9) if 3e8 <= value / s < 5e9), None)
        return None if scale is None else datetime.fromtimestamp(value / scale, UTC)
    try:
        return moment_of(datetime.fromisoformat(str(value).strip()))
    except ValueError:
        return None


def _by_name(columns: Iterable[ColumnSummary], names: Sequence[str]) -> ColumnSummary | None:
    """The column whose name comes first in ``names``."""
    found = {" ".join(words(column.name)): column for column in columns}
    return next((found[name] for name in names if name in found), None)


def _required(found: ColumnSummary | None, log: SourceSummary, what: str, does: str, name: str) -> ColumnSummary:
    if found is None:
        message = f"no column {does} (columns: {_met(log)}); write one, or rename the one that does to `{name}`"
        raise DeclarationError(f"predictions: {what}: {message}")
    return found


def _met(log: SourceSummary) -> str:
    names = [column.name for column in log.columns]
    more = len(names) - MOST_NAMED
    return ", ".join(names[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def _no_output(log: SourceSummary) -> str:
    return (
        f"predictions: no column looks like the model's output (columns: {_met(log)}); rename it to `prediction`"
        " (a class or a value) or `score` (in [0, 1])"
    )


def _find_id(columns: Sequence[ColumnSummary], log: SourceSummary, truth: SourceSummary | None) -> ColumnSummary | None:
    unique = [
        c for c in columns if _is_unique(c, log.n_rows) and not _is_time(c) and (_is_text(c) or c.kind in _INTEGERS)
    ]
    shared = [c for c in unique if truth is not None and truth.column(c.name) is not None]
    for candidates in (shared, unique):
        named = _by_name(candidates, _ID) or next((c for c in candidates if words(c.name)[-1:] == ("id",)), None)
        if named is not None:
            return named
    if shared:
        return shared[0]
    return next((c for c in unique if _is_text(c) or c.kind == "UUID"), None)


def _find_version(columns: Sequence[ColumnSummary]) -> ColumnSummary | None:
    few = [c for c in columns if 0 < c.n_distinct <= 100 and (_is_text(c) or _is_number(c))]
    return _by_name(few, _VERSION)


def _find_scores(
    columns: Sequence[ColumnSummary],
) -> tuple[dict[str, str], ColumnSummary | None, list[ColumnSummary]]:
    """Scores by class (three or more), the one score, and columns that say the same once more."""
    scores = [c for c in columns if _is_share(c)]
    groups: dict[str, list[tuple[str, ColumnSummary]]] = {}
    for column in scores:
        match = re.fullmatch(r"(?i)(.*?(?:score|probability|proba|prob|p)(?:_class)?)[_ .-](.+)", column.name)
        if match:
            groups.setdefault(match[1], []).append((match[2], column))
    group = max(groups.values(), key=len, default=[])
    if len(group) > 2:
        return {suffix: column.name for suffix, column in group}, None, []
    if len(group) == 2:
        positive = next((pair for value in _POSITIVE for pair in group if pair[0].lower() == value), group[1])
        return {}, positive[1], [column for _, column in group if column is not positive[1]]
    return {}, _by_name(scores, _SCORE) or next((c for c in scores if _SCORE_WORDS & set(words(c.name))), None), []


def _find_prediction(columns: Sequence[ColumnSummary]) -> ColumnSummary | None:
    usable = [c for c in columns if c.n_distinct > 0 and not _is_time(c)]
    return _by_name(usable, _PREDICTION) or next((c for c in usable if _PREDICTION_WORDS & set(words(c.name))), None)


def _task(
    prediction: ColumnSummary | None,
    score: ColumnSummary | None,
    class_scores: dict[str, str],
    outcome: ColumnSummary | None,
) -> Task:
    if class_scores:
        return "multiclass"
    if outcome is not None and outcome.n_distinct > 2:
        return "multiclass" if _is_class(outcome) and (prediction is None or _is_class(prediction)) else "regression"
    if score is not None or prediction is None:
        return "binary"
    if not _is_class(prediction):
        return "regression"
    return "binary" if prediction.n_distinct <= 2 else "multiclass"


def _positive_class(*columns: ColumnSummary | None) -> str:
    """Of the two classes met, the one that sounds like an event; else the rarer."""
    for column in columns:
        if column is None or not column.samples:
            continue
        classes = [re.sub(r"\.0+$", "", sample.strip()) for sample in column.samples]
        # As the lake writes them: other spellings, such as `tRUE`, stay as they are.
        classes = [c.lower() if c in ("True", "False", "TRUE", "FALSE") else c for c in classes]
        found = next((c for value in _POSITIVE for c in classes if c.lower() == value), None)
        return found or classes[-1]
    return "1"


def _features(columns: Sequence[ColumnSummary], n_rows: int) -> tuple[dict[str, Group], dict[str, str]]:
    features: dict[str, Group] = {}
    left_out: dict[str, str] = {}
    for column in columns:
        reason = _no_feature(column, n_rows)
        if reason:
            left_out[column.name] = reason
        else:
            features[column.name] = _group(column)
    return features, left_out


def _no_feature(column: ColumnSummary, n_rows: int) -> str | None:
    """Why a column is no feature; None when it is one."""
    if column.n_distinct == 0:
        return "holds no value"
    if column.n_distinct == 1:
        return "holds one value only" if not column.samples else f"holds one value only: {column.samples[0][:40]}"
    if _is_time(column):
        return "a time; its age or its hour could be a feature"
    if not (_is_text(column) or _is_number(column) or column.kind == "BOOLEAN"):
        return f"values of type {column.kind} are not profiled"
    if _is_text(column) and _mean_length(column) > 60:
        return "free text"
    if _has_decimal_comma(column):
        return "numbers with a decimal comma; write them with a decimal point"
    looks_like_id = words(column.name)[-1:] in (("id",), ("uuid",), ("guid",))
    if (_is_text(column) or looks_like_id) and n_rows > 100 and column.n_distinct > max(MAX_CATEGORIES, n_rows / 2):
        return f"an id or free text: {column.n_distinct:,} different values in {n_rows:,} rows"
    if (_is_text(column) or looks_like_id) and column.n_distinct > MAX_CATEGORIES:
        return f"{column.n_distinct:,} different values are too many categories"
    if _is_text(column) and n_rows > 100 and column.n_distinct > 0.9 * (n_rows - column.n_null):
        return f"an id or free text: {column.n_distinct:,} different values in {n_rows:,} rows"
    return None


def _group(column: ColumnSummary) -> Group:
    values = {sample.lower() for sample in column.samples}
    if column.kind == "BOOLEAN" or (column.n_distinct == 2 and values in _FLAGS):
        return "boolean"
    codes = {"id", "code", "zip", "zipcode", "postcode", "class", "type", "category", "segment"}
    if _is_text(column) or (column.kind in _INTEGERS and words(column.name)[-1:] and words(column.name)[-1] in codes):
        return "categorical"
    return "numerical"


def _mean_length(column: ColumnSummary) -> float:
    return sum(map(len, column.samples)) / len(column.samples) if column.samples else 0.0


def _is_unique(column: ColumnSummary, n_rows: int) -> bool:
    return n_rows > 0 and column.n_distinct >= UNIQUE_SHARE * n_rows


def _is_text(column: ColumnSummary) -> bool:
    return column.kind in ("VARCHAR", "UUID") or column.kind.startswith("ENUM")


def _is_number(column: ColumnSummary) -> bool:
    return column.kind in _INTEGERS or column.kind in ("DOUBLE", "FLOAT", "REAL") or column.kind.startswith("DECIMAL")


def _is_time(column: ColumnSummary) -> bool:
    if column.kind.startswith("TIMESTAMP") or column.kind == "DATE":
        return True
    texts = [sample for sample in column.samples if len(sample) >= 8]
    return (
        column.kind == "VARCHAR"
        and bool(texts)
        and all("-" in sample and moment_of(sample) is not None for sample in column.samples)
    )


def _is_epoch(column: ColumnSummary) -> bool:
    numeric = _is_number(column) and column.minimum is not None and column.maximum is not None
    return numeric and moment_of(column.minimum) is not None and moment_of(column.maximum) is not None


def _is_share(column: ColumnSummary) -> bool:
    low, high = column.minimum, column.maximum
    if not isinstance(low, int | float | Decimal) or not isinstance(high, int | float | Decimal):
        return False
    return _is_number(column) and column.kind not in _INTEGERS and low >= 0 and high <= 1


def _is_class(column: ColumnSummary) -> bool:
    """Text, flags, and numbers without fraction that are few."""
    if _is_text(column) or column.kind == "BOOLEAN":
        return True
    whole = all(re.fullmatch(r"[+-]?\d+(\.0+)?", sample) for sample in column.samples)
    return whole and column.n_distinct <= MAX_CLASSES
