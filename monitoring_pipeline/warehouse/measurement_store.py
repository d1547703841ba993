"""Measurements with revisions: writing replaces exactly one family of one window.

What changed supersedes, what is equal stays untouched, and what is no longer there (a model version, a segment) is
superseded too; other families are not touched. Equal means equal values (floats to 1e-12 relative, the noise of summing
in threads); when and by which run they were computed does not count.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, Engine, text

from monitoring_pipeline.measurements import Family, Measurement, MetricKeys, metric_keys, same_values
from monitoring_pipeline.warehouse.contents import Contents
from monitoring_pipeline.warehouse.copying import (
    Literal,
    array_literal,
    copy_rows,
    like_first,
    parse_counts,
    parse_sums,
    text_array_literal,
    unless,
)
from monitoring_pipeline.warehouse.model_versions import know_version
from monitoring_pipeline.warehouse.partitions import ensure_months
from monitoring_pipeline.windows import Window

KEYS = Contents(
    "monitoring.metric_keys",
    "metric_keys_id",
    {"family": "text", "column_names": "text[]", "roles": "text[]", "metrics": "text[]"},
)
REFERENCE_VALUES = Contents("monitoring.reference_values", "reference_values_id", {"reference_values": "float8[]"})
COMPUTED = text("""
insert into monitoring.computation (monitor, window_start, window_end, stage, data_version, label_batch, config_version,
  code_version, run_id)
select :monitor, n.window_start, n.window_end, :stage, n.data_version, n.label_batch, n.config_version, n.code_version,
       n.run_id
from unnest(cast(:window_start as timestamptz[]), cast(:window_end as timestamptz[]), cast(:data_version as text[]),
            cast(:label_batch as bigint[]), cast(:config_version as text[]), cast(:code_version as text[]),
            cast(:run_id as text[]))
  n (window_start, window_end, data_version, label_batch, config_version, code_version, run_id)
returning window_start, computation_id, computed_at
""")
SUPERSEDE = text("""
update monitoring.measurement m set superseded_at = greatest(m.as_known_at, n.at)
from unnest(cast(:window_start as timestamptz[]), cast(:ids as bigint[]), cast(:at as timestamptz[]))
  n (window_start, measurement_id, at)
where m.monitor = :monitor and m.window_start = n.window_start and m.measurement_id = n.measurement_id
  and m.window_start >= :first and m.window_start <= :last
""")
STANDING = text("""
select m.measurement_id, m.window_start, m.window_end, m.family, m.model_version, m.baseline, m.segment,
       m.n_predictions, m.n_labelled, m.metric_keys_id, array_replace(m.value, null, 0)::text as value,
       array_replace(m.n, null, m.n[1])::text as n,
       array_replace(m.n_reference, null, m.n_reference[1])::text as n_reference,
       array_replace(m.p_value, null, 1)::text as p_value, m.effect::text, m.error_bound::text,
       m.ci_low::text, m.ci_high::text,
       coalesce(r.reference_values, m.reference_value)::text as reference_value, m.detail
from monitoring.measurement m
left join monitoring.reference_values r using (reference_values_id)
where m.monitor = :monitor and m.superseded_at is null
  and m.family = any (cast(:families as text[])) and m.window_start = any (cast(:starts as timestamptz[]))
  and m.window_start >= :first and m.window_start <= :last
order by m.window_start, m.window_end, m.family, m.model_version, m.baseline, m.segment
""")
MEASURED_WINDOWS = text("""
select distinct window_start, window_end from monitoring.measurement
where monitor = :monitor and superseded_at is null
  and (cast(:first as timestamptz) is null or window_start >= :first)
  and (cast(:last as timestamptz) is null or window_start <= :last)
order by window_start, window_end
""")
LOAD_KEYS = text("""
select metric_keys_id, family, column_names, roles, metrics from monitoring.metric_keys
where metric_keys_id = any (cast(:ids as integer[]))
""")
COLUMNS = (
    *("monitor", "window_start", "window_end", "family", "model_version", "baseline", "segment", "metric_keys_id"),
    *("computation_id", "n_predictions", "n_labelled", "value", "n", "n_reference", "p_value", "effect", "error_bound"),
    *("ci_low", "ci_high", "detail", "reference_values_id", "as_known_at"),
)
STORED_FLOATS = ("p_value", "effect", "error_bound", "low", "high")
FLOATS = (*STORED_FLOATS, "reference_value")
COLUMN_OF = {"low": "ci_low", "high": "ci_high"}
HAS: dict[str, frozenset[str]] = {
    "drift": frozenset({"p_value", "effect", "error_bound"}),
    "quality": frozenset({"reference_value"}),
    "realized": frozenset({"low", "high", "reference_value"}),
    "estimated": frozenset({"low", "high", "reference_value"}),
    "shadow": frozenset({"low", "high", "reference_value"}),
    "fairness": frozenset({"low", "high"}),
}

Place = tuple[str, str, str]  # model version, baseline, segment


@dataclass(frozen=True)
class Provenance:
    """What a stage computed a window from and by."""

    data_version: str
    label_batch: int | None
    config_version: str
    code_version: str
    run_id: str | None


@dataclass(frozen=True)
class Written:
    """``changed``: measurements added or superseded without successor. ``computation_id``: None if nothing changed."""

    changed: int
    computation_id: int | None


@dataclass(frozen=True)
class Kept:
    """A measurement as it stands in the warehouse."""

    measurement_id: int
    window: Window
    measurement: Measurement


@dataclass(frozen=True)
class Arriving:
    """Everything a stage measured of one family of a window: all model versions, baselines and segments."""

    window: Window
    measurements: Sequence[Measurement]
    provenance: Provenance


@dataclass(frozen=True)
class _Change:
    """How what arrives differs from what stands: rows to write and to supersede; ``n`` measurements are concerned."""

    window: Window
    fresh: Sequence[Measurement]
    replaced: Sequence[Kept]
    n: int


def replace_families(
    conn: Connection, monitor: str, stage: str, family: Family, arriving: Sequence[Arriving]
) -> list[Written]:
    """Makes the measurements of each of these windows, named once each, the family's of that window.

    Raises ValueError for measurements of another family, two of the same place or an interval that ends before it
    begins, and SQLAlchemy's IntegrityError for values that no measurement has.
    """
    standing: dict[Window, dict[Place, Kept]] = defaultdict(dict)
    for kept in current(conn, monitor, [one.window for one in arriving], [family]):
        standing[kept.window][_place(kept.measurement)] = kept
    changes = [_change(one, family, standing[one.window]) for one in arriving]
    made = _computed(conn, monitor, stage, [one for one, c in zip(arriving, changes, strict=True) if c.n])
    if made:
        ensure_months(conn, "measurement", [change.window for change in changes if change.n])
        _supersede(conn, monitor, changes, made)
        _insert(conn, monitor, changes, made)
    return [Written(c.n, made[c.window.start].computation_id if c.n else None) for c in changes]


def replace_family(
    conn: Connection,
    monitor: str,
    window: Window,
    stage: str,
    family: Family,
    measurements: Sequence[Measurement],
    provenance: Provenance,
) -> Written:
    """``replace_families`` of one window."""
    return replace_families(conn, monitor, stage, family, [Arriving(window, measurements, provenance)])[0]


def current(conn: Connection, monitor: str, windows: Iterable[Window], families: Sequence[str]) -> list[Kept]:
    """What stands of these families, of windows that start where one of ``windows`` does, in order."""
    starts = sorted({window.start for window in windows})
    if not starts:
        return []
    wanted = {"monitor": monitor, "families": list(families), "starts": starts, "first": starts[0], "last": starts[-1]}
    rows = conn.execute(STANDING, wanted).all()
    keys = keys_by_id(conn, {row.metric_keys_id for row in rows})
    return [_kept(row, keys[row.metric_keys_id]) for row in rows]


def measured_windows(conn: Connection, monitor: str, first: datetime | None, last: datetime | None) -> list[Window]:
    """Windows that hold measurements and start in [first, last], in order; None: no bound."""
    rows = conn.execute(MEASURED_WINDOWS, {"monitor": monitor, "first": first, "last": last})
    return [Window(start, end) for start, end in rows]


def _change(one: Arriving, family: Family, standing: Mapping[Place, Kept]) -> _Change:
    arriving = _by_place(family, one.measurements)
    fresh = [
        m for place, m in arriving.items() if place not in standing or not same_values(standing[place].measurement, m)
    ]
    gone = [kept for place, kept in standing.items() if place not in arriving]
    replaced = [standing[_place(m)] for m in fresh if _place(m) in standing]
    return _Change(one.window, fresh, [*replaced, *gone], len(fresh) + len(gone))


def _by_place(family: Family, measurements: Sequence[Measurement]) -> dict[Place, Measurement]:
    found: dict[Place, Measurement] = {}
    for m in measurements:
        place = _place(m)
        if m.family != family:
            raise ValueError(f"a measurement of the family {m.family!r} cannot replace one of {family!r}")
        if place in found:
            raise ValueError(f"two measurements of model version, baseline and segment {place}")
        if m.low is not None and m.high is not None and np.any(m.low > m.high):
            raise ValueError(f"{place}: an interval ends before it begins")
        found[place] = m
    return found


def _place(m: Measurement) -> Place:
    return m.model_version, m.baseline, m.segment


def _computed(conn: Connection, monitor: str, stage: str, arriving: Sequence[Arriving]) -> dict[datetime, Any]:
    """Notes the computations of these windows; number and moment of each by window start."""
    if not arriving:
        return {}
    rows: dict[str, list[Any]] = {
        "window_start": [one.window.start for one in arriving],
        "window_end": [one.window.end for one in arriving],
    }
    for name in ("data_version", "label_batch", "config_version", "code_version", "run_id"):
        rows[name] = [getattr(one.provenance, name) for one in arriving]
    return {row.window_start: row for row in conn.execute(COMPUTED, {"monitor": monitor, "stage": stage} | rows)}


def _supersede(conn: Connection, monitor: str, changes: Sequence[_Change], made: Mapping[datetime, Any]) -> None:
    replaced = [(c.window.start, kept.measurement_id) for c in changes for kept in c.replaced]
    if not replaced:
        return
    starts = [start for start, _ in replaced]
    rows = {
        "window_start": starts,
        "ids": [measurement_id for _, measurement_id in replaced],
        "at": [made[start].computed_at for start in starts],
    }
    conn.execute(SUPERSEDE, {"monitor": monitor, "first": min(starts), "last": max(starts)} | rows)


def _insert(conn: Connection, monitor: str, changes: Sequence[_Change], made: Mapping[datetime, Any]) -> None:
    # The large ones first: smaller ones fill what these leave of their pages.
    fresh = sorted(((c.window, m) for c in changes for m in c.fresh), key=lambda one: -len(one[1].keys))
    for version in {m.model_version for _, m in fresh}:
        know_version(conn, monitor, version)
    ids = {keys: keys_id(conn, keys) for keys in {m.keys for _, m in fresh}}
    rows = [
        (
            *(monitor, w.start, w.end, m.family, m.model_version, m.baseline, m.segment, ids[m.keys]),
            *(made[w.start].computation_id, m.n_predictions, m.n_labelled, _stored(m, "value")),
            *(_once(m.n), _once(m.n_reference), *(_stored(m, name) for name in STORED_FLOATS)),
            text_array_literal(m.detail) if m.detail and any(m.detail) else None,
            *(_reference_values_id(conn, m.reference_value), made[w.start].computed_at),
        )
        for w, m in fresh
    ]
    copy_rows(conn, "monitoring.measurement", COLUMNS, rows)


def _kept(row: Any, keys: MetricKeys) -> Kept:
    measurement = Measurement(
        family=row.family,
        model_version=row.model_version,
        baseline=row.baseline,
        segment=row.segment,
        keys=keys,
        value=parse_sums(row.value),
        n=_repeated(row.n, len(keys)),
        n_reference=None if row.n_reference is None else _repeated(row.n_reference, len(keys)),
        **{name: _floats(row, name, len(keys)) for name in FLOATS},
        detail=_details(row, keys),
        n_predictions=row.n_predictions,
        n_labelled=row.n_labelled,
    )
    return Kept(row.measurement_id, Window(row.window_start, row.window_end), measurement)


def _details(row: Any, keys: MetricKeys) -> tuple[str | None, ...] | None:
    """Null stands for details that are all None; only quality has any."""
    if row.detail is not None:
        return tuple(row.detail)
    return (None,) * len(keys) if row.family == "quality" else None


USUAL = {"value": 0.0, "p_value": 1.0}


def _stored(m: Measurement, name: str) -> NDArray[np.float64] | Literal | None:
    """An array as it is kept: null where it is undefined throughout, its elements null where they are the usual ones.

    Many shares are zero and many tests of clean columns give 1; an interval may be its value.
    """
    values: NDArray[np.float64] | None = getattr(m, name)
    if values is None or (name != "value" and np.isnan(values).all()):
        return None
    if name in ("low", "high"):
        return unless(values, m.value)
    return unless(values, USUAL[name]) if name in USUAL else values


def _once(counts: NDArray[np.int64] | None) -> NDArray[np.int64] | Literal | None:
    """Counts that are all the same are kept as one, others like the first as null: most are about the same rows."""
    if counts is None or not len(counts):
        return counts
    return like_first(list(map(str, counts.tolist()))) if (counts != counts[0]).any() else counts[:1]


def _repeated(literal: str, size: int) -> NDArray[np.int64]:
    """Inverse of ``_once``."""
    counts = parse_counts(literal)
    return counts if len(counts) == size else np.full(size, counts[0])


def _floats(row: Any, name: str, size: int) -> NDArray[np.float64] | None:
    """Inverse of ``_stored``: NaN throughout where the family has such values."""
    literal = getattr(row, COLUMN_OF.get(name, name))
    if literal is not None and "NULL" in literal:  # only in an interval: the value
        shown = zip(literal[1:-1].split(","), row.value[1:-1].split(","), strict=True)
        return np.array([float(value if bound == "NULL" else bound) for bound, value in shown])
    if literal is not None:
        return parse_sums(literal)
    return np.full(size, np.nan) if name in HAS[row.family] else None


# -- keys ------------------------------------------------------------------------------------------------------------

# By engine: the keys of each number. Content never changes, so what was found stays true.
_known: WeakKeyDictionary[Engine, dict[int, MetricKeys]] = WeakKeyDictionary()


def keys_id(conn: Connection, keys: MetricKeys) -> int:
    """Number of this set of keys, which is added when it is new."""

    def content() -> dict[str, Any]:
        names = {"column_names": list(keys.columns), "roles": list(keys.roles), "metrics": list(keys.metrics)}
        return {"family": keys.family, **names}

    return KEYS.number(conn, keys.digest, content)


def _reference_values_id(conn: Connection, values: NDArray[np.float64] | None) -> int | None:
    """The same for every window of a reference, and kept once; None where all are undefined."""
    if values is None or np.isnan(values).all():
        return None
    digest = hashlib.sha256(values.tobytes()).hexdigest()[:16]
    return REFERENCE_VALUES.number(conn, digest, lambda: {"reference_values": array_literal(values)})


def keys_by_id(conn: Connection, ids: set[int]) -> Mapping[int, MetricKeys]:
    """The keys with these numbers, read once a process."""
    known = _known.setdefault(conn.engine, {})
    unknown = [i for i in ids if i not in known]
    found = {i: known[i] for i in ids if i in known}
    if unknown:
        for row in conn.execute(LOAD_KEYS, {"ids": unknown}):
            found[row.metric_keys_id] = metric_keys(
                row.family, tuple(row.column_names), tuple(row.roles), tuple(row.metrics)
            )
    known.update(found)  # a number is never given twice, so one of a transaction rolled back does no harm
    return found
