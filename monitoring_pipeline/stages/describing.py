"""The numbers behind alarms, and which columns move together: read from stored profiles."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import sqrt

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection

from monitoring_pipeline.alerting.incidents.alarm import Alarm, Group
from monitoring_pipeline.alerting.incidents.grouping import CORRELATED
from monitoring_pipeline.alerting.incidents.sentence import Described
from monitoring_pipeline.monitors import Monitor
from monitoring_pipeline.profiles.column import ColumnProfile
from monitoring_pipeline.profiles.profile import EVERYTHING, LabelledProfile, Profile
from monitoring_pipeline.stages.drift_batches import start_of
from monitoring_pipeline.stages.versions import reference_version
from monitoring_pipeline.warehouse import profile_store
from monitoring_pipeline.windows import LENGTH, Window


@dataclass(frozen=True)
class Correlations:
    """|r| of numerical features in each reference: ``position`` of each name in ``r`` (p, p), by model version.

    ``versions``: version of each reference by model version, which says by which of them another version is judged.
    """

    monitor: Monitor
    versions: Mapping[str, str]
    position: Mapping[str, Mapping[str, int]]
    r: Mapping[str, NDArray[np.float64]]

    def between(self, version: str, a: str, b: str) -> float:
        """|r| of two columns in the reference this model version is judged by; 0 where it is not known."""
        if not self.versions:
            return 0.0
        of = reference_version(self.monitor, version, self.versions)
        at = self.position.get(of, {})
        return abs(float(self.r[of][at[a], at[b]])) if a in at and b in at else 0.0

    def of_alarm(self, alarm: Alarm, column: str) -> float:
        """Of the alarm's column and another, for ``grouped``."""
        return self.between(alarm.model_version, alarm.column, column)

    def quiet_peers(self, group: Group) -> list[str]:
        """Columns that are correlated with the incident's first one, and are not among its columns; three at most."""
        if not group.columns:
            return []
        first = group.columns[0]
        version = next(alarm.model_version for alarm in group.alarms if alarm.column == first)
        names = {name for at in self.position.values() for name in at} - set(group.columns)
        peers = sorted(((self.between(version, first, name), name) for name in names), key=lambda p: (-p[0], p[1]))
        return [name for r, name in peers[:3] if r >= CORRELATED]


def correlations(conn: Connection, monitor: Monitor, references: Sequence[Profile]) -> Correlations:
    """Of every reference that holds comoments; ``references`` with all their segments."""
    position, r = {}, {}
    for profile in references:
        part = profile.parts.get("comoments")
        if profile.segment != EVERYTHING or part is None or part.n < 2:
            continue
        layout = profile_store.load_layout(conn, profile.layout_id)
        mean = part.z / part.n
        covariance = part.zz / part.n - np.outer(mean, mean)
        sd = np.sqrt(np.maximum(np.diag(covariance), 1e-12))
        position[profile.model_version] = {name: i for i, (name, _, _) in enumerate(layout.scales[: len(mean)])}
        r[profile.model_version] = covariance / np.outer(sd, sd)
    return Correlations(monitor, profile_store.reference_versions(conn, monitor.name), position, r)


Namer = Callable[[Alarm, Sequence[str]], tuple[tuple[str, int], ...]]


def nameless(_alarm: Alarm, _categories: Sequence[str]) -> tuple[tuple[str, int], ...]:
    """New categories are not looked up."""
    return ()


def describe(
    conn: Connection,
    monitor: Monitor,
    alarms: Iterable[Alarm],
    references: Sequence[tuple[Profile, LabelledProfile | None]],
    namer: Namer = nameless,
) -> dict[Alarm, Described]:
    """The numbers of the alarms of drift beside those of the references; what cannot be found any more is left out.

    ``namer``: new categories of an alarm's column, given those of the reference.
    """
    wanted = [alarm for alarm in alarms if alarm.kind == "drift"]
    if not wanted:
        return {}
    windows = {alarm.number: _window(monitor, alarm.number) for alarm in wanted}
    profiles = _by_key(profile_store.load_profiles(conn, monitor.name, windows.values()))
    of_labels = [windows[alarm.number] for alarm in wanted if alarm.role == "target"]
    for key, target in (profile_store.load_targets(conn, monitor.name, of_labels) if of_labels else {}).items():
        if key in profiles:
            profiles[key] = _with_target(profiles[key], target)
    by_segment = {
        (p.model_version, p.segment): _with_target(p, None if q is None else q.target) for p, q in references
    }  # fmt: skip
    known = profile_store.reference_versions(conn, monitor.name)
    found = {}
    for alarm in wanted:
        now = profiles.get((windows[alarm.number], alarm.model_version, alarm.segment))
        if now is None or not known:
            continue
        was = by_segment.get((reference_version(monitor, alarm.model_version, known), alarm.segment))
        if was is not None:
            found[alarm] = _described(alarm, now, was)
        if alarm.moved == "unseen" and alarm.role != "target" and alarm in found:
            categories = now.column(alarm.column, alarm.role).layout.categories
            found[alarm] = replace(found[alarm], unseen=namer(alarm, categories))
    return found


def _with_target(profile: Profile, target: ColumnProfile | None) -> Profile:
    return profile if target is None else replace(profile, columns=(*profile.columns, target))


def _by_key(profiles: Iterable[Profile]) -> dict[tuple[Window, str, str], Profile]:
    return {(p.window, p.model_version, p.segment): p for p in profiles}


def _window(monitor: Monitor, number: int) -> Window:
    start = start_of(number, monitor.window)
    return Window(start, start + LENGTH[monitor.window])


def _described(alarm: Alarm, now: Profile, was: Profile) -> Described:
    try:
        a, b = now.column(alarm.column, alarm.role), was.column(alarm.column, alarm.role)
    except KeyError:
        return Described()
    if alarm.moved == "missing":
        return Described(share=_missing(a), share_before=_missing(b))
    if a.layout.kind == "categorical":
        names = (*a.layout.categories, None)
        name = alarm.moved.removeprefix("category ") if alarm.moved != "unseen" else None
        if name not in names:
            return Described()
        at = names.index(name)
        return Described(share=_share(a, [at]), share_before=_share(b, [at]))
    if alarm.moved == "outside":
        ends = [0, a.layout.n_bins - 1]
        return Described(share=_share(a, ends), share_before=_share(b, ends))
    return Described(mean=a.mean, mean_before=b.mean, sd=_sd(a), sd_before=_sd(b))


def _missing(column: ColumnProfile) -> float:
    return 1 - column.n_values / column.n if column.n else 0.0


def _share(column: ColumnProfile, bins: Sequence[int]) -> float:
    return float(column.counts[list(bins)].sum()) / max(column.n_values, 1)


def _sd(column: ColumnProfile) -> float:
    return sqrt(column.m2 / (column.n_values - 1)) if column.n_values > 1 else 0.0
