"""Ingestion: rows of the sources cleaned, duplicates removed, refused rows put aside, the rest written by window."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import duckdb

from monitoring_pipeline.errors import SourceError, UserError
from monitoring_pipeline.lake import store
from monitoring_pipeline.lake.cleaning import BROKEN_ROW, clean_predictions, contract_of, source_columns
from monitoring_pipeline.lake.duck import connected, file_list, identifier, literal, protocol_of
from monitoring_pipeline.lake.names import escaped
from monitoring_pipeline.lake.sources.files import version_of
from monitoring_pipeline.lake.sources.reading import Reader, reading
from monitoring_pipeline.lake.sources.scan import Scan, find_unreadable
from monitoring_pipeline.lake.sources.sql import is_sql
from monitoring_pipeline.lake.times import aware, timestamp
from monitoring_pipeline.monitors.declaration import Monitor
from monitoring_pipeline.records import Contract, FileVersion, IngestedWindow, WindowFailure
from monitoring_pipeline.settings import Settings
from monitoring_pipeline.windows import Window

# Up to so many rows the cleaned rows are kept in DuckDB between statements; beyond, the sources are read again.
_KEEP_ROWS = 300_000
# So many small windows are cut from one pass: planning a statement costs as much as a thousand rows.
_AT_ONCE = 64
# Grows when cleaning changes its mind about the same bytes, so that windows are written anew.
_CLEANING = 2

_QUARANTINE = ("reason", "source_file", "source_row", "text")  # what its files say of each row

Paths = Mapping[Window, Sequence[str]]


def ingest_window(
    monitor: Monitor,
    window: Window,
    paths: Sequence[str],
    lake_root: str,
    settings: Settings,
    now: datetime | None = None,
) -> IngestedWindow:
    """Take one window in from ``paths`` (the files that the index says hold rows of it).

    Running twice writes the same file. Raises WindowError (the lake is full) or SourceError (a file cannot be read, a
    required column is missing); then nothing new lies in the lake.
    """
    with ingestion(monitor, lake_root, settings, now) as opened:
        return opened.take_in({window: paths})[0]


def ingest_windows(
    monitor: Monitor, paths: Paths, lake_root: str, settings: Settings, now: datetime | None = None
) -> Iterator[IngestedWindow | WindowFailure]:
    """Many windows over one connection, in the mapping's order. What fails is yielded as a failure and the rest go on.

    Small windows are taken in up to 64 at a time; when that fails, each of them alone.
    """
    uses = Counter(path for sources in paths.values() for path in sources)
    left = uses.copy()
    with ingestion(monitor, lake_root, settings, now, uses) as opened:
        for group in opened.groups(paths):
            try:
                yield from opened.take_in(group)
            except UserError as error:
                yield from _one_by_one(opened, group, error)
            for sources in group.values():
                left.subtract(sources)
            for path in {p for sources in group.values() for p in sources if left[p] <= 0}:
                opened.reader.drop(path)


def _one_by_one(opened: Ingestion, group: Paths, error: UserError) -> Iterator[IngestedWindow | WindowFailure]:
    if len(group) == 1:
        yield WindowFailure(next(iter(group)), str(error))
        return
    for window, sources in group.items():
        try:
            yield from opened.take_in({window: sources})
        except UserError as own:
            yield WindowFailure(window, str(own))


@contextmanager
def ingestion(
    monitor: Monitor,
    lake_root: str,
    settings: Settings,
    now: datetime | None = None,
    uses: Mapping[str, int] | None = None,
) -> Iterator[Ingestion]:
    """An Ingestion with its own connection. ``uses`` as in ``Reader.scans``."""
    column = monitor.schema_.event_time
    with (
        connected(settings, {protocol_of(lake_root)}) as connection,
        reading(connection, monitor, monitor.predictions, column, settings, source_columns(monitor)) as reader,
    ):
        yield Ingestion(monitor, lake_root, connection, reader, now or datetime.now(UTC), uses or {})


@dataclass
class Ingestion:
    """Takes windows of one monitor in over one connection."""

    monitor: Monitor
    lake_root: str
    connection: duckdb.DuckDBPyConnection
    reader: Reader
    now: datetime
    uses: Mapping[str, int]

    def groups(self, paths: Paths) -> Iterator[Paths]:
        """The windows in order, small ones together."""
        group: dict[Window, Sequence[str]] = {}
        n_bytes = 0.0
        for window, sources in paths.items():
            # A row takes some 50 bytes and more in a compressed file; a shared file gives each window its part.
            own = sum(self._n_bytes(path) / self.uses.get(path, 1) for path in sources)
            remote = any(protocol_of(path) or is_sql(path) for path in sources)
            if group and (remote or len(group) >= _AT_ONCE or n_bytes + own > _KEEP_ROWS * 50):
                yield group
                group, n_bytes = {}, 0.0
            group[window] = sources
            n_bytes += own if not remote else float("inf")
        if group:
            yield group

    def _n_bytes(self, path: str) -> int:
        try:
            return version_of(path).size if not is_sql(path) else 0
        except SourceError:
            return 0  # said when the file is read

    def take_in(self, group: Paths) -> list[IngestedWindow]:
        """The windows of a group, all or none. Raises as ``ingest_window`` does."""
        paths = sorted({path for sources in group.values() for path in sources})
        sources = {path: version_of(path) for path in paths if not is_sql(path)}
        scans, broken = self.reader.scans(paths, self.uses)
        if broken:
            raise SourceError("; ".join(broken.values()))
        cut = _Cut(self, group, scans, sources)
        if not scans:
            return [cut.empty(window) for window in group]
        try:
            return cut.windows()
        except duckdb.OutOfMemoryException:
            raise
        except duckdb.Error as error:
            raise find_unreadable(self.connection, [p for scan in scans for p in scan.files], error) from error


@dataclass
class _Counts:
    """Of one window: good rows by version, refused rows by reason, values that did not fit by column."""

    versions: Counter[str]
    reasons: Counter[str]
    invalid: Counter[str]
    last_event: datetime | None = None


class _Cut:
    """The windows of one group, cut from one pass over their sources."""

    def __init__(
        self, ingestion: Ingestion, group: Paths, scans: Sequence[Scan], sources: Mapping[str, FileVersion]
    ) -> None:
        self.ingestion, self.group, self.scans, self.sources = ingestion, group, scans, sources
        self.monitor, self.connection = ingestion.monitor, ingestion.connection
        self.by_path = {path: scan for scan in scans for path in ([scan.origin] if scan.origin else scan.files)}

    def empty(self, window: Window) -> IngestedWindow:
        return IngestedWindow(window, 0, 0, 0, data_version(self.monitor, window, {}), ())

    def windows(self) -> list[IngestedWindow]:
        first, last = min(self.group), max(self.group)
        self.cleaning = clean_predictions(self.monitor, self.scans, first.start, last.end, self.ingestion.now)
        self.columns = ", ".join(identifier(c) for c in self.cleaning.columns)
        self.rows = self._kept_between_statements()
        counts = self._count()
        duplicated = self._duplicated()
        return [self._window(window, counts.get(window.start), window.start in duplicated) for window in self.group]

    def _window(self, window: Window, counts: _Counts | None, duplicated: bool) -> IngestedWindow:
        paths = self.group[window]
        scans = [s for s in self.scans if any(self.by_path[path] is s for path in paths)]
        tables = {path: self._table_version(window, path) for path in paths if is_sql(path)}
        version = data_version(self.monitor, window, {p: self.sources[p] for p in paths if p in self.sources} | tables)
        counts = counts or _Counts(Counter(), Counter(), Counter())
        n_good = counts.versions.total()
        n_rows, files, versions = self._written(window, version, n_good, duplicated)
        quarantine = dict(counts.reasons) | self._broken_rows(window)
        if quarantine:
            self._put_aside(window, version)
        contract = contract_of(self.monitor, scans)
        return IngestedWindow(
            window=window,
            n_rows=n_rows,
            n_duplicates=n_good - n_rows,
            n_quarantined=sum(quarantine.values()),
            data_version=version,
            files=files,
            versions=dict(counts.versions if versions is None else versions),
            quarantine=quarantine,
            contract=Contract(contract.missing, contract.extra, contract.retyped, dict(counts.invalid)),
            last_event=counts.last_event,
        )

    def _written(
        self, window: Window, version: str, n_good: int, duplicated: bool
    ) -> tuple[int, tuple[str, ...], dict[str, int] | None]:
        """Rows kept, the files that hold them and, where rows were dropped, what is left by version."""
        if not n_good:
            return 0, (), None
        good = self._without_duplicates(window) if duplicated else self._good(window)
        if self.monitor.predictions.immutable and not any(scan.staged for scan in self.scans):
            versions = self._versions(f"({good})") if duplicated else None
            return sum(versions.values()) if versions else n_good, tuple(sorted(self.group[window])), versions
        path = self._path("predictions", window, version)
        n_rows = store.write_parquet(self.connection, f"SELECT {self.columns} FROM ({good})", path)  # noqa: S608
        return n_rows, (path,), self._versions(f"read_parquet({file_list([path])})") if duplicated else None

    def _path(self, kind: str, window: Window, version: str) -> str:
        directory = store.window_directory(window.start)
        return store.join(self.ingestion.lake_root, self.monitor.name, kind, directory, f"{version}.parquet")

    def _kept_between_statements(self) -> str:
        """What stands behind FROM: a temporary table for a small group, else the cleaning itself."""
        rows = self.cleaning.sql
        if len(self.group) > 1:
            # A file gives its rows only to the windows it is listed for.
            pairs = [(literal(p), timestamp(w.start)) for w, sources in self.group.items() for p in sources]
            listed = ", ".join(f"({path}, TIMESTAMP '{start}')" for path, start in pairs)
            rows = f"SELECT * FROM ({rows}) WHERE (__file, __window) IN (VALUES {listed}) ORDER BY __window"  # noqa: S608
        elif sum(_rows_in_footers(self.connection, scan.files) for scan in self.scans) > _KEEP_ROWS:
            return f"({rows})"
        self.connection.execute(f"CREATE OR REPLACE TEMP TABLE __kept AS {rows}")
        return "__kept"

    def _count(self) -> dict[datetime, _Counts]:
        cleaning = self.cleaning
        flags = "".join(f", count(*) FILTER ({flag})" for flag in cleaning.flags.values())
        answer = self.connection.execute(
            f"SELECT __window, __reason, __version, count(*), max(__time){flags} FROM {self.rows}"  # noqa: S608
            " GROUP BY ALL ORDER BY ALL"
        ).fetchall()
        found: dict[datetime, _Counts] = {}
        for start, reason, version, n, latest, *bad in answer:
            counts = found.setdefault(aware(start), _Counts(Counter(), Counter(), Counter()))
            if reason is not None:
                counts.reasons[reason] += n
                continue
            counts.versions[version] += n
            counts.invalid += Counter({c: k for c, k in zip(cleaning.flags, bad, strict=True) if k})
            counts.last_event = max(filter(None, (counts.last_event, aware(latest))))
        return found

    def _duplicated(self) -> set[datetime]:
        """Windows with ids met twice; their hashes go to ``__duplicated``. A collision costs time, nothing else."""
        self.connection.execute(
            "CREATE OR REPLACE TEMP TABLE __duplicated AS SELECT __window AS __of, hash(__id) AS __hash"  # noqa: S608
            f" FROM {self.rows} WHERE __reason IS NULL GROUP BY __of, __hash HAVING count(*) > 1"
        )
        met = self.connection.execute("SELECT DISTINCT __of FROM __duplicated").fetchall()
        return {aware(w) for (w,) in met}

    def _good(self, window: Window) -> str:
        one = f" AND __window = TIMESTAMP '{timestamp(window.start)}'" if len(self.group) > 1 else ""
        return f"SELECT {self.columns}, __file, __row FROM {self.rows} WHERE __reason IS NULL{one}"  # noqa: S608

    def _without_duplicates(self, window: Window) -> str:
        """Of each id the earliest (event time, then path, then row). Only ids met twice are sorted."""
        good = self._good(window)
        twice = f"(SELECT __hash FROM __duplicated WHERE __of = TIMESTAMP '{timestamp(window.start)}')"  # noqa: S608
        return (
            f"SELECT * FROM ({good}) WHERE hash(__id) NOT IN {twice}"  # noqa: S608
            f" UNION ALL SELECT * FROM ({good}) WHERE hash(__id) IN {twice}"
            " QUALIFY row_number() OVER (PARTITION BY __id ORDER BY __time, __file, __row) = 1"
        )

    def _versions(self, good: str) -> dict[str, int]:
        rows = self.connection.execute(
            f"SELECT __version, count(*) FROM {good} GROUP BY __version ORDER BY __version"  # noqa: S608
        ).fetchall()
        return dict(rows)

    def _table_version(self, window: Window, path: str) -> FileVersion:
        """A table has no size and time: the number of its rows in the window, and a digest of them for the time."""
        copy = self.ingestion.reader.staged[path].files[0]
        row = self.connection.execute(
            "SELECT count(*), coalesce(bit_xor(hash(__t)), 0) % 1000000000000 FROM"  # noqa: S608
            f" (SELECT * EXCLUDE (__row) FROM read_parquet({file_list([copy])}) WHERE {_within(window)}) __t"
        ).fetchone()
        n, digest = row or (0, 0)
        return FileVersion(n, datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=int(digest)))

    def _broken_rows(self, window: Window) -> dict[str, int]:
        """Rows of text files that are no rows at all, placed by the time of the row before them."""
        if not self.ingestion.reader.has_rejected:
            return {}
        row = self.connection.execute(f"SELECT count(*) FROM ({self._rejected_sql(window)})").fetchone()  # noqa: S608
        return {BROKEN_ROW: row[0]} if row and row[0] else {}

    def _rejected_sql(self, window: Window) -> str:
        """``source_row`` is the line in the file, ``text`` what stands there."""
        origins = ", ".join(literal(path) for path in self.group[window]) or "NULL"
        return (
            f"SELECT {literal(BROKEN_ROW + ': ')} || __reason AS reason, __file AS source_file, __line AS source_row,"  # noqa: S608
            f" __text AS text FROM __rejected WHERE __file IN ({origins}) AND {_within(window)}"
        )

    def _beside_ours(self) -> str:
        """The columns of a row put aside; one that is called as one of the quarantine's own is escaped there."""
        taken = {c: escaped(c) for c in self.cleaning.columns if c.casefold() in _QUARANTINE}
        return ", ".join(f"{identifier(c)} AS {identifier(taken.get(c, c))}" for c in self.cleaning.columns)

    def _put_aside(self, window: Window, version: str) -> None:
        sql = (
            "SELECT __reason AS reason, __file AS source_file, __row + 1 AS source_row, CAST(NULL AS VARCHAR) AS text,"  # noqa: S608
            f" {self._beside_ours()} FROM {self.rows}"
            f" WHERE __reason IS NOT NULL AND __window = TIMESTAMP '{timestamp(window.start)}'"
        )
        if self.ingestion.reader.has_rejected:
            sql += f" UNION ALL BY NAME {self._rejected_sql(window)}"
        ordered = f"SELECT * FROM ({sql}) ORDER BY source_file, source_row"  # noqa: S608
        store.write_parquet(self.connection, ordered, self._path("quarantine", window, version))


def _within(window: Window) -> str:
    return f"__utc >= TIMESTAMP '{timestamp(window.start)}' AND __utc < TIMESTAMP '{timestamp(window.end)}'"


def data_version(monitor: Monitor, window: Window, sources: Mapping[str, FileVersion]) -> str:
    """16 hex digits that name the content: the window, its files by path, size and time, and how they are read."""
    files = [[path, v.size, v.modified_at.isoformat()] for path, v in sorted(sources.items())]
    how = [
        monitor.task,
        monitor.window,
        monitor.schema_.model_dump(mode="json"),
        monitor.reference.model_version,
        _CLEANING,
    ]
    text = json.dumps([window.start.isoformat(), files, how], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _rows_in_footers(connection: duckdb.DuckDBPyConnection, paths: Sequence[str]) -> int:
    row = connection.execute(
        f"SELECT sum(num_rows) FROM parquet_file_metadata({file_list(paths)})"  # noqa: S608
    ).fetchone()
    return int(row[0]) if row else 0
