"""What has to be done, and why: asked of Postgres, never remembered. One statement for all monitors together."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection

from monitoring_pipeline.errors import UserError, WarehouseError
from monitoring_pipeline.lake.sources.files import list_files, list_labels, list_predictions
from monitoring_pipeline.monitors import Monitor, Window
from monitoring_pipeline.records import MAX_ATTEMPTS, FileVersion
from monitoring_pipeline.stages.catalogue import STAGES
from monitoring_pipeline.stages.context import StageContext
from monitoring_pipeline.stages.ingestion import index
from monitoring_pipeline.warehouse import fleet, ledger
from monitoring_pipeline.windows import LENGTH, partition_range

MOST_NEW_FILES = 500  # of a monitor that a tick looks at: where there are more, a run had better do it
LOOKING_SECONDS = 20.0
"""How long a tick goes on looking at files; the monitors it did not come to are the first of the next tick."""
GRACE = timedelta(minutes=10)
"""A window that has ended is taken in after this long: the last of its rows may still be on their way."""
RANGE_WINDOWS = {"day": 30, "hour": 168}
"""Most windows of one run of a monitor's history."""
OWNERS_CHOICE = frozenset({"config", "policy"})
"""A changed declaration makes every window of the past differ; whether to go back is the owner's choice."""


MONITORS_AT_ONCE = 10
"""Monitors whose stale windows are asked for in one statement."""

Stale = dict[str, dict[str, list[Window]]]
"""By monitor: windows to materialize again, in order, by their first stale stage: it and those after it run again."""


@dataclass(frozen=True)
class Looked:
    """How looking at the sources went. ``errors``: what is wrong with a source, by monitor.

    ``by_monitor``: what was found of each monitor that was come to. ``next_monitor``: the first that was not.
    """

    by_monitor: dict[str, int] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)
    next_monitor: str | None = None


def stale(fleet_of: Sequence[StageContext], fresh: Mapping[str, str]) -> tuple[Stale, dict[str, str]]:
    """What is stale, and the marks of the monitors of which nothing is. ``fresh``: those marks, of the last time.

    A monitor whose ledger is as it was when nothing was stale is not looked at again; nor, this time, are those that
    ``LOOKING_SECONDS`` do not suffice for. One whose reference is not profiled is left out: without it nothing after
    ingestion can be computed.
    """
    if not fleet_of:
        return {}, dict(fresh)
    names = [stages.monitor.name for stages in fleet_of]
    warehouse = fleet_of[0].warehouse
    marks, ready = warehouse.run(lambda conn: (fleet.marks(conn, names), fleet.with_reference(conn, names)))
    changed = [s for s in fleet_of if s.monitor.name in ready and marks[s.monitor.name] != fresh.get(s.monitor.name)]
    deadline = time.monotonic() + LOOKING_SECONDS
    found: Stale = {}
    for at in range(0, len(changed), MONITORS_AT_ONCE):
        if time.monotonic() > deadline:
            break
        found |= _stale(changed[at : at + MONITORS_AT_ONCE])
    still_fresh = {name: mark for name, mark in marks.items() if name not in found and fresh.get(name) == mark}
    now_fresh = {name: marks[name] for name, stages in found.items() if not any(stages.values())}
    return {name: stages for name, stages in found.items() if name not in now_fresh}, still_fresh | now_fresh


def _stale(fleet_of: Sequence[StageContext]) -> Stale:
    names = [stages.monitor.name for stages in fleet_of]

    def read(conn: Connection) -> tuple:
        waiting, tried = fleet.waiting_windows(conn, names), fleet.tried_windows(conn, names)
        return fleet.stale_windows(conn, names), waiting, tried

    found, waiting, tried = fleet_of[0].warehouse.run(read)
    return {
        name: _by_first_stage(found[name], _gaps(stages.monitor, waiting, tried[name]))
        for name, stages in zip(names, fleet_of, strict=True)
    }


def _by_first_stage(found: Sequence[fleet.StaleWindow], gaps: Sequence[Window]) -> dict[str, list[Window]]:
    first: dict[Window, str] = dict.fromkeys(gaps, STAGES[0].name)
    order = {stage.name: i for i, stage in enumerate(STAGES)}
    for one in found:
        if one.reason not in OWNERS_CHOICE and order[one.stage] < order.get(first.get(one.window, ""), len(order)):
            first[one.window] = one.stage
    return {stage.name: sorted(w for w, name in first.items() if name == stage.name) for stage in STAGES}


def _gaps(monitor: Monitor, waiting: Mapping[str, set[datetime]], tried: Collection[datetime]) -> list[Window]:
    """Windows with rows between windows taken in that nobody has tried: the daemon was down when they were newest."""
    if not tried:
        return []
    first, last = min(tried), max(tried)
    return [Window.at(start, monitor.window) for start in waiting[monitor.name] if first < start < last]


def without_reference(fleet_of: Sequence[StageContext]) -> list[str]:
    """Names of the monitors whose reference is not profiled yet, in the order given."""
    if not fleet_of:
        return []
    names = [stages.monitor.name for stages in fleet_of]
    ready = fleet_of[0].warehouse.run(lambda conn: fleet.with_reference(conn, names))
    return [name for name in names if name not in ready]


def new_windows(
    fleet_of: Sequence[StageContext],
    unseen: Collection[str] = (),
    again: Collection[str] = (),
    now: datetime | None = None,
) -> dict[str, tuple[Window, Window]]:
    """By monitor: the range to take in next, first and last window; the newest range comes first.

    The window that ended last is asked for with or without rows, so that a service that has fallen silent is seen.
    Older ones come as far back as ``start`` where the source holds rows, at most ``RANGE_WINDOWS`` at once. ``unseen``:
    monitors whose source was never looked at; theirs is a range of the calendar, and its run looks. ``again``: monitors
    whose newest window is asked for though it was taken in.
    """
    if not fleet_of:
        return {}
    names = [stages.monitor.name for stages in fleet_of]

    def read(conn: Connection) -> tuple:
        return fleet.waiting_windows(conn, names), fleet.tried_windows(conn, names)

    waiting, tried = fleet_of[0].warehouse.run(read)
    found = {}
    for monitor in (stages.monitor for stages in fleet_of):
        ended = _ended(monitor, now or datetime.now(UTC))
        if ended is None:
            continue
        oldest, newest = ended
        taken = tried[monitor.name]
        due = {start for start in waiting[monitor.name] if oldest.start <= start <= newest.start}
        due |= {newest.start} if newest.start not in taken or monitor.name in again else set()
        if due and not taken and monitor.name in unseen:
            due.add(max(oldest.start, _most_back(monitor, newest.start)))
        if due:
            found[monitor.name] = _newest_range(monitor, due, taken)
    return found


def _ended(monitor: Monitor, now: datetime) -> tuple[Window, Window] | None:
    """The first window of the monitor and the last that has ended; None when none has."""
    try:
        return partition_range(monitor.start, monitor.end, monitor.window, now - GRACE)
    except ValueError:
        return None


def _newest_range(monitor: Monitor, due: Collection[datetime], tried: Collection[datetime]) -> tuple[Window, Window]:
    """From the newest window that is due back to the oldest that fits into one run, or to one tried before.

    Windows in between without rows are taken in as empty.
    """
    length, last = LENGTH[monitor.window], max(due)
    earliest = min(start for start in due if start >= _most_back(monitor, last))
    first = last
    while first > earliest and first - length not in tried:
        first -= length
    return Window(first, first + length), Window(last, last + length)


def _most_back(monitor: Monitor, last: datetime) -> datetime:
    return last - LENGTH[monitor.window] * (RANGE_WINDOWS[monitor.window] - 1)


def unreadable_files(stages: StageContext) -> dict[str, str]:
    """Files of predictions and labels that lie there and cannot be read, by path, with the reason."""
    monitor = stages.monitor
    found = stages.warehouse.run(lambda conn: ledger.unreadable_files(conn, monitor.name))
    if not found:
        return {}
    there = list_files(monitor.predictions, monitor.base_dir)
    if monitor.ground_truth is not None:
        there |= list_files(monitor.ground_truth, monitor.base_dir)
    return {path: error for path, error in found.items() if path in there}


def look_at_new_files(
    fleet_of: Sequence[StageContext], begin_with: str | None = None, first_look: bool = False
) -> Looked:
    """Notes which windows new and changed files of the prediction logs touch; never of a table.

    Looks at monitors of which files are known; with ``first_look`` at the others. ``by_monitor`` is the number of new
    and changed files; a monitor with more than ``MOST_NEW_FILES`` of them is left to its next run.
    """
    if not fleet_of:
        return Looked()
    names = [stages.monitor.name for stages in fleet_of]
    known = fleet_of[0].warehouse.run(lambda conn: fleet.known_files(conn, names, "predictions"))

    def look(stages: StageContext) -> int:
        changed = _n_changed(list_predictions(stages.monitor), known.get(stages.monitor.name, {}))
        if 0 < changed <= MOST_NEW_FILES:
            index(stages)
        return changed

    asked = [s for s in fleet_of if s.monitor.predictions.url is None and (s.monitor.name in known) != first_look]
    return _in_turn(asked, look, begin_with)


def new_labels(fleet_of: Sequence[StageContext], begin_with: str | None = None) -> tuple[dict[str, Window], Looked]:
    """Newest window of each monitor that has label files nobody has taken in: its run takes them. Opens no file.

    Files that were seen and are in no batch yet (the run was killed, or failed less than ``MAX_ATTEMPTS`` times) count
    too.
    """
    of_files = [s for s in fleet_of if s.monitor.ground_truth is not None and s.monitor.ground_truth.url is None]
    if not of_files:
        return {}, Looked()
    names = [stages.monitor.name for stages in of_files]

    def read(conn: Connection) -> tuple:
        return fleet.known_files(conn, names, "ground_truth"), fleet.label_intakes(conn, names)

    known, intakes = of_files[0].warehouse.run(read)
    ready = [stages for stages in of_files if stages.monitor.name in intakes]
    looked = _in_turn(ready, lambda s: _n_changed(list_labels(s.monitor), known[s.monitor.name]), begin_with)
    found = {}
    for name, intake in intakes.items():
        left = intake.n_unread if intake.attempts < MAX_ATTEMPTS else 0
        if looked.by_monitor.get(name, 0) or left:
            found[name] = intake.newest
    return found, looked


def _n_changed(listed: Mapping[str, FileVersion], known: Mapping[str, FileVersion]) -> int:
    return sum(known.get(path) != version for path, version in listed.items())


def _in_turn(fleet_of: Sequence[StageContext], look: Callable[[StageContext], int], begin_with: str | None) -> Looked:
    """``look`` at each monitor's source, beginning with the one named, until ``LOOKING_SECONDS`` have passed.

    A source that cannot be listed is reported and the others go on.
    """
    deadline = time.monotonic() + LOOKING_SECONDS
    at = next((i for i, stages in enumerate(fleet_of) if stages.monitor.name == begin_with), 0)
    looked = Looked()
    for stages in (*fleet_of[at:], *fleet_of[:at]):
        name = stages.monitor.name
        if time.monotonic() > deadline:
            return Looked(looked.by_monitor, looked.errors, name)
        try:
            looked.by_monitor[name] = look(stages)
        except WarehouseError:
            raise
        except UserError as error:
            looked.errors[name] = str(error)
    return looked
