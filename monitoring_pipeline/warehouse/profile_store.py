"""The one store of profiles: windows, references and reference blocks, a row for each segment and part.

What the two arrays of a row mean is the part's own affair (``profiles.parts``).
Sums that views unfold are kept as arrays and travel as text: Postgres writes floats so that they read back exactly.
Their counts are kept as bytes where they fit. The other parts are packed (``packing``); older rows hold arrays of those
too.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from itertools import accumulate
from typing import Any, Literal

from sqlalchemy import Connection, RowMapping, text

from monitoring_pipeline.profiles.column import MOMENTS, SCALARS, ColumnProfile
from monitoring_pipeline.profiles.document import Reference
from monitoring_pipeline.profiles.layout import Layout
from monitoring_pipeline.profiles.parts import PARTS
from monitoring_pipeline.profiles.parts.columns import profiled_columns
from monitoring_pipeline.profiles.parts.part import Counts, Sums
from monitoring_pipeline.profiles.profile import EVERYTHING, LabelledProfile, Profile
from monitoring_pipeline.warehouse.copying import copy_rows, parse_counts, parse_sums
from monitoring_pipeline.warehouse.model_versions import know_version
from monitoring_pipeline.warehouse.packing import from_planes, pack, planes, unpack
from monitoring_pipeline.warehouse.partitions import ensure_months
from monitoring_pipeline.windows import Window

Scope = Literal["window", "reference", "block"]

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
  source_version, run_id)
values (:monitor, :model_version, :window_start, :window_end, :layout_id, :n_rows, :source_version, :run_id)
on conflict (monitor, model_version) do update set
  window_start = excluded.window_start, window_end = excluded.window_end,
  layout_id = excluded.layout_id, n_rows = excluded.n_rows,
  source_version = excluded.source_version, run_id = excluded.run_id, computed_at = clock_timestamp()
where (r.source_version, r.layout_id, r.n_rows, r.window_start, r.window_end) is distinct from
  (excluded.source_version, excluded.layout_id, excluded.n_rows, excluded.window_start, excluded.window_end)
""")
FORGET_REFERENCE = text("""
delete from monitoring.profile
where monitor = :monitor and model_version = :model_version and scope in ('reference', 'block')
""")
LOAD_REFERENCES = text("""
select p.model_version, p.window_start, p.window_end, p.segment, p.part, p.format, p.layout_id, p.n_rows, p.label_batch,
       cast(p.counts as text) as counts, cast(p.sums as text) as sums, p.low, p.high, p.packed
from monitoring.reference_profile r
join monitoring.profile p
  on p.monitor = r.monitor and p.window_start = r.window_start and p.window_end = r.window_end and p.scope = 'reference'
 and p.model_version = r.model_version
where r.monitor = :monitor and (:segment is null or p.segment = :segment) and p.part = any(:parts)
order by p.model_version, p.segment, p.part
""")
REFERENCE_SOURCES = text(
    "select model_version, source_version from monitoring.reference_profile where monitor = :monitor"
)
REFERENCE_VERSIONS = text("""
select model_version, source_version || '.' || layout_id as version from monitoring.reference_profile
where monitor = :monitor
""")
FORGET_WINDOWS = text("""
delete from monitoring.profile
where monitor = :monitor and scope = 'window' and part = any(:parts)
  and (window_start, window_end) in (select * from unnest(cast(:starts as timestamptz[]), cast(:ends as timestamptz[])))
  and window_start >= :span_start and window_start < :span_end
""")
LOAD_WINDOWS = text("""
select window_start, window_end, model_version, segment, part, format, layout_id, n_rows, label_batch,
       cast(counts as text) as counts, cast(sums as text) as sums, low, high, packed
from monitoring.profile
where monitor = :monitor and scope = :scope and part = any(:parts)
  and (:segment is null or segment = :segment) and (:model_version is null or model_version = :model_version)
  and (cast(:starts as timestamptz[]) is null
       or (window_start, window_end) in
          (select * from unnest(cast(:starts as timestamptz[]), cast(:ends as timestamptz[]))))
  and window_start >= :span_start and window_end <= :span_end and window_start <= :span_end
order by window_start, window_end, model_version, segment, part
""")
ROW = (
    *("monitor", "scope", "window_start", "window_end", "model_version", "segment", "part", "format", "layout_id"),
    *("n_rows", "n_labelled", "label_batch", "counts", "sums", "low", "high", "packed"),
)
UNFOLDED = frozenset({"columns"})  # parts whose arrays the views read; the others are packed
OF_ROWS = tuple(part.name for part in PARTS.values() if not part.of_labels)
OF_LABELS = tuple(part.name for part in PARTS.values() if part.of_labels)
ROTATED = "retrained-"
"""Begins the source version of references that a retraining made; those of the declared source are hexadecimal."""
EVER = Window(datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC))

# -- references --------------------------------------------------------------------------------------------------------


def save_reference(conn: Connection, reference: Reference, source_version: str, run_id: str | None) -> None:
    """Keep the reference of a model version, its layout and the profile of all its rows.

    The same once more changes nothing. Replaces the segments and blocks of the reference, which are saved afterwards.
    """
    know_version(conn, reference.monitor, reference.model_version)
    save_layout(conn, reference.layout)
    profile = reference.profile
    conn.execute(
        SAVE_REFERENCE,
        {
            "monitor": reference.monitor,
            "model_version": reference.model_version,
            "window_start": profile.window.start,
            "window_end": profile.window.end,
            "layout_id": reference.layout.layout_id,
            "n_rows": profile.n_rows,
            "source_version": source_version,
            "run_id": run_id,
        },
    )
    conn.execute(FORGET_REFERENCE, {"monitor": reference.monitor, "model_version": reference.model_version})
    save_parts(conn, reference.monitor, "reference", [profile])


def references(conn: Connection, monitor: str) -> dict[str, Reference]:
    """The reference of each model version of the monitor."""
    wanted = {"monitor": monitor, "segment": EVERYTHING, "parts": ["columns"]}
    found = {}
    for row in conn.execute(LOAD_REFERENCES, wanted).mappings().all():
        layout, version = load_layout(conn, row["layout_id"]), row["model_version"]
        found[version] = Reference(monitor, version, layout, Profile(*_named(row), row["n_rows"], _value(conn, row)))
    return found


def reference_sources(conn: Connection, monitor: str) -> dict[str, str]:
    """Version of the source that each reference was made from."""
    rows = conn.execute(REFERENCE_SOURCES, {"monitor": monitor})
    return {row.model_version: row.source_version for row in rows}


def is_rotated(source_version: str) -> bool:
    """Whether a reference was made for a retrained model version, rather than from the declared source."""
    return source_version.startswith(ROTATED)


def reference_versions(conn: Connection, monitor: str) -> dict[str, str]:
    """What tells one state of each model version's reference from another; stages record it as their input."""
    return {row.model_version: row.version for row in conn.execute(REFERENCE_VERSIONS, {"monitor": monitor})}


def load_blocks(
    conn: Connection, monitor: str, model_version: str | None = None
) -> list[tuple[Profile, LabelledProfile]]:
    """The blocks of a reference, in order of time, model version and segment; both halves carry all their parts."""
    rows = _load(conn, monitor, EVER, (*OF_ROWS, *OF_LABELS), None, model_version, "block")
    return [(_profile(conn, group), _labelled(conn, group)) for group in _grouped(rows)]


def load_block_outcomes(conn: Connection, monitor: str, model_version: str | None = None) -> list[LabelledProfile]:
    """The labelled halves of the same blocks with their outcomes alone, which verdicts on performance rest on."""
    rows = _load(conn, monitor, EVER, ("outcomes",), None, model_version, "block")
    return [_labelled(conn, group) for group in _grouped(rows)]


# -- layouts -----------------------------------------------------------------------------------------------------------


def save_layout(conn: Connection, layout: Layout) -> None:
    """Keep a layout; its id names its content, so that it never changes."""
    named = {"layout_id": layout.layout_id}
    if not conn.execute(KEEP_LAYOUT, named | {"layout": json.dumps(layout.to_json())}).scalar():
        return
    profiled = profiled_columns(layout)
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


def save_parts(conn: Connection, monitor: str, scope: Scope, profiles: Sequence[Profile | LabelledProfile]) -> None:
    """Append the parts of these profiles, in the order given. Their layouts must be known."""
    ensure_months(conn, "profile", [p.window for p in profiles])
    for version in {p.model_version for p in profiles}:
        know_version(conn, monitor, version)
    copy_rows(conn, "monitoring.profile", ROW, [row for p in profiles for row in _rows(monitor, scope, p)])


def save_profiles(
    conn: Connection, monitor: str, windows: Window | Sequence[Window], profiles: Sequence[Profile]
) -> None:
    """Replace the profiles of these windows by these: all versions, all segments, all parts that need no labels.

    Their layouts must be known (``save_reference`` or ``save_layout``).
    """
    _replace(conn, monitor, windows, OF_ROWS, profiles)


def save_labelled(
    conn: Connection, monitor: str, windows: Window | Sequence[Window], profiles: Sequence[LabelledProfile]
) -> None:
    """Replace the labelled profiles of these windows by these: all versions, segments and parts that need labels."""
    _replace(conn, monitor, windows, OF_LABELS, profiles)


def _replace(
    conn: Connection,
    monitor: str,
    windows: Window | Sequence[Window],
    parts: Sequence[str],
    profiles: Sequence[Profile | LabelledProfile],
) -> None:
    replaced = [windows] if isinstance(windows, Window) else list(windows)
    ensure_months(conn, "profile", replaced)
    conn.execute(FORGET_WINDOWS, _wanted(monitor, replaced, None, None) | {"parts": list(parts)})
    save_parts(conn, monitor, "window", profiles)


def load_profiles(
    conn: Connection,
    monitor: str,
    windows: Iterable[Window] | Window,
    segment: str | None = None,
    model_version: str | None = None,
    parts: Sequence[str] = (),
) -> list[Profile]:
    """Profiles of just these windows, or, given one Window, of all windows inside it; by window, version, segment.

    ``parts``: which others than ``columns`` to read as well.
    """
    rows = _load(conn, monitor, windows, ("columns", *parts), segment, model_version)
    return [_profile(conn, group) for group in _grouped(rows) if any(row["part"] == "columns" for row in group)]


def load_labelled(
    conn: Connection,
    monitor: str,
    windows: Iterable[Window] | Window,
    segment: str | None = None,
    model_version: str | None = None,
    parts: Sequence[str] = (),
) -> list[LabelledProfile]:
    """Labelled profiles, chosen and ordered as ``load_profiles`` does; ``parts`` besides outcomes and target."""
    rows = _load(conn, monitor, windows, ("outcomes", "target", *parts), segment, model_version)
    return [_labelled(conn, group) for group in _grouped(rows) if any(row["part"] == "outcomes" for row in group)]


def load_outcomes(conn: Connection, monitor: str, windows: Iterable[Window] | Window) -> list[LabelledProfile]:
    """Labelled profiles with their outcomes alone, which verdicts on performance rest on; chosen and ordered as
    ``load_profiles`` does."""
    rows = _load(conn, monitor, windows, ("outcomes",), None, None)
    return [_labelled(conn, group) for group in _grouped(rows)]


def load_targets(
    conn: Connection, monitor: str, windows: Iterable[Window] | Window
) -> dict[tuple[Window, str, str], ColumnProfile]:
    """The outcome's own column, as far as labelled, by (window, version, segment); chosen as ``load_profiles`` does."""
    rows = _load(conn, monitor, windows, ("target",), None, None)
    return {_named(row)[:3]: _value(conn, row) for row in rows}


def load_reference_rows(conn: Connection, monitor: str) -> list[tuple[Profile, LabelledProfile | None]]:
    """Every segment of every reference, all parts; the second is None where a reference has no outcomes stored."""
    wanted = {"monitor": monitor, "segment": None, "parts": [*OF_ROWS, *OF_LABELS]}
    groups = _grouped(conn.execute(LOAD_REFERENCES, wanted).mappings().all())
    return [
        (_profile(conn, g), _labelled(conn, g) if any(row["part"] == "outcomes" for row in g) else None) for g in groups
    ]


def load_reference_outcomes(conn: Connection, monitor: str, model_version: str) -> dict[str, LabelledProfile]:
    """The reference of a model version by segment, with its outcomes alone; nothing where none are stored."""
    wanted = {"monitor": monitor, "segment": None, "parts": ["outcomes"]}
    rows = conn.execute(LOAD_REFERENCES, wanted).mappings().all()
    groups = _grouped([row for row in rows if row["model_version"] == model_version])
    return {one.segment: one for one in (_labelled(conn, group) for group in groups)}


def load_reference_bins(conn: Connection, monitor: str) -> dict[str, LabelledProfile]:
    """The outcomes of all rows of each reference with part ``labelled_bins``, by model version."""
    wanted = {"monitor": monitor, "segment": EVERYTHING, "parts": ["outcomes", "labelled_bins"]}
    groups = _grouped(conn.execute(LOAD_REFERENCES, wanted).mappings().all())
    found = [_labelled(conn, g) for g in groups if any(row["part"] == "outcomes" for row in g)]
    return {one.model_version: one for one in found}


def _rows(monitor: str, scope: Scope, p: Profile | LabelledProfile) -> list[tuple[Any, ...]]:
    values: dict[str, Any]
    if isinstance(p, Profile):
        values, n_rows, n_labelled, batch = {"columns": p.columns}, p.n_rows, None, None
    else:
        values = {"outcomes": p.outcome} | ({} if p.target is None else {"target": p.target})
        n_rows, n_labelled, batch = p.outcome.n_predictions, p.outcome.n_labelled, p.batch
    key = (monitor, scope, p.window.start, p.window.end, p.model_version, p.segment)
    return [
        (
            *key, name, PARTS[name].format, p.layout_id, n_rows, n_labelled if name == "outcomes" else None, batch,
            *_stored(name, *PARTS[name].flatten(value)),
        )
        for name, value in (values | dict(p.parts)).items()
    ]  # fmt: skip


def _stored(part: str, counts: Counts, sums: Sums) -> tuple[Counts | Sums | bytes | None, ...]:
    """The columns ``counts``, ``sums``, ``low``, ``high`` and ``packed``."""
    if part not in UNFOLDED:
        return None, None, None, None, pack(counts, sums)
    split = planes(counts)
    return (counts, sums, None, None, None) if split is None else (None, sums, *split, None)


def _load(
    conn: Connection,
    monitor: str,
    windows: Iterable[Window] | Window,
    parts: Sequence[str],
    segment: str | None,
    model_version: str | None,
    scope: Scope = "window",
) -> Sequence[RowMapping]:
    wanted = _wanted(monitor, windows, segment, model_version) | {"parts": list(parts), "scope": scope}
    return conn.execute(LOAD_WINDOWS, wanted).mappings().all()


def _grouped(rows: Sequence[RowMapping]) -> list[list[RowMapping]]:
    """Rows of one (window, version, segment) together, in the order they come."""
    groups: dict[tuple[Window, str, str], list[RowMapping]] = {}
    for row in rows:
        groups.setdefault(_named(row)[:3], []).append(row)
    return list(groups.values())


def _value(conn: Connection, row: RowMapping) -> Any:
    part = PARTS[row["part"]]
    layout = load_layout(conn, row["layout_id"])
    if row["packed"] is not None:
        return part.read(layout, row["format"], *unpack(row["packed"]))
    return part.read(layout, row["format"], stored_counts(row), parse_sums(row["sums"]))


def stored_counts(row: RowMapping) -> Counts:
    """The counts of a row that is not packed, from its columns ``counts`` (as text), ``low`` and ``high``."""
    return parse_counts(row["counts"]) if row["low"] is None else from_planes(row["low"], row["high"])


def _profile(conn: Connection, group: Sequence[RowMapping]) -> Profile:
    values = {row["part"]: _value(conn, row) for row in group if row["part"] in OF_ROWS}
    columns = values.pop("columns")
    return Profile(*_named(group[0]), group[0]["n_rows"], columns, values)


def _labelled(conn: Connection, group: Sequence[RowMapping]) -> LabelledProfile:
    values = {row["part"]: _value(conn, row) for row in group if row["part"] in OF_LABELS}
    batch = next(row["label_batch"] for row in group if row["part"] == "outcomes")
    outcome, target = values.pop("outcomes"), values.pop("target", None)
    return LabelledProfile(*_named(group[0]), batch, outcome, target, values)


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
