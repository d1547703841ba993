"""Parity: the features of a sample of each window's predictions, computed again and compared with those served."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from monitoring_pipeline import __version__
from monitoring_pipeline.errors import DeclarationError, SourceError, UserError, WarehouseError, WindowError
from monitoring_pipeline.lake.duck import connected
from monitoring_pipeline.lake.relation import Relation
from monitoring_pipeline.lake.sampling import rows_of_ids, sample
from monitoring_pipeline.lake.sources.files import list_files
from monitoring_pipeline.lake.views import predictions_relation
from monitoring_pipeline.metrics.quality.parity import compare
from monitoring_pipeline.monitors import Monitor, Window
from monitoring_pipeline.monitors.declaration import Source
from monitoring_pipeline.monitors.parity import Parity
from monitoring_pipeline.monitors.trainer import trainer_of
from monitoring_pipeline.records import IngestedWindow
from monitoring_pipeline.stages import incidents
from monitoring_pipeline.stages.context import StageContext
from monitoring_pipeline.warehouse import ledger, parity_store
from monitoring_pipeline.warehouse.parity_store import MadeFrom, ParityRow

log = logging.getLogger(__name__)
ROWS = "*"
ID, TIME = "prediction_id", "event_time"
TRUE, FALSE = ("true", "1", "yes", "t", "y"), ("false", "0", "no", "f", "n")


def measure(stages: StageContext, windows: Sequence[Window]) -> dict[Window, str | None]:
    """Compares each of these windows that has rows, and folds what differs into incidents.

    By window why it failed, or None: each window fails alone. Raises UserError for a declaration without ``parity``.
    """
    declared = stages.monitor.parity
    if declared is None:
        raise UserError(f"{stages.monitor.name}: declares no `parity`; see docs/parity.md")
    taken = stages.warehouse.run(lambda conn: ledger.ingested(conn, stages.monitor.name, windows))
    found: dict[Window, str | None] = {}
    for window in windows:
        try:
            one = taken.get(window.start)
            if one is None:
                raise WindowError(f"{window} is not ingested yet; materialize its predictions first")
            _measure(stages, declared, one)
            found[window] = None
        except WarehouseError:
            raise
        except UserError as error:
            found[window] = str(error)
    if any(error is None for error in found.values()):
        incidents.fold(stages)
    return found


def _measure(stages: StageContext, declared: Parity, one: IngestedWindow) -> None:
    monitor = stages.monitor
    served = _served(stages, declared, one) if one.n_rows else pd.DataFrame({ID: []})
    rows: list[ParityRow] = []
    if len(served):
        again = _recomputed(stages, declared, served)
        rows = _rows(monitor, served, again, declared.tolerance)
    made = MadeFrom(declared.tolerance, one.data_version, __version__, stages.run_id)
    stages.warehouse.run(lambda conn: parity_store.replace(conn, monitor.name, one.window, rows, made))


def _rows(monitor: Monitor, served: pd.DataFrame, again: pd.DataFrame, tolerance: float) -> list[ParityRow]:
    known = served[ID].isin(again.index)
    unmatched, ids = int((~known).sum()), served.loc[known, ID].to_numpy(dtype=object)
    a = {name: _values(monitor, name, served.loc[known, name]) for name in monitor.schema_.features}
    aligned = again.loc[ids]
    b = {name: _values(monitor, name, aligned[name]) for name in monitor.schema_.features if name in aligned}
    found = compare(ids, a, b, tolerance)
    columns = [ParityRow(c.column, c.n_compared, c.n_differing, unmatched, c.example) for c in found.columns]
    return [*columns, ParityRow(ROWS, found.n_compared, found.n_differing, unmatched, "")]


def _served(stages: StageContext, declared: Parity, one: IngestedWindow) -> pd.DataFrame:
    """``prediction_id``, ``event_time`` and the features, under their own names."""
    relation = predictions_relation(stages.monitor, [one])
    names = {"__id": ID, "__time": TIME} | _features(stages.monitor, relation)
    with connected(stages.settings, relation.protocols) as duck:
        table = sample(duck, relation, list(names), declared.sample)
    frame = pd.DataFrame({names[c]: table[c].to_pandas() for c in names if names[c] not in (ID, TIME)})
    return frame.assign(**{ID: table["__id"].to_pandas(), TIME: table["__time"].to_pandas().dt.tz_localize("UTC")})


def _features(monitor: Monitor, relation: Relation) -> dict[str, str]:
    return {relation.column_of(name): name for name in monitor.schema_.features if name not in (ID, TIME)}


def _recomputed(stages: StageContext, declared: Parity, served: pd.DataFrame) -> pd.DataFrame:
    """By prediction id (text), the first of each; whatever columns there are. Raises UserError that says why not."""
    monitor = stages.monitor
    if declared.function is not None:
        found = _called(declared.function, served[[ID, TIME]].copy())
        key = ID
    else:
        key = monitor.schema_.prediction_id
        files = list(list_files(Source(path=declared.path, format="parquet"), monitor.base_dir))
        if not files:
            raise SourceError(f"parity.path: no file matches {declared.path}; correct the path")
        found = rows_of_ids(stages.settings, files, key, served[ID].tolist()).to_pandas()
    if key not in found:
        raise SourceError(f"parity: the recomputed rows have no column {key!r}; they have {', '.join(map(str, found))}")
    if not set(monitor.schema_.features) & set(found):
        raise SourceError(
            f"parity: none of the recomputed columns is a feature; there are {', '.join(map(str, found))}"
        )
    ids = found[key].map(lambda value: str(value))
    return found.set_index(ids)[~ids.duplicated().to_numpy()]


def _called(path: str, asked: pd.DataFrame) -> pd.DataFrame:
    try:
        found = trainer_of(path)(asked)
    except DeclarationError:
        raise
    except Exception as error:  # a user's function runs any code
        raise WindowError(f"parity.function {path} raised {type(error).__name__}: {error}") from error
    if not isinstance(found, pd.DataFrame):
        raise WindowError(f"parity.function {path} returned {type(found).__name__}; return a pandas DataFrame")
    return found


def _values(monitor: Monitor, name: str, column: pd.Series) -> NDArray:
    """Numbers as float64, all else as text or None, however the two sides write them."""
    if name in monitor.schema_.numerical:
        return pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    texts = [None if pd.isna(value) else _text(value) for value in column.tolist()]
    if name in monitor.schema_.boolean:
        said = [None if t is None else t.lower() for t in texts]
        texts = ["true" if t in TRUE else "false" if t in FALSE else t for t in said]
    return np.array(texts, dtype=object)


def _text(value: object) -> str:
    """As the lake writes categories: 1 for 1.0."""
    if isinstance(value, bool | np.bool_):
        return "true" if value else "false"
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
