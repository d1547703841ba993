"""The reference: the labelled rows a model version was validated on fix bins, categories and usual figures."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import partial

from sqlalchemy import Connection

from monitoring_pipeline.engines.choosing import engine_of
from monitoring_pipeline.engines.counter import EPOCH
from monitoring_pipeline.engines.merging import labelled_of, merged_by_key, profiles_of
from monitoring_pipeline.errors import SourceError, UnscoredError
from monitoring_pipeline.lake.outcome_classes import classes_in_relations, no_positive_class
from monitoring_pipeline.lake.reference import (
    PreparedReference,
    ReferenceVersion,
    most_slices,
    reference_rows,
    source_version,
)
from monitoring_pipeline.lake.scan import Scan
from monitoring_pipeline.lake.unscored import scored_by
from monitoring_pipeline.lake.views import relation_of
from monitoring_pipeline.monitors.declaration import Monitor
from monitoring_pipeline.profiles.document import Reference
from monitoring_pipeline.profiles.profile import EVERYTHING
from monitoring_pipeline.stages.context import StageContext
from monitoring_pipeline.stages.declaring import declare
from monitoring_pipeline.stages.fairness import check_reference_groups
from monitoring_pipeline.stages.limits import cut_by_layout
from monitoring_pipeline.stages.scored_reference import score_reference
from monitoring_pipeline.warehouse import profile_store, reference_store

PARTS = frozenset({*profile_store.OF_ROWS, *profile_store.OF_LABELS})
LEAST_ROWS = 20  # a block, or a segment of one, with fewer rows says nothing of how windows vary


@dataclass(frozen=True)
class ReferenceOutcome:
    """What the reference stage did. ``changed`` is False when rows and bins are those already kept.

    ``cut``: what limits of the engine leave out, a sentence each. ``scored_by``: of a source without predictions, which
    model versions scored it, in words.
    """

    n_rows: int
    n_columns: int
    model_versions: tuple[str, ...]
    changed: bool
    cut: tuple[str, ...] = ()
    scored_by: str | None = None


def profile_reference(stages: StageContext) -> ReferenceOutcome:
    """Profiles the declared reference by model version and keeps layout and profiles.

    Does nothing when the source files and the declaration they are read by are unchanged. Rows without predictions are
    scored by the registered model first. Raises SourceError when the source cannot be read or holds no row, and
    UnscoredError when it holds no predictions and no model is registered with an artifact.
    """
    monitor, said = stages.monitor, partial(scored_by, stages.monitor, stages.settings)
    current = source_version(monitor)

    def kept(conn: Connection) -> dict[str, Reference] | None:
        declare(conn, monitor)
        known = profile_store.reference_sources(conn, monitor.name)
        declared = {version for version, made in known.items() if not profile_store.is_rotated(made)}
        if {known[version] for version in declared} != {current}:
            return None
        references = profile_store.references(conn, monitor.name)
        return {version: references[version] for version in sorted(declared)}

    if (references := stages.warehouse.run(kept)) is not None:
        return _outcome(monitor, references, False, said())
    rows = _rows(stages)
    _check_positive_class(stages, rows.by_version.values())
    made = {}
    for done, (version, of_version) in enumerate(rows.by_version.items(), start=1):
        made[version] = profile_version(stages, version, of_version, rows.source_version)
        stages.advance("reference", done, len(rows.by_version))
    return _outcome(monitor, made, True, said())


def _rows(stages: StageContext) -> PreparedReference:
    try:
        return reference_rows(stages.monitor, stages.settings)
    except UnscoredError:
        if not score_reference(stages):
            raise
        return reference_rows(stages.monitor, stages.settings)


def _check_positive_class(stages: StageContext, versions: Iterable[ReferenceVersion]) -> None:
    """A positive class that never occurs would make every metric of labels plausible nonsense."""
    monitor = stages.monitor
    column = monitor.reference.outcome
    if monitor.task != "binary" or column is None:
        return
    rows = [version.rows for version in versions]
    relations = [relation_of(Scan(monitor, reference=one)) for one in rows]
    files = list(dict.fromkeys(path for one in rows for path in one.files))
    said = no_positive_class(monitor, column, "reference", classes_in_relations(relations, files, stages.settings))
    if said:
        raise SourceError(f"schema.positive_class: {said}")


def profile_version(stages: StageContext, version: str, of_version: ReferenceVersion, source: str) -> Reference:
    """Profiles the rows of one model version and keeps layout, profiles, segments and blocks as its reference.

    ``source`` names what the rows are. Raises SourceError when there is no row, or none of a declared reference group.
    """
    monitor, engine = stages.monitor, engine_of(stages.settings)
    layout = engine.layout(Scan(monitor, reference=of_version.rows))
    layouts = {version: layout}
    sliced = of_version.in_slices(monitor.window, most_slices(layout))
    slices = engine.profile(Scan(monitor, reference=sliced), layouts, monitor.segment_keys, PARTS)
    counted = merged_by_key(replace(one, window=EPOCH) for one in slices)
    profiles = profiles_of(counted, layouts, monitor.window)
    labelled = labelled_of(counted, layouts, 0, monitor.window)
    blocks = [one for one in slices if one.window != EPOCH and one.n_rows >= LEAST_ROWS]
    whole = next((p for p in profiles if p.segment == EVERYTHING), None)
    if whole is None:
        raise SourceError(f"{monitor.name}: the reference of model version {version!r} has no rows")
    check_reference_groups(monitor, layout, profiles)
    made = Reference(monitor.name, version, layout, whole)

    def save(conn: Connection) -> None:
        profile_store.save_reference(conn, made, source, stages.run_id)
        reference_store.save_segments(conn, made, profiles, labelled)
        in_blocks = profiles_of(blocks, layouts, monitor.window), labelled_of(blocks, layouts, 0, monitor.window)
        reference_store.save_blocks(conn, made, *in_blocks)

    stages.warehouse.run(save)
    return made


def _outcome(monitor: Monitor, references: dict[str, Reference], changed: bool, scored: str | None) -> ReferenceOutcome:
    return ReferenceOutcome(
        n_rows=sum(r.profile.n_rows for r in references.values()),
        n_columns=max((len(r.layout.columns) for r in references.values()), default=0),
        model_versions=tuple(sorted(references)),
        changed=changed,
        cut=tuple(dict.fromkeys(said for r in references.values() for said in cut_by_layout(monitor, r.layout))),
        scored_by=scored,
    )
