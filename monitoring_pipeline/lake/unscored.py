"""A reference of features alone: its rows as they are, and the copy of them that a model has scored."""

from __future__ import annotations

import fsspec
import pyarrow as pa

from monitoring_pipeline.lake import store
from monitoring_pipeline.lake.cleaning import without_outputs
from monitoring_pipeline.lake.duck import connected
from monitoring_pipeline.lake.sources.scan import unreadable_named
from monitoring_pipeline.lake.views import reference_paths, reference_relation, scored_path
from monitoring_pipeline.monitors.declaration import Monitor
from monitoring_pipeline.settings import Settings


def unscored_rows(monitor: Monitor, settings: Settings) -> tuple[Monitor, pa.Table]:
    """The reference's rows under the canonical columns of a monitor whose model says nothing, which is given too.

    With ``__outcome`` (null where none is declared), ``__label_time`` (null) and ``__batch``. Raises SourceError.
    """
    bare = without_outputs(monitor)
    relation = reference_relation(bare, settings)
    outcome = "" if bare.reference.outcome else ", CAST(NULL AS VARCHAR) AS __outcome"
    with connected(settings, relation.protocols) as connection, unreadable_named(connection, reference_paths(monitor)):
        rows = connection.execute(
            f"SELECT *{outcome}, CAST(NULL AS TIMESTAMP) AS __label_time, CAST(0 AS BIGINT) AS __batch"  # noqa: S608
            f" FROM ({relation.sql})"
        ).to_arrow_table()
    return bare, rows


def keep_scored(monitor: Monitor, rows: pa.Table, scored_by: str, settings: Settings) -> None:
    """Rows under the monitor's canonical columns stand for its reference from now on. Raises WindowError."""
    path = scored_path(monitor, reference_paths(monitor), settings)
    store.write_text(_beside(path), scored_by)
    with connected(settings) as connection:
        connection.register("given", rows)
        store.write_parquet(connection, "SELECT * FROM given", path)


def scored_by(monitor: Monitor, settings: Settings) -> str | None:
    """Which model versions scored the reference, in words; None where its source holds predictions."""
    path = scored_path(monitor, reference_paths(monitor), settings)
    if not store.exists(path) or not store.exists(_beside(path)):
        return None
    with fsspec.open(_beside(path), "r") as file:
        return str(file.read())


def _beside(path: str) -> str:
    return f"{path}.scored-by"
