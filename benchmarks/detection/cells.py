"""What is run: null streams and faults, judged by every method on the same rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from benchmarks.detection import peers
from benchmarks.detection.faults import CASES, ONSET, Case
from benchmarks.detection.judged import alarmed, batches_of, incidents, judged, plan_for
from benchmarks.detection.streams import CATEGORIES, Floats, Setting, Stream, make
from monitoring_pipeline.monitors.alarms import DriftAlarms, Persistence

CHOOSING, CONFIRMING = 4_000, 9_000  # first seeds; constants were chosen on the first, the tables are of the second
SIZES = (200, 1_000, 5_000, 50_000, 1_000_000)
Flags = NDArray[np.bool_]
Judge = Callable[[Stream], Flags]
PEERS: dict[str, Judge] = {"Evidently": peers.evidently, "NannyML": peers.nannyml, "GATE": peers.gate}
FOLLOWED = 14  # windows in which a fault may still be found, for the delay


@dataclass(frozen=True)
class Cell:
    """A null stream: its kind and size, ``timed``: whether the reference is known by blocks, ``segments``, and whether
    the peers judge it too."""

    kind: str
    setting: Setting
    timed: bool = True
    segments: int = 0
    peers: bool = False

    @property
    def what(self) -> str:
        """In words."""
        s = self.setting
        words = [] if (s.m, s.days) == (30_000, 30) else [f"reference {s.m // 1000}k in {s.days} days"]
        words += [] if self.timed else ["reference without times"]
        words += ["hourly"] if s.per_day > 1 else []
        words += [f"{s.columns} columns"] if s.columns != 25 else []
        words += [f"{self.segments} segments"] if self.segments else []
        return ", ".join(words) or "reference 30k in 30 days"


@dataclass
class Tally:
    """False incidents and alarmed column-windows a month, by method."""

    months: float = 0.0
    incidents: dict[str, float] = field(default_factory=dict)
    windows: dict[str, float] = field(default_factory=dict)

    def add(self, name: str, flags: Flags) -> None:
        """Counts one stream's flags."""
        self.incidents[name] = self.incidents.get(name, 0) + incidents(flags)
        self.windows[name] = self.windows.get(name, 0) + int(flags.sum())


@dataclass(frozen=True)
class Found:
    """Of one case and kind, by method: share found ``within`` the windows that count, and median delay in windows
    (infinite: not found in half of the streams)."""

    case: Case
    kind: str
    power: dict[str, float]
    delay: dict[str, float]


def null_cells(*, quick: bool) -> list[Cell]:
    """All that a monitor must stay quiet on."""
    kinds = ("iid", "day", "ar", "dow", "season", "heavy")
    if quick:
        main = [Cell(kind, Setting(n=n), peers=True) for kind in kinds for n in (200, 5_000)]
        return [*main, Cell("iid", Setting(), segments=10), Cell("ar", Setting(), timed=False)]
    main = [Cell(kind, Setting(n=n), peers=True) for kind in (*kinds, "day05", "mixed") for n in SIZES]
    references = [
        Cell(kind, Setting(m=m, days=days, n=n))
        for m, days in ((5_000, 10), (100_000, 120)) for kind in kinds for n in (200, 5_000, 1_000_000)
    ]  # fmt: skip
    untimed = [Cell(kind, Setting(n=n), timed=False) for kind in kinds for n in (200, 5_000, 1_000_000)]
    hourly = Setting(m=50_000, days=21, windows=720, per_day=24)
    hours = [
        Cell(kind, replace(hourly, n=n), timed=timed)
        for kind in ("iid", "hours") for n in (200, 5_000, 1_000_000) for timed in (True, False)
    ]  # fmt: skip
    wide = Setting(numerical=320, categories=CATEGORIES * 16)
    large = [Cell(kind, wide) for kind in kinds] + [Cell(kind, Setting(), segments=10) for kind in kinds]
    return main + references + untimed + hours + large + [Cell(k, Setting(n=20_000), segments=50) for k in kinds]


def null(cell: Cell, repeats: int, seed: int) -> Tally:
    """Judges ``repeats`` streams, fewer where one of them is large."""
    random, tally, plan = np.random.default_rng(seed), Tally(), plan_for(cell.setting.per_day)
    persistent = plan_for(cell.setting.per_day, DriftAlarms(persistence=Persistence()))
    size = cell.setting.windows * cell.setting.columns * (1 + cell.segments) / (90 * 25)
    for _ in range(max(int(repeats / size**0.75), 2)):
        stream = make(cell.kind, cell.setting, random)
        flags = alarmed(stream, plan, timed=cell.timed, segments=cell.segments, random=random)
        tally.add("ours", flags)
        if cell.kind == "heavy" and not cell.segments:
            tally.add("2 of 3", alarmed(stream, persistent, timed=cell.timed))
        for name, judge in PEERS.items() if cell.peers else ():
            tally.add(name, judge(stream))
        tally.months += cell.setting.months
    for counted in (tally.incidents, tally.windows):
        counted.update({name: value / tally.months for name, value in counted.items()})
    return tally


def rates(kind: str, repeats: int, seed: int) -> dict[str, float]:
    """Our p-value that null streams reach as often as each peer alarms falsely; 0 where it does not."""
    random, p, flagged = np.random.default_rng(seed), [], dict.fromkeys(PEERS, 0.0)
    for _ in range(repeats):
        stream = make(kind, Setting(), random)
        p.append(_unfloored(stream))
        for name, judge in PEERS.items():
            flagged[name] += judge(stream).mean() / repeats
    every = np.sort(np.concatenate(p), axis=None)
    many = {name: int(share * len(every)) for name, share in flagged.items()}
    return {name: float(every[n - 1]) if n else 0.0 for name, n in many.items()}


def _unfloored(stream: Stream) -> Floats:
    """(T, C) p-values against the reference without any effect floor."""
    plan = plan_for(1, DriftAlarms(shift=0, share=0, outside=0, season=False))
    batches, order = batches_of(stream)
    return judged(batches, plan, stream.setting.blocks).p_value[np.argsort(order)].T


def power(case: Case, kind: str, repeats: int, seed: int, at: dict[str, float]) -> Found:
    """``at``: our p-values of ``rates``; what is found at them is called ``ours as PEER``."""
    random, delays = np.random.default_rng(seed), {}  # type: ignore[var-annotated]
    setting = Setting(windows=ONSET + max(case.within, FOLLOWED))
    for _ in range(repeats):
        stream = make(kind, setting, random, case.fault)
        ours = alarmed(stream, plan_for(1))
        flags = {"ours": ours, **{name: judge(stream) for name, judge in PEERS.items()}}
        p = _unfloored(stream)
        flags |= {f"ours as {name}": ours | (p <= cut) for name, cut in at.items()}
        for name, flag in flags.items():
            late = np.flatnonzero(flag[ONSET:, list(case.columns)].any(axis=1))
            delays.setdefault(name, []).append(late[0] + 1 if len(late) else np.inf)
    return Found(
        case, kind, {k: float(np.mean(np.array(v) <= case.within)) for k, v in delays.items()},
        {k: float(np.median(v)) for k, v in delays.items()},
    )  # fmt: skip


def cases(kind: str, repeats: int, seed: int) -> Iterator[Found]:
    """Every case on streams of a kind."""
    at = rates(kind, max(repeats // 3, 3), seed)
    for i, case in enumerate(CASES):
        yield power(case, kind, repeats, seed + 1 + i, at)
