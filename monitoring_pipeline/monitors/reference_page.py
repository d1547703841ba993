"""The page that explains every key of a monitor, written from the declaration itself.

``python -m monitoring_pipeline.monitors.reference_page > docs/monitor-reference.md`` writes it anew.
"""

from __future__ import annotations

import inspect
import sys
import typing
from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import Any, Literal

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from monitoring_pipeline.monitors.alarms import (
    Alarms,
    BudgetShares,
    ContrastAlarms,
    CoverageAlarms,
    DriftAlarms,
    FreshnessAlarms,
    PerformanceAlarms,
    Persistence,
    SeasonAlarms,
    Severities,
    VolumeAlarms,
)
from monitoring_pipeline.monitors.declaration import (
    DRIFT_THRESHOLDS,
    Bound,
    ClassLabel,
    ColumnThresholds,
    GroundTruthSource,
    Labels,
    Monitor,
    NamedBaseline,
    OutcomeClass,
    Owner,
    ReferenceSource,
    Retention,
    RowsRollup,
    Schema,
    Source,
    Thresholds,
)
from monitoring_pipeline.monitors.durations import Duration
from monitoring_pipeline.monitors.evidently import EvidentlyReport
from monitoring_pipeline.monitors.parity import Parity
from monitoring_pipeline.monitors.protected import Protected
from monitoring_pipeline.monitors.retraining import (
    ConceptTrigger,
    DriftTrigger,
    Estimator,
    Freeze,
    Guards,
    NewLabels,
    PerformanceTrigger,
    Promotion,
    RetrainPolicy,
    Search,
    Training,
    Trigger,
)
from monitoring_pipeline.monitors.retraining import Persistence as RetrainPersistence

_SECTIONS: tuple[tuple[str, type[BaseModel]], ...] = (
    ("Top level", Monitor),
    ("schema", Schema),
    ("predictions", Source),
    ("ground_truth", GroundTruthSource),
    ("reference", ReferenceSource),
    ("baselines", NamedBaseline),
    ("rollups", RowsRollup),
    ("labels", Labels),
    ("thresholds", Thresholds),
    ("thresholds.columns.<column>", ColumnThresholds),
    ("thresholds.performance.<metric>", Bound),
    ("alarms", Alarms),
    ("alarms.shares", BudgetShares),
    ("alarms.drift", DriftAlarms),
    ("alarms.drift.persistence", Persistence),
    ("alarms.drift.seasonal", SeasonAlarms),
    ("alarms.performance", PerformanceAlarms),
    ("alarms.performance.<contrast>", ContrastAlarms),
    ("alarms.volume", VolumeAlarms),
    ("alarms.coverage", CoverageAlarms),
    ("alarms.freshness", FreshnessAlarms),
    ("alarms.severity", Severities),
    ("retrain", RetrainPolicy),
    ("retrain.when", Trigger),
    ("retrain.when.drift", DriftTrigger),
    ("retrain.when.performance", PerformanceTrigger),
    ("retrain.when.new_labels", NewLabels),
    ("retrain.when.concept", ConceptTrigger),
    ("retrain.guards", Guards),
    ("retrain.guards.persistence", RetrainPersistence),
    ("retrain.guards.freeze", Freeze),
    ("retrain.estimator", Estimator),
    ("retrain.training", Training),
    ("retrain.training.search", Search),
    ("retrain.promote", Promotion),
    ("protected", Protected),
    ("parity", Parity),
    ("evidently", EvidentlyReport),
    ("retention", Retention),
    ("owner", Owner),
)
_WORDS = {str: "text", int: "whole number", float: "number", bool: "true or false"}
_INTRODUCTION = """# Monitor reference

<!-- Written by `python -m monitoring_pipeline.monitors.reference_page`; a test compares the two. -->

One YAML file in `monitors/` declares one deployed model. `monitoring-pipeline init` drafts it from data,
`monitoring-pipeline validate` checks it and its sources. A key that is not listed here is an error.

- **Durations**: `7d`, `6h`, `30m`, `1d 12h` or ISO 8601 (`P7D`).
- **Shares** lie between 0 and 1.
- **Times** without a zone are UTC; days are UTC days. The one exception is `schema.timezone`, which is about the data.
- **In the data** times are ISO 8601, or seconds, milli-, micro- or nanoseconds since 1970 (20240331 is neither), and
  numbers have a decimal point. What cannot be read is counted and told, never guessed.
- **Corrections** of `schema.event_time`, `schema.timezone` or of the columns of `ground_truth` take effect on the files
  that were read before: the next `run` reads them again.
- **Paths** are relative to the file of the monitor; `${NAME}` in `path` and `url` comes from the environment, so that
  no password stands in a file.
- **Class labels** are text: `1`, `1.0` and `"1"` are the same class, `true`, `True` and `"true"` too, and blanks around
  them do not count. Everything else is as it is written: `Yes` and `yes` are two classes.

## The least that is needed

```yaml
name: churn
task: binary
schema:
  prediction_id: id
  event_time: predicted_at
  score: score
  numerical: [age, balance]
  categorical: [country]
predictions:
  path: logs/*.parquet
reference:
  path: reference.parquet
start: 2024-01-01
```
"""


def render() -> str:
    """The whole page as Markdown."""
    sections = (_section(title, model) for title, model in _SECTIONS)
    return "\n".join([_INTRODUCTION, *sections, _drift_methods()])


def _section(title: str, model: type[BaseModel]) -> str:
    heading = title if model is Monitor else f"`{title}`"
    text = inspect.cleandoc(model.__doc__ or "").replace("``", "`")
    rows = (_row(name, field) for name, field in model.model_fields.items() if not field.exclude)
    return "\n".join(
        [f"## {heading}", "", text, "", "| key | value | default | meaning |", "|---|---|---|---|", *rows, ""]
    )


def _row(name: str, field: FieldInfo) -> str:
    meaning = _escape(field.description or "")
    cells = (f"`{field.alias or name}`", _escape(_type(field)), _escape(_default(field)), meaning)
    return f"| {' | '.join(cells)} |"


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "**required**"
    value = field.get_default(call_default_factory=True)
    if value is None or value == "" or isinstance(value, BaseModel) or value in ((), {}):
        return ""
    return f"`{_value(value)}`"


def _value(value: Any) -> str:
    if isinstance(value, timedelta):
        return f"{value.days}d"
    if isinstance(value, tuple):
        return f"[{', '.join(map(_value, value))}]"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _type(field: FieldInfo) -> str:
    limits = [str(limit) for limit in field.metadata if hasattr(limit, "ge") or hasattr(limit, "le")]
    if field.annotation is float and len(limits) == 2 and "ge=0" in limits[0]:
        return "share"
    if field.annotation is timedelta:
        return "duration"
    return _name(field.annotation)


def _name(annotation: Any) -> str:
    """A type in the words of someone who writes YAML."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if annotation in (Duration, ClassLabel, OutcomeClass):
        return "duration" if annotation is Duration else "class label"
    if origin is typing.Annotated:
        return "share" if arguments[0] is float else _name(arguments[0])
    if origin is Literal:
        return " / ".join(f"`{argument}`" for argument in arguments)
    if origin is tuple:
        return (
            f"list of {_name(arguments[0])}" if arguments[-1] is Ellipsis else f"[{', '.join(map(_name, arguments))}]"
        )
    if origin is dict:
        return f"mapping of {_name(arguments[0])} to {_name(arguments[1])}"
    if arguments:
        return _joined(_name(argument) for argument in arguments if argument is not type(None))
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "keys below"
    return _WORDS.get(annotation) or {"date": "day", "datetime": "time"}.get(annotation.__name__, annotation.__name__)


def _joined(names: Iterable[str]) -> str:
    return " or ".join(dict.fromkeys(names))


def _drift_methods() -> str:
    return "\n".join(["## Drift methods", "", *_drift_rows(), ""])


def _drift_rows() -> Iterator[str]:
    yield "`thresholds.drift` and `thresholds.columns.<column>.drift` know these, with these defaults:"
    yield ""
    yield "| method | default |"
    yield "|---|---|"
    yield from (f"| `{method}` | {threshold} |" for method, threshold in DRIFT_THRESHOLDS.items())
    yield ""
    yield "`chi_square` is held against Cramér's V, `wasserstein` is in standard deviations of the reference."


def _escape(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


if __name__ == "__main__":
    sys.stdout.write(render())
