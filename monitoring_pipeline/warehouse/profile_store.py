"""References, profiles and labelled profiles, flattened to two arrays each.

``counts`` (bigint): column by column in the layout's order, the target left out: n, n_missing, n_nan, n_inf, n_zero,
bins.
``sums`` (float8): column by column minimum, maximum, mean, m2. Where each column begins stands in ``layout_column``.
Labelled ``counts``: n_predictions, n_labelled, n_scored, n_nonzero, score_counts, labelled_counts, positive_counts,
confusion, error_counts, each row by row; labelled ``sums``: score_sums, labelled_sums, sums. The target's column has
arrays of its own.
Arrays travel as text: Postgres writes floats so that they read back exactly.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, RowMapping, text

from monitoring_pipeline.profiles.column import MOMENTS, SCALARS, ColumnProfile
from monitoring_pipeline.profiles.document import Reference
from monitoring_pipeline.profiles.layout import ColumnLayout, Layout
from monitoring_pipeline.profiles.outcome import OutcomeProfile
from monitoring_pipeline.profiles.profile import EVERYTHING, LabelledProfile, Profile
from monitoring_pipeline.warehouse.copying import array_literal, copy_rows, parse_counts, parse_sums
from monitoring_pipeline.warehouse.model_versions import know_version
from monitoring_pipeline.windows import Window

KEEP_LAYOUT = text("""
insert into monitoring.layout (layout_id, layout) values (:layout_id, cast(:layout as jsonb))
on conflict do nothing returning 1
""")
KEEP_LAYOUT_COLUMNS = text("""
insert into monitoring.layout_column (layout_id, position, column_name, role, kind, edges, categories, first_count,
  n_bins, first_sum)
values (:layout_id, :position, :column_name, :role, :kind, cast(:edges as float8[]), cast(:categories as text[]),
  :first_count, :n_bins, :first_sum)
""")
LOAD_LAYOUT = text("select layout from monitoring.layout where layout_id = :layout_id")
SAVE_REFERENCE = text("""
insert into monitoring.reference_profile as r (monitor, model_version, window_start, window_end, layout_id, n_rows,
  counts, sums, source_version, run_id)
values (:monitor, :model_version, :window_start, :window_end, :layout_id, :n_rows, cast(:counts as bigint[]),
  cast(:sums as float8[]), :source_version, :run_id)
on conflict (monitor, model_version) do update set
  window_start = excluded.window_start, window_end = excluded.window_end,
  layout_id = excluded.layout_id, n_rows = excluded.n_rows, counts = excluded.counts, sums = excluded.sums,
  source_version = excluded.source_version, run_id = excluded.run_id, computed_at = clock_timestamp()
where (r.source_version, r.layout_id, r.counts, r.window_start, r.window_end) is distinct from
  (excluded.source_version, excluded.layout_id, excluded.counts, excluded.window_start, excluded.window_end)
""")
REFERENCES = text("""
select model_version, window_start, window_end, layout_id, n_rows, cast(counts as text) as counts,
       cast(sums as text) as sums
from monitoring.reference_profile where monitor = :monitor order by model_version
""")
REFERENCE_SOURCES = text(
    "select model_version, source_version from monitoring.reference_profile where monitor = :monitor"
)
REFERENCE_VERSIONS = text("""
select model_version, source_version || '.' || layout_id as version from monitoring.reference_profile
where monitor = :monitor
""")
FORGET_PROFILES = text(
    "delete from monitoring.profile where monitor = :monitor and window_start = :start and window_end = :end"
)
FORGET_LABELLED = text(
    "delete from monitoring.labelled_profile where monitor = :monitor and window_start = :start and window_end = :end"
)
CHOSEN = """
where monitor = :monitor
  and (:segment is null or segment = :segment) and (:model_version is null or model_version = :model_version)
  and (cast(:starts as timestamptz[]) is null
       or (window_start, window_end) in
          (select * from unnest(cast(:starts as timestamptz[]), cast(:ends as timestamptz[]))))
  and window_start >= :span_start and window_end <= :span_end
order by window_start, window_end, model_version, segment
"""
LOAD_PROFILES = text(
    """
select window_start, window_end, model_version, segment, layout_id, n_rows, cast(counts as text) as counts,
       cast(sums as text) as sums
from monitoring.profile
"""
    + CHOSEN
)
LOAD_LABELLED = text(
    """
select window_start, window_end, model_version, segment, layout_id, label_batch, cast(counts as text) as counts,
       cast(sums as text) as sums, cast(target_counts as text) as target_counts,
       cast(target_sums as text) as target_sums
from monitoring.labelled_profile
"""
    + CHOSEN
)
LOAD_TARGETS = text(
    """
select window_start, window_end, model_version, segment, layout_id, cast(target_counts as text) as target_counts,
       cast(target_sums as text) as target_sums
from monitoring.labelled_profile
"""
    + CHOSEN
)
PROFILE_COLUMNS = (
    *("monitor", "model_version", "window_start", "window_end", "segment", "layout_id", "n_rows", "counts", "sums"),
    *("data_version", "run_id"),
)
LABELLED_COLUMNS = (
    *("monitor", "model_version", "window_start", "window_end", "segment", "layout_id", "label_batch", "n_predictions"),
    *("n_labelled", "counts", "sums", "target_counts", "target_sums", "data_version", "run_id"),
)
OUTCOME_SCALARS = ("n_predictions", "n_labelled", "n_scored", "n_nonzero")
OUTCOME_COUNTS = ("score_counts", "labelled_counts", "positive_counts", "confusion", "error_counts")
OUTCOME_SUMS = ("score_sums", "labelled_sums", "sums")

# -- references --------------------------------------------------------------------------------------------------------


def save_reference(conn: Connection, reference: Reference, source_version: str, run_id: str | None) -> None:
    """Keep the reference of a model version and its layout; the same once more changes nothing."""
    know_version(conn, reference.monitor, reference.model_version)
    save_layout(conn, reference.layout)
    profile = reference.profile
    counts, sums = flatten(profile.columns)
    conn.execute(
        SAVE_REFERENCE,
        {
            "monitor": reference.monitor,
            "model_version": reference.model_version,
            "window_start": profile.window.start,
            "window_end": profile.window.end,
            "layout_id": reference.layout.layout_id,
            "n_rows": profile.n_rows,
            "counts": array_literal(counts),
            "sums": array_literal(sums),
            "source_version": source_version,
            "run_id": run_id,
        },
    )


def references(conn: Connection, monitor: str) -> dict[str, Reference]:
    """The reference of each model version of the monitor."""
    found = {}
    for row in conn.execute(REFERENCES, {"monitor": monitor}).mappings().all():
        layout = load_layout(conn, row["layout_id"])
        columns = unflatten(profiled_columns(layout), parse_counts(row["counts"]), parse_sums(row["sums"]))
        window = Window(row["window_start"], row["window_end"])
        version = row["model_version"]
        profile = Profile(window, version, EVERYTHING, layout.layout_id, row["n_rows"], columns)
        found[version] = Reference(monitor, version, layout, profile)
    return found


def reference_sources(conn: Connection, monitor: str) -> dict[str, str]:
    """Version of the source that each reference was made from."""
    rows = conn.execute(REFERENCE_SOURCES, {"monitor": monitor})
    return {row.model_version: row.source_version for row in rows}


def reference_versions(conn: Connection, monitor: str) -> dict[str, str]:
    """What tells one state of each model version's reference from another; stages record it as their input."""
    return {row.model_version: row.version for row in conn.execute(REFERENCE_VERSIONS, {"monitor": monitor})}


# -- layouts -----------------------------------------------------------------------------------------------------------


def save_layout(conn: Connection, layout: Layout) -> None:
    """Keep a layout; its id names its content, so that it never changes."""
    named = {"layout_id": layout.layout_id}
    if not conn.execute(KEEP_LAYOUT, named | {"layout": json.dumps(layout.to_json())}).scalar():
        return
    profiled = [column for column in layout.columns if column.role != "target"]
    first_counts = dict(zip(profiled, accumulate((len(SCALARS) + c.n_bins for c in profiled), initial=1), strict=False))
    first_sums = dict(zip(profiled, accumulate((len(MOMENTS) for _ in profiled), initial=1), strict=False))
    rows: list[dict[str, Any]] = [
        {
            **named,
            "position": position,
            "column_name": column.name,
            "role": column.role,
            "kind": column.kind,
            "edges": list(column.edges),
            "categories": list(column.categories),
            "first_count": first_counts.get(column),
            "n_bins": column.n_bins,
            "first_sum": first_sums.get(column),
        }
        for position, column in enumerate(layout.columns)
    ]
    if rows:
        conn.execute(KEEP_LAYOUT_COLUMNS, rows)


_parsed_layouts: dict[str, Layout] = {}  # layouts never change; sharing one object makes comparing them cheap


def load_layout(conn: Connection, layout_id: str) -> Layout:
    """A stored layout. KeyError when there is none of this id."""
    if layout_id not in _parsed_layouts:
        stored = conn.execute(LOAD_LAYOUT, {"layout_id": layout_id}).scalar()
        if stored is None:
            raise KeyError(layout_id)
        _parsed_layouts[layout_id] = Layout.from_json(stored)
    return _parsed_layouts[layout_id]


# -- profiles ----------------------------------------------------------------------------------------------------------


def save_profiles(
    conn: Connection, monitor: str, window: Window, profiles: Sequence[Profile], data_version: str, run_id: str | None
) -> None:
    """Replace the profiles of a window by these: all versions, all segments.

    Their layouts must be known (``save_reference`` or ``save_layout``).
    """
    conn.execute(FORGET_PROFILES, _window_key(monitor, window))
    for version in {p.model_version for p in profiles}:
        know_version(conn, monitor, version)
    rows = []
    for p in profiles:
        key = (monitor, p.model_version, p.window.start, p.window.end, p.segment)
        rows.append((*key, p.layout_id, p.n_rows, *flatten(p.columns), data_version, run_id))
    copy_rows(conn, "monitoring.profile", PROFILE_COLUMNS, rows)


def load_profiles(
    conn: Connection,
    monitor: str,
    windows: Iterable[Window] | Window,
    segment: str | None = None,
    model_version: str | None = None,
) -> list[Profile]:
    """Profiles of just these windows, or, given one Window, of all windows inside it; by window, version, segment."""
    rows = conn.execute(LOAD_PROFILES, _wanted(monitor, windows, segment, model_version)).mappings().all()
    columns_of = {id_: profiled_columns(load_layout(conn, id_)) for id_ in {row["layout_id"] for row in rows}}
    found = []
    for row in rows:
        columns = unflatten(columns_of[row["layout_id"]], parse_counts(row["counts"]), parse_sums(row["sums"]))
        found.append(Profile(*_named(row), row["n_rows"], columns))
    return found


def save_labelled(
    conn: Connection,
    monitor: str,
    window: Window,
    profiles: Sequence[LabelledProfile],
    data_version: str,
    run_id: str | None,
) -> None:
    """Replace the labelled profiles of a window by these: all versions, all segments."""
    conn.execute(FORGET_LABELLED, _window_key(monitor, window))
    for version in {p.model_version for p in profiles}:
        know_version(conn, monitor, version)
    rows = []
    for p in profiles:
        key = (monitor, p.model_version, p.window.start, p.window.end, p.segment, p.layout_id, p.batch)
        target = (None, None) if p.target is None else flatten((p.target,))
        shares = (p.outcome.n_predictions, p.outcome.n_labelled)
        rows.append((*key, *shares, *flatten_outcome(p.outcome), *target, data_version, run_id))
    copy_rows(conn, "monitoring.labelled_profile", LABELLED_COLUMNS, rows)


def load_labelled(
    conn: Connection,
    monitor: str,
    windows: Iterable[Window] | Window,
    segment: str | None = None,
    model_version: str | None = None,
) -> list[LabelledProfile]:
    """Labelled profiles, chosen and ordered as ``load_profiles`` does."""
    rows = conn.execute(LOAD_LABELLED, _wanted(monitor, windows, segment, model_version)).mappings().all()
    found = []
    for row in rows:
        layout = load_layout(conn, row["layout_id"])
        outcome = unflatten_outcome(layout, parse_counts(row["counts"]), parse_sums(row["sums"]))
        target = None
        if row["target_counts"] is not None:
            (target,) = unflatten(
                target_columns(layout), parse_counts(row["target_counts"]), parse_sums(row["target_sums"])
            )
        found.append(LabelledProfile(*_named(row), row["label_batch"], outcome, target))
    return found


def load_targets(
    conn: Connection, monitor: str, windows: Iterable[Window] | Window
) -> dict[tuple[Window, str, str], ColumnProfile]:
    """The outcome's own column, as far as labelled, by (window, version, segment); chosen as ``load_profiles`` does."""
    found = {}
    for row in conn.execute(LOAD_TARGETS, _wanted(monitor, windows, None, None)).mappings().all():
        if row["target_counts"] is not None:
            window, version, segment, layout_id = _named(row)
            of = target_columns(load_layout(conn, layout_id))
            (column,) = unflatten(of, parse_counts(row["target_counts"]), parse_sums(row["target_sums"]))
            found[window, version, segment] = column
    return found


def _window_key(monitor: str, window: Window) -> dict[str, Any]:
    return {"monitor": monitor, "start": window.start, "end": window.end}


def _wanted(
    monitor: str, windows: Iterable[Window] | Window, segment: str | None, model_version: str | None
) -> dict[str, Any]:
    chosen = {"monitor": monitor, "segment": segment, "model_version": model_version}
    if isinstance(windows, Window):
        return chosen | {"starts": None, "ends": None, "span_start": windows.start, "span_end": windows.end}
    exact = sorted(set(windows))
    starts, ends = [w.start for w in exact], [w.end for w in exact]
    span = {"span_start": min(starts, default="infinity"), "span_end": max(ends, default="-infinity")}
    return chosen | {"starts": starts, "ends": ends} | span


def _named(row: RowMapping) -> tuple[Window, str, str, str]:
    return Window(row["window_start"], row["window_end"]), row["model_version"], row["segment"], row["layout_id"]


# -- arrays ------------------------------------------------------------------------------------------------------------


def profiled_columns(layout: Layout) -> tuple[ColumnLayout, ...]:
    """The columns of a profile: all but the target, which is known only with the labels."""
    return tuple(column for column in layout.columns if column.role != "target")


def target_columns(layout: Layout) -> tuple[ColumnLayout, ...]:
    """The outcome's column, if the layout has one."""
    return tuple(column for column in layout.columns if column.role == "target")


def flatten(columns: Sequence[ColumnProfile]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    counts = [np.concatenate(([getattr(c, name) for name in SCALARS], c.counts)) for c in columns]
    sums = [getattr(c, name) for c in columns for name in MOMENTS]
    return np.concatenate(counts).astype(np.int64) if counts else np.zeros(0, np.int64), np.array(sums, np.float64)


def unflatten(
    layouts: Sequence[ColumnLayout], counts: NDArray[np.int64], sums: NDArray[np.float64]
) -> tuple[ColumnProfile, ...]:
    scalars, moments = counts.tolist(), sums.tolist()
    columns = []
    at = 0
    for position, layout in enumerate(layouts):
        bins = at + len(SCALARS)
        end = bins + layout.n_bins
        extremes = moments[position * len(MOMENTS) : (position + 1) * len(MOMENTS)]
        n, n_missing, n_nan, n_inf, n_zero = scalars[at:bins]
        columns.append(ColumnProfile(layout, n, n_missing, n_nan, n_inf, n_zero, counts[bins:end], *extremes))
        at = end
    return tuple(columns)


def flatten_outcome(outcome: OutcomeProfile) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    counts = [np.array([getattr(outcome, name) for name in OUTCOME_SCALARS], np.int64)]
    counts += [getattr(outcome, name).ravel() for name in OUTCOME_COUNTS]
    return np.concatenate(counts), np.concatenate([getattr(outcome, name).ravel() for name in OUTCOME_SUMS])


def unflatten_outcome(layout: Layout, counts: NDArray[np.int64], sums: NDArray[np.float64]) -> OutcomeProfile:
    shapes = OutcomeProfile.empty(layout.outcome)
    values: dict[str, Any] = dict(zip(OUTCOME_SCALARS, counts[: len(OUTCOME_SCALARS)].tolist(), strict=True))
    for names, flat in ((OUTCOME_COUNTS, counts[len(OUTCOME_SCALARS) :]), (OUTCOME_SUMS, sums)):
        at = 0
        for name in names:
            shape = getattr(shapes, name).shape
            size = int(np.prod(shape))
            values[name] = flat[at : at + size].reshape(shape)
            at += size
    return OutcomeProfile(layout=layout.outcome, **values)
