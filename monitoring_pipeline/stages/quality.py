"""Quality: what the profile and the ledger say of the data itself."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from sqlalchemy import Connection

from monitoring_pipeline.errors import WindowError
from monitoring_pipeline.metric_rows import QualityRow
from monitoring_pipeline.metrics.quality import WindowFacts, measure_quality
from monitoring_pipeline.monitors import Window
from monitoring_pipeline.profiles.profile import EVERYTHING, Profile
from monitoring_pipeline.records import IngestedWindow
from monitoring_pipeline.stages.context import Facts, StageContext, WindowOutcome, complete, each_window
from monitoring_pipeline.stages.ground_truth import is_mature
from monitoring_pipeline.stages.versions import reference_version
from monitoring_pipeline.warehouse import ledger, metric_store, profile_store, readers, reference_store
from monitoring_pipeline.warehouse.reference_store import ReferenceSegment

WINDOWS_A_READ = 64
SEASONS = 8  # weeks that the usual volume of an hour or day of the week is taken from


def measure(stages: StageContext, windows: Sequence[Window]) -> list[WindowOutcome]:
    """Measures these windows; reads no raw row. Figures about whole windows stand with the version that served most
    rows.
    """
    name = stages.monitor.name
    past = {
        Window(w.start - timedelta(weeks=k), w.end - timedelta(weeks=k)) for w in windows for k in range(1, SEASONS + 1)
    }

    def read(conn: Connection) -> tuple:
        return (
            ledger.ingested(conn, name, sorted({*windows, *past})),
            reference_store.load_segments(conn, name),
            readers.label_counts(conn, name, windows),
            ledger.latest_batch(conn, name, windows),
        )

    taken, references, labelled, batches = stages.warehouse.run(read)
    profiles: dict[Window, list[Profile]] = {}

    def work(window: Window) -> Facts:
        one = taken.get(window.start)
        if one is None:
            raise WindowError(f"{window} is not ingested yet; materialize its predictions first")
        if window not in profiles:
            profiles.clear()
            profiles.update(_read_ahead(stages, windows, window))
        facts = window_facts(stages, one, taken, labelled.get(window.start))
        rows = _rows(stages, one, profiles[window], references, facts)

        def write(conn: Connection) -> int:
            ledger.lock_window(conn, name, window)
            made = stages.provenance(one.data_version, batches[window.start])
            changed = sum(
                metric_store.write_quality(conn, name, version, window, found, made) for version, found in rows.items()
            )
            complete(stages, conn, "quality", window, one.data_version, batches[window.start])
            return changed

        changed = stages.warehouse.run(write, can_be_recomputed=True)
        violated = sorted({f"{r.metric} of {r.column_name}" for found in rows.values() for r in found if r.violated})
        return {
            "figures": sum(map(len, rows.values())),
            "changed": changed,
            "violations": len(violated),
            "violated": ", ".join(violated[:10]) or None,
        }

    return each_window(stages, "quality", windows, work)


def window_facts(
    stages: StageContext, one: IngestedWindow, taken: Mapping[datetime, IngestedWindow], n_labelled: int | None
) -> WindowFacts:
    """What the ledger knows of a window: its intake, its usual volume, its coverage."""
    window = one.window
    usual = [taken.get(window.start - timedelta(weeks=k)) for k in range(1, SEASONS + 1)]
    declared = stages.monitor.ground_truth is not None
    coverage = n_labelled / one.n_rows if declared and n_labelled is not None and one.n_rows else None
    return WindowFacts(
        n_rows=one.n_rows,
        n_duplicates=one.n_duplicates,
        n_quarantined=one.n_quarantined,
        quarantine=one.quarantine,
        contract=one.contract,
        usual_rows=tuple(u.n_rows for u in usual if u is not None),
        freshness_seconds=(window.end - one.last_event).total_seconds() if one.last_event else None,
        coverage=coverage,
        mature=coverage is not None and is_mature(stages.monitor.labels, window, coverage),
    )


def _read_ahead(stages: StageContext, windows: Sequence[Window], window: Window) -> dict[Window, list[Profile]]:
    at = windows.index(window)
    some = windows[at : at + WINDOWS_A_READ]
    loaded = stages.warehouse.run(lambda conn: profile_store.load_profiles(conn, stages.monitor.name, some))
    found: dict[Window, list[Profile]] = {one: [] for one in some}
    for profile in loaded:
        found[profile.window].append(profile)
    return found


def _rows(
    stages: StageContext,
    one: IngestedWindow,
    profiles: Sequence[Profile],
    references: Mapping[tuple[str, str], ReferenceSegment],
    facts: WindowFacts,
) -> dict[str, list[QualityRow]]:
    monitor = stages.monitor
    known = {version for version, _ in references}
    largest = max(one.versions, key=lambda v: (one.versions[v], v), default=None)
    rows: dict[str, list[QualityRow]] = defaultdict(list)
    for profile in profiles or [_no_rows(stages, one, references)]:
        reference = references.get((reference_version(monitor, profile.model_version, known), profile.segment))
        about_window = profile.model_version == (largest or profile.model_version)
        found = measure_quality(profile, reference.profile if reference else None, facts, monitor.thresholds)
        if profile.segment == EVERYTHING and not about_window:
            found = [row for row in found if row.column_name != "*"]
        rows[profile.model_version] += found
    return rows


def _no_rows(
    stages: StageContext, one: IngestedWindow, references: Mapping[tuple[str, str], ReferenceSegment]
) -> Profile:
    """An empty window still has a volume: zero, and that may be the news."""
    version = reference_version(stages.monitor, stages.monitor.reference.model_version, {v for v, _ in references})
    layout = references[version, EVERYTHING].profile
    return Profile(one.window, version, EVERYTHING, layout.layout_id, 0, ())
