"""Evidently's HTML report on a bounded sample, of a window or of a declared period: the magnifying glass, not the
engine.

Where outcomes are known a second file shows, of the labelled rows, how the outcome drifted and how the model performed.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from monitoring_pipeline import __version__
from monitoring_pipeline.errors import UserError, WarehouseError, WindowError
from monitoring_pipeline.lake.duck import connected
from monitoring_pipeline.lake.reference import reference_rows
from monitoring_pipeline.lake.relation import Relation
from monitoring_pipeline.lake.sampling import sample
from monitoring_pipeline.lake.scan import Scan, labelled, predictions_of
from monitoring_pipeline.lake.views import relation_of
from monitoring_pipeline.monitors import Monitor, Window
from monitoring_pipeline.records import IngestedWindow
from monitoring_pipeline.stages.context import StageContext
from monitoring_pipeline.stages.rollup_spans import period_of
from monitoring_pipeline.stages.versions import reference_version
from monitoring_pipeline.warehouse import evidently_store, ledger
from monitoring_pipeline.warehouse.evidently_store import ReportRow
from monitoring_pipeline.windows import LENGTH

if TYPE_CHECKING:
    import pandas as pd

MOST_ROWS = 5_000
"""Rows of either side: Evidently's HTML holds what it plots, and takes seconds for each ten thousand rows."""
LEAST_LABELLED = 30
"""Rows with an outcome, on either side, below which curves and errors say nothing."""
OUTCOME = "__outcome"


@dataclass(frozen=True)
class Report:
    """Where the HTML lies, and of how many rows it speaks; ``performance``: of those with outcomes, where enough are
    known."""

    path: Path
    performance: Path | None
    n_current: int
    n_reference: int
    n_labelled: int
    sampled: bool


def due(monitor: Monitor, windows: Sequence[Window]) -> list[Window]:
    """The declared periods whose last window is among these, in order of time; none where none is declared."""
    if monitor.evidently is None:
        return []
    periods = {w: _period(w, monitor.evidently.every) for w in windows}
    return sorted(period for window, period in periods.items() if window.end == period.end)


def _period(window: Window, every: str) -> Window:
    return Window.at(window.start, "day") if every == "day" else period_of(window.start, every)


def render_due(stages: StageContext, windows: Sequence[Window]) -> dict[Window, Report | str]:
    """The report of each due period that holds rows, or why there is none: each fails alone."""
    found: dict[Window, Report | str] = {}
    for period in due(stages.monitor, windows):
        try:
            if any(one.n_rows for one in _taken(stages, period)):
                found[period] = render(stages, period)
        except WarehouseError:
            raise
        except UserError as error:
            found[period] = str(error)
    return found


def render(stages: StageContext, window: Window) -> Report:
    """Writes ``<home>/reports/<monitor>/<window>.html``, and ``…-performance.html`` where outcomes are known.

    ``window``: one of the monitor's, or a period of several. Raises WindowError for one that holds no rows, or of which
    Evidently cannot make a report.
    """
    monitor = stages.monitor
    taken = [one for one in _taken(stages, window) if one.n_rows]
    if not taken:
        raise WindowError(f"{window} of {monitor.name} has no rows; materialize its predictions first")
    version = _version(taken)
    references = reference_rows(monitor, stages.settings).by_version
    reference = references[reference_version(monitor, version, dict.fromkeys(references, ""))]
    most = monitor.evidently.rows if monitor.evidently else MOST_ROWS
    current = _frame(stages, relation_of(_current(stages, taken)), most)
    against = _frame(stages, relation_of(Scan(monitor, reference=reference.rows)), most)
    made = _files(monitor, window, current, against, _path(stages, window))
    sampled = sum(one.n_rows for one in taken) > most or len(against) == most
    report = Report(*made, len(current), len(against), _n_labelled(current), sampled)
    _store(stages, window, version, report)
    return report


def _taken(stages: StageContext, window: Window) -> list[IngestedWindow]:
    length = LENGTH[stages.monitor.window]
    inside = [
        Window(window.start + i * length, window.start + (i + 1) * length)
        for i in range((window.end - window.start) // length)
    ]
    found = stages.warehouse.run(lambda conn: ledger.ingested(conn, stages.monitor.name, inside))
    return [found[one.start] for one in inside if one.start in found]


def _version(taken: Sequence[IngestedWindow]) -> str:
    """The version with the most rows, of several the last by name."""
    rows: dict[str, int] = {}
    for one in taken:
        for version, n in one.versions.items():
            rows[version] = rows.get(version, 0) + n
    return max(rows, key=lambda v: (rows[v], v))


def _current(stages: StageContext, taken: Sequence[IngestedWindow]) -> Scan:
    monitor = stages.monitor
    if monitor.ground_truth is None:
        return predictions_of(monitor, taken)
    windows = [one.window for one in taken]
    files = stages.warehouse.run(lambda conn: ledger.label_files(conn, monitor.name, windows))
    return labelled(monitor, taken, files)


def _path(stages: StageContext, window: Window) -> Path:
    monitor = stages.monitor
    name = window.key(monitor.window).replace(":", "")
    if window.end - window.start != LENGTH[monitor.window]:
        name += f"-to-{window.end:%Y-%m-%d}"
    return stages.settings.private("reports") / monitor.name / f"{name}.html"


def _frame(stages: StageContext, relation: Relation, most: int) -> pd.DataFrame:
    """The features, prediction, score and outcome of a deterministic sample; a column without any value is left out."""
    schema = stages.monitor.schema_
    names: dict[str, str | None] = {"__prediction": schema.prediction, "__score": schema.score, OUTCOME: OUTCOME}
    names |= {relation.column_of(c): c for c in schema.features}
    columns = {c: names[c] for c in relation.columns if names.get(c) is not None}
    with connected(stages.settings, relation.protocols) as duck:
        frame = sample(duck, relation, list(columns), most).to_pandas()
    return frame.rename(columns=columns).dropna(axis="columns", how="all")


def _n_labelled(frame: pd.DataFrame) -> int:
    return int(frame[OUTCOME].notna().sum()) if OUTCOME in frame else 0


def _files(
    monitor: Monitor, window: Window, current: pd.DataFrame, against: pd.DataFrame, path: Path
) -> tuple[Path, Path | None]:
    """Writes them; the second only where both sides have enough outcomes, else what an earlier run wrote goes."""
    os.environ.setdefault("DO_NOT_TRACK", "1")
    path.parent.mkdir(parents=True, exist_ok=True)
    second = path.with_name(f"{path.stem}-performance.html")
    try:
        _write_columns(monitor, current, against, path)
        if min(_n_labelled(current), _n_labelled(against)) >= LEAST_LABELLED and monitor.schema_.prediction:
            _write_performance(monitor, current, against, second)
            return path, second
    except Exception as error:  # a library that meets any data
        raise WindowError(
            f"Evidently made no report of {window} of {monitor.name}: {type(error).__name__}: {error}"
        ) from error
    second.unlink(missing_ok=True)
    return path, None


def _numerical(monitor: Monitor) -> set[str]:
    schema = monitor.schema_
    extra = [c for c in (schema.score,) if c]
    extra += [c for c in (schema.prediction, OUTCOME) if c] if monitor.task == "regression" else []
    return {*schema.numerical, *extra}


def _write_columns(monitor: Monitor, current: pd.DataFrame, reference: pd.DataFrame, path: Path) -> None:
    # Four seconds and 280 MB: paid by who asks for a report, never at code-location load.
    from evidently import DataDefinition, Report
    from evidently.presets import DataDriftPreset, DataSummaryPreset

    shared = [c for c in current.columns if c in reference.columns and c != OUTCOME]
    numerical = [c for c in shared if c in _numerical(monitor)]
    definition = DataDefinition(
        numerical_columns=numerical, categorical_columns=[c for c in shared if c not in numerical]
    )
    _save(Report([DataDriftPreset(), DataSummaryPreset()]), definition, current[shared], reference[shared], path)


def _write_performance(monitor: Monitor, current: pd.DataFrame, reference: pd.DataFrame, path: Path) -> None:
    """Drift of the outcome and what the model put out, then Evidently's preset of the task."""
    from evidently import DataDefinition, Report
    from evidently.presets import ClassificationPreset, DataDriftPreset, RegressionPreset

    schema = monitor.schema_
    outputs = [c for c in (OUTCOME, schema.prediction, schema.score) if c and c in current and c in reference]
    now, before = current[outputs].dropna(), reference[outputs].dropna()
    numerical = [c for c in outputs if c in _numerical(monitor)]
    task = _task(monitor, outputs)
    definition = DataDefinition(
        numerical_columns=numerical, categorical_columns=[c for c in outputs if c not in numerical], **task
    )
    preset = RegressionPreset() if monitor.task == "regression" else ClassificationPreset()
    _save(Report([DataDriftPreset(columns=outputs), preset]), definition, now, before, path)


def _task(monitor: Monitor, outputs: Sequence[str]) -> dict[str, list[Any]]:
    from evidently import BinaryClassification, MulticlassClassification, Regression

    schema = monitor.schema_
    if monitor.task == "regression":
        return {"regression": [Regression(target=OUTCOME, prediction=schema.prediction)]}
    if monitor.task == "multiclass":
        return {"classification": [MulticlassClassification(target=OUTCOME, prediction_labels=schema.prediction)]}
    score = schema.score if schema.score in outputs else None
    return {
        "classification": [
            BinaryClassification(
                target=OUTCOME,
                prediction_labels=schema.prediction,
                prediction_probas=score,
                pos_label=schema.positive_class,
            )
        ]
    }


def _save(report: Any, definition: Any, current: pd.DataFrame, reference: pd.DataFrame, path: Path) -> None:
    from evidently import Dataset

    made = report.run(
        Dataset.from_pandas(current, data_definition=definition),
        Dataset.from_pandas(reference, data_definition=definition),
    )
    temporary = path.with_suffix(".partial")
    made.save_html(str(temporary))
    temporary.replace(path)


def _store(stages: StageContext, window: Window, version: str, report: Report) -> None:
    performance = str(report.performance) if report.performance else None
    row = ReportRow(
        version, str(report.path), performance, report.n_current, report.n_reference, report.n_labelled, report.sampled
    )
    stages.warehouse.run(
        lambda conn: evidently_store.replace(conn, stages.monitor.name, window, row, __version__, stages.run_id)
    )
