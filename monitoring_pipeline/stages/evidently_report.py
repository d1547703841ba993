"""Evidently's HTML report of one window on a bounded sample: the magnifying glass, not the engine."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from monitoring_pipeline.errors import WindowError
from monitoring_pipeline.lake.duck import connected
from monitoring_pipeline.lake.reference import reference_rows
from monitoring_pipeline.lake.relation import Relation
from monitoring_pipeline.lake.sampling import sample
from monitoring_pipeline.lake.scan import Scan
from monitoring_pipeline.lake.views import predictions_relation, relation_of
from monitoring_pipeline.monitors import Window
from monitoring_pipeline.stages.context import StageContext
from monitoring_pipeline.stages.versions import reference_version
from monitoring_pipeline.warehouse import ledger

if TYPE_CHECKING:
    import pandas as pd

MOST_ROWS = 5_000
"""Rows of either side: Evidently's HTML holds what it plots, and takes seconds for each ten thousand rows."""


@dataclass(frozen=True)
class Report:
    """Where the HTML lies, and of how many rows it speaks."""

    path: Path
    n_current: int
    n_reference: int
    sampled: bool


def render(stages: StageContext, window: Window) -> Report:
    """Writes ``<home>/reports/<monitor>/<window>.html``. Raises WindowError for a window that holds no rows."""
    monitor = stages.monitor
    taken = stages.warehouse.run(lambda conn: ledger.ingested(conn, monitor.name, [window])).get(window.start)
    if taken is None or not taken.n_rows:
        raise WindowError(f"{window} of {monitor.name} has no rows; materialize its predictions first")
    version = max(taken.versions, key=lambda v: (taken.versions[v], v))
    references = reference_rows(monitor, stages.settings).by_version
    reference = references[reference_version(monitor, version, dict.fromkeys(references, ""))]
    current = _frame(stages, predictions_relation(monitor, [taken]))
    against = _frame(stages, relation_of(Scan(monitor, reference=reference.rows)))
    path = (
        stages.settings.home.resolve()
        / "reports"
        / monitor.name
        / f"{window.key(monitor.window).replace(':', '')}.html"
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    _write(stages, current, against, path)
    return Report(path, len(current), len(against), sampled=taken.n_rows > MOST_ROWS or len(against) == MOST_ROWS)


def _frame(stages: StageContext, relation: Relation) -> pd.DataFrame:
    """The features, prediction and score of a deterministic sample; a column without any value is left out."""
    schema = stages.monitor.schema_
    names: dict[str, str | None] = {"__prediction": schema.prediction, "__score": schema.score}
    names |= {relation.column_of(c): c for c in schema.features}
    columns = {c: names[c] for c in relation.columns if names.get(c) is not None}
    with connected(stages.settings, relation.protocols) as duck:
        frame = sample(duck, relation, list(columns), MOST_ROWS).to_pandas()
    return frame.rename(columns=columns).dropna(axis="columns", how="all")


def _write(stages: StageContext, current: pd.DataFrame, reference: pd.DataFrame, path: Path) -> None:
    os.environ.setdefault("DO_NOT_TRACK", "1")
    # Four seconds and 280 MB: paid by who asks for a report, never at code-location load.
    from evidently import DataDefinition, Dataset, Report
    from evidently.presets import DataDriftPreset, DataSummaryPreset

    schema = stages.monitor.schema_
    shared = [c for c in current.columns if c in reference.columns]
    extra = [c for c in (schema.score,) if c] + ([schema.prediction] if stages.monitor.task == "regression" else [])
    numerical = [c for c in shared if c in {*schema.numerical, *extra}]
    definition = DataDefinition(
        numerical_columns=numerical, categorical_columns=[c for c in shared if c not in numerical]
    )
    report = Report([DataDriftPreset(), DataSummaryPreset()])
    made = report.run(
        Dataset.from_pandas(current[shared], data_definition=definition),
        Dataset.from_pandas(reference[shared], data_definition=definition),
    )
    temporary = path.with_suffix(".partial")
    made.save_html(str(temporary))
    temporary.replace(path)
