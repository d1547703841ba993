"""The spool of one worker: the segment being written, the sealed ones that wait, what to do when full."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import threading
import time
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from monitoring_pipeline.errors import UserError
from monitoring_pipeline.prediction_log.parquet import sync_directory
from monitoring_pipeline.prediction_log.segment import Segment, SegmentContent

OnFull = Literal["block", "drop_oldest"]


class PredictionLogError(UserError):
    """A prediction could not be made durable under the declared policy; it must not be answered as if it had been."""


@dataclass(frozen=True)
class SpoolPolicy:
    """Sizes in bytes, times in seconds. ``durability``: what an answered prediction survives."""

    segment_bytes: int = 8 << 20
    max_age: float = 60.0
    max_bytes: int = 2 << 30
    on_full: OnFull = "block"
    block_timeout: float = 1.0
    durability: Literal["process", "power"] = "process"


class Waiting(NamedTuple):
    """A sealed file: its rows, its bytes on disk, and when (monotonic) the first row was written."""

    n_rows: int
    size: int
    first_at: float | None = None


class Spool:
    """Appends frames for one schema. Thread-safe.

    Files are ``<worker>-<number>.open`` and ``.sealed``; ``.refused`` when the sink does not take them: these wait for
    a person, outside of the budget. ``<worker>.lock`` is held with flock for as long as the process lives, so that
    another worker can tell an orphan and adopt it.
    """

    def __init__(
        self,
        directory: Path,
        schema: bytes,
        policy: SpoolPolicy,
        dropped: Callable[[str, int], None],
        at_once: bool = False,
        mark: bytes = b"",
    ) -> None:
        """``dropped(reason, rows)`` hears of rows given up. Files are allocated with the first append, since a service
        may have many processes that never predict; ``at_once``: now, so that it is known whether they can be.
        ``mark`` stands in the lock file from then on, for ``living``. Raises PredictionLogError if nothing can be
        written."""
        self._directory, self._policy, self._dropped = directory, policy, dropped
        self.schema = schema
        self.worker = f"{os.getpid()}-{uuid.uuid4().hex[:8]}"
        self._lock = threading.Lock()
        self._room = threading.Condition(self._lock)
        self._files = threading.Lock()  # sealing and dropping files exclude each other
        self._number = 0
        self._spare: Segment | None = None
        self._retired: list[Segment] = []
        self._shipping: Path | None = None
        self._failure: OSError | None = None
        self.sealed: dict[Path, Waiting] = {}
        self._refused: dict[Path, Waiting] = {}
        self._in_sink: dict[Path, Waiting] = {}  # and not deleted yet
        self.bytes_on_disk = 0  # allocated: what the budget is for
        self._sizes = threading.Lock()
        self._lock_fd = -1
        self._in_use, self._mark = at_once, mark
        try:
            self._hold_lock()
        except OSError as error:
            raise PredictionLogError(
                f"{directory}: the spool cannot be opened ({error}); give a writable directory on a local disk"
            ) from error
        self._active: Segment | None = None
        if at_once:
            with contextlib.suppress(OSError):  # the first append meets the policy
                self._active = self._allocate()
        self._sync = GroupCommit(self._unsynced) if policy.durability == "power" else None

    def _hold_lock(self) -> None:
        """Makes the directory and the lock file, unless they are there. Raises OSError.

        Locked under another name first: a lock file that can be seen is held, or its owner is dead.
        """
        path = self._directory / f"{self.worker}.lock"
        if self._lock_fd >= 0:
            with contextlib.suppress(FileNotFoundError):
                if path.stat().st_ino == os.fstat(self._lock_fd).st_ino:
                    return
        self._directory.mkdir(parents=True, exist_ok=True)
        starting = path.with_suffix(".starting")
        while True:
            fd = os.open(starting, os.O_RDWR | os.O_CREAT, 0o600)
            fcntl.flock(fd, fcntl.LOCK_EX)  # another that clears up may have it for an instant, and the file with it
            if os.fstat(fd).st_nlink:
                break
            os.close(fd)
        starting.rename(path)
        if self._lock_fd >= 0:
            os.close(self._lock_fd)
        self._lock_fd = fd
        if self._in_use:
            os.pwrite(fd, self._mark, 0)

    def append(self, body: bytes, n_rows: int) -> None:
        """Returns when the frame survives what the policy promises. Raises PredictionLogError (``block``: timeout)."""
        with self._lock:
            active = self._active
            if active is None or not active.fits(body):
                active = self._rotate(body, n_rows)
                if active is None:
                    return
            active.append(body, n_rows)
            ticket = self._sync.ticket() if self._sync else None
        if self._sync and ticket:
            self._sync.wait(ticket)

    def _rotate(self, body: bytes, n_rows: int) -> Segment | None:
        """A segment with room for ``body``, or None when the rows are to be dropped. Holds the lock."""
        deadline = time.monotonic() + self._policy.block_timeout
        self._use()
        while self._active is None or not self._active.fits(body):
            self._retire()  # what stands in a full segment can be shipped, which makes room
            try:
                self._active = self._take_spare(len(body)) or self._allocate(len(body))
            except OSError as error:
                if self._policy.on_full == "drop_oldest":
                    if not self._drop_oldest():
                        self._dropped("spool_full", n_rows)
                        return None
                elif not self._wait_for_room(deadline):
                    raise PredictionLogError(
                        f"{self._directory}: the prediction log is full ({error.strerror}); free space or repair the "
                        "sink. The prediction was not logged and must not be answered (policy block)"
                    ) from error
        return self._active

    def _use(self) -> None:
        """Says beside the lock whose rows they are, with the first of them."""
        if not self._in_use:
            self._in_use = True
            with contextlib.suppress(OSError):  # on a full disk, which the caller meets next
                os.pwrite(self._lock_fd, self._mark, 0)

    def _wait_for_room(self, deadline: float) -> bool:
        """False when the time is over. Lets go of the lock while it waits."""
        remaining = deadline - time.monotonic()
        if remaining > 0:
            self._room.wait(min(remaining, 0.05))
        return remaining > 0

    def _allocate(self, need: int = 0) -> Segment:
        size = max(self._policy.segment_bytes, need + len(self.schema) + 4096)
        self._number += 1
        try:
            self._hold_lock()
            if self.bytes_on_disk + size > self._policy.max_bytes:
                raise OSError(errno.ENOSPC, f"the spool has reached its limit of {self._policy.max_bytes} bytes")
            segment = Segment(self._directory / f"{self.worker}-{self._number:08d}.open", size, self.schema)
            self._make_findable(segment)
        except OSError as error:
            self._failure = error
            raise
        self._failure = None
        self._account(segment.size)
        return segment

    def _make_findable(self, segment: Segment) -> None:
        """A file that is on the device is lost all the same when its name is not."""
        if self._policy.durability == "power":
            try:
                sync_directory(self._directory)
            except OSError:
                segment.discard()
                raise

    def _account(self, size: int) -> None:
        """Requests and the shipper both do: what they add must not be lost."""
        with self._sizes:
            self.bytes_on_disk += size

    def _take_spare(self, need: int) -> Segment | None:
        spare = self._spare
        if spare is None or need > self._policy.segment_bytes - len(self.schema) - 4096:
            return None
        self._spare = None
        return spare

    def _retire(self) -> None:
        if self._active is not None:
            self._retired.append(self._active)
            self._active = None

    def _drop_oldest(self) -> bool:
        """Deletes the oldest file of this worker that waits and is not just being shipped; False when there is none."""
        with contextlib.suppress(OSError):
            self.seal_retired()
        with self._files:
            waiting = [p for p in self.sealed if p != self._shipping]
            if not waiting:
                return False
            path = min(waiting)
            self._dropped("drop_oldest", self.sealed[path].n_rows)
            self._delete(path)
            return True

    def _delete(self, path: Path) -> int:
        """Its rows."""
        path.unlink(missing_ok=True)
        gone = self.sealed.pop(path, Waiting(0, 0))
        self._account(-gone.size)
        return gone.n_rows

    # What the shipper's thread calls. It never waits long for a lock that requests hold.

    def prepare_spare(self) -> None:
        """Allocates the next segment ahead of need, so that no request pays for it. A full disk is not its business."""
        if self._in_use and self._spare is None and self._lock.acquire(timeout=0.01):
            try:
                with contextlib.suppress(OSError):
                    self._spare = self._allocate()
            finally:
                self._lock.release()

    def notice_deletion(self) -> None:
        """Gives up segments that somebody deleted or moved, and holds a lock anew that was; the next append goes on.

        Without it another worker would take this one for dead. Raises OSError.
        """
        with self._lock:
            if self._active is not None and self._active.gone:
                self._retire()
            if self._spare is not None and self._spare.gone:
                self._account(-self._spare.size)
                self._spare.abandon()
                self._spare = None
            self._hold_lock()

    def rotate_by_age(self, max_age: float) -> None:
        """Retires the active segment once its first row is ``max_age`` seconds old. An empty one stays."""
        with self._lock:
            active = self._active
            if active is None or active.first_at is None or time.monotonic() - active.first_at < max_age:
                return
            self._retire()
            self._active = self._take_spare(0)  # without one, the next append allocates

    def seal_retired(self) -> None:
        """Turns retired segments into sealed files. One that somebody deleted is given up. Raises OSError."""
        with self._files, self._sync.paused if self._sync else contextlib.nullcontext():
            while self._retired:
                segment = self._retired[0]
                try:
                    path = segment.seal(sync=self._policy.durability == "power")
                except FileNotFoundError:
                    self._retired.pop(0)
                    self._account(-segment.size)
                    if segment.n_rows:
                        self._dropped("deleted", segment.n_rows)
                    continue
                self._retired.pop(0)
                self._account(segment.used - segment.size)
                self.sealed[path] = Waiting(segment.n_rows, segment.used, segment.first_at)

    def next_sealed(self, choose: Callable[[Iterable[Path]], Path | None]) -> Path | None:
        """The sealed file that ``choose`` picks. It is safe from ``drop_oldest`` until its fate is told."""
        with self._files:
            self._shipping = choose(self.sealed)
            return self._shipping

    def shipped(self, path: Path) -> int:
        """Deletes a file whose rows are in the sink; how many they were. Raises OSError: then it is not shipped again,
        and ``delete_shipped`` goes on trying."""
        with self._files:
            gone = self.sealed.pop(path, Waiting(0, 0))
            self._in_sink[path] = gone
            self._shipping = None
        self.delete_shipped()
        return gone.n_rows

    def delete_shipped(self) -> None:
        """Raises OSError."""
        if not self._in_sink:
            return
        with self._files:
            for path in list(self._in_sink):
                path.unlink(missing_ok=True)
                self._account(-self._in_sink.pop(path).size)
        with self._lock:
            self._room.notify_all()

    def refused(self, path: Path) -> None:
        """Keeps a file that the sink does not take, as ``.refused``, until a person renames it."""
        with self._files:
            path.rename(as_refused(path))
            self._refused[path] = self.sealed.pop(path)
            self._account(-self._refused[path].size)
            self._shipping = None
        with self._lock:
            self._room.notify_all()

    def take_back(self) -> None:
        """Files of this worker's that were ``.refused`` and bear their old name again are to be shipped."""
        with self._files:
            for path in [p for p in self._refused if p.exists()]:
                self.sealed[path] = self._refused.pop(path)
                self._account(self.sealed[path].size)

    def not_shipped(self) -> None:
        """Segments that have not reached the sink."""
        self._shipping = None

    def oldest_age(self) -> float:
        """Seconds since the oldest row that has not reached the sink was written; 0 when all have."""
        now, active = time.monotonic(), self._active
        first = [w.first_at for w in list(self.sealed.values())] + [s.first_at for s in list(self._retired)]
        first.append(active.first_at if active is not None else None)
        return max((0.0, *(now - at for at in first if at is not None)))

    @property
    def waiting_bytes(self) -> int:
        """Bytes that were written and are not deleted yet: of files that are allocated, what is in use."""
        waiting = [*list(self.sealed.values()), *list(self._in_sink.values())]
        segments = [*list(self._retired), self._active]
        return sum(w.size for w in waiting) + sum(s.used for s in segments if s is not None and s.n_rows)

    @property
    def refusing(self) -> str | None:
        """Why no row can be appended now, or None. ``prepare_spare`` goes on trying."""
        failure = self._failure
        return str(failure) if failure and self._active is None and self._spare is None else None

    @property
    def short_of_room(self) -> str | None:
        """Why the next segment cannot be had, or None; the active one may still have room."""
        failure = self._failure
        return str(failure) if failure and self._spare is None else None

    def _unsynced(self) -> list[Segment]:
        with self._lock:
            return [*self._retired, *([self._active] if self._active else [])]

    def close(self) -> None:
        """Seals everything. What is not shipped before ``release`` is an orphan that another worker adopts."""
        with self._lock:
            if self._active is not None and self._active.n_rows == 0:
                self._active.discard()
                self._active = None
            self._retire()
            if self._spare is not None:
                self._spare.discard()
                self._spare = None
        self.seal_retired()
        if self._sync:
            self._sync.stop()

    def release(self) -> None:
        """Lets go of the lock after ``close``."""
        if not self.sealed and not self._in_sink:
            (self._directory / f"{self.worker}.lock").unlink(missing_ok=True)
        os.close(self._lock_fd)

    def abandon(self) -> None:
        """In a forked child: the files and the lock are the parent's. Closes them without a trace."""
        for segment in (self._active, self._spare, *self._retired):
            if segment is not None:
                segment.abandon()
        with contextlib.suppress(OSError):
            os.close(self._lock_fd)


@dataclass
class _Round:
    """Those who wait for one sync, and what came of it."""

    wanted: bool = False
    done: bool = False
    failure: OSError | None = None


class GroupCommit:
    """Many appends, one fsync: each waits for the first sync that began after its bytes were written."""

    def __init__(self, unsynced: Callable[[], list[Segment]]) -> None:
        self._unsynced = unsynced
        self._state = threading.Condition()
        self._next = _Round()
        self._stopped = False
        self.paused = threading.Lock()  # held while syncing: a segment is not closed meanwhile
        threading.Thread(target=self._run, name="prediction-log-sync", daemon=True).start()

    def ticket(self) -> _Round:
        """What a caller waits with until its frame is durable."""
        with self._state:
            self._next.wanted = True
            self._state.notify_all()
            return self._next

    def wait(self, ticket: _Round) -> None:
        """Raises PredictionLogError when the device refused this sync, whatever became of those before and after."""
        with self._state:
            while not ticket.done:
                self._state.wait()
        if ticket.failure is not None:
            raise PredictionLogError(
                f"the spool's device fails to sync: {ticket.failure}; the prediction is not durable"
            )

    def stop(self) -> None:
        """Ends the thread."""
        with self._state:
            self._stopped = True
            self._state.notify_all()

    def _run(self) -> None:
        while True:
            with self._state:
                while not self._next.wanted and not self._stopped:
                    self._state.wait()
                if not self._next.wanted:
                    return
                current, self._next = self._next, _Round()
            failure = self._sync_all()
            with self._state:
                current.failure, current.done = failure, True
                self._state.notify_all()

    def _sync_all(self) -> OSError | None:
        try:
            with self.paused:
                for segment in self._unsynced():
                    segment.sync()
        except OSError as error:
            return error
        return None


def adopt(directory: Path, own: str) -> list[tuple[str, int, list[Path]]]:
    """Files of dead workers: (worker, descriptor that holds its lock, files). The caller ships, then calls ``bury``."""
    workers: dict[str, list[Path]] = {}
    for path in directory.iterdir():
        if path.suffix in (".open", ".sealed"):
            workers.setdefault(path.stem.rsplit("-", 1)[0], []).append(path)
        elif path.suffix == ".lock":
            workers.setdefault(path.stem, [])
        elif path.suffix == ".starting":
            _clear(path)
    found = []
    for worker, paths in workers.items():
        fd = None if worker == own else _lock_of_the_dead(directory / f"{worker}.lock")
        if fd is not None:
            # Listed again under the lock: another worker may just have shipped them.
            paths = sorted(p for p in paths if p.exists())
            found.append((worker, fd, paths))
    return found


def living(directory: Path, own: str, mark: bytes) -> set[str]:
    """Other workers that live, have appended and bear this mark. Raises OSError.

    A dead one's lock may be held too, by who ships its files: its process is gone.
    """
    found = set()
    for path in directory.glob("*.lock") if mark else ():
        pid = path.stem.partition("-")[0]
        if path.stem == own or not Path("/proc", pid).exists():
            continue
        with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
            if file.read(len(mark) + 1) == mark and _is_held(file.fileno()):
                found.add(path.stem)
    return found


def _is_held(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False  # closing the file lets go of it


def bury(directory: Path, worker: str, fd: int) -> None:
    """Lets go of a dead worker; its lock file goes when no file of it is left."""
    left = any(p.suffix in (".open", ".sealed") for p in directory.glob(f"{worker}-*"))
    if not left:
        (directory / f"{worker}.lock").unlink(missing_ok=True)
    os.close(fd)


def _clear(starting: Path) -> None:
    """Deletes what a worker left behind that was killed before it had its lock."""
    fd = _lock_of_the_dead(starting, os.O_RDWR)
    if fd is not None:
        starting.unlink(missing_ok=True)
        os.close(fd)


def _lock_of_the_dead(path: Path, flags: int = os.O_RDWR | os.O_CREAT) -> int | None:
    """A descriptor that holds the lock, or None while its owner lives."""
    try:
        fd = os.open(path, flags, 0o600)
    except OSError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(fd).st_ino == path.stat().st_ino:  # not a name that was unlinked and made anew meanwhile
            return fd
    except OSError:
        pass
    os.close(fd)
    return None


def as_refused(path: Path) -> Path:
    """The name of a segment that the sink does not take. Renamed back to ``.sealed``, a worker ships it again."""
    return path.with_suffix(".refused")


def set_aside(path: Path, content: SegmentContent) -> Path:
    """Writes the damaged stretches of a spool file to ``<name>.corrupt`` for a person to look at."""
    aside = path.with_suffix(".corrupt")
    with aside.open("wb") as out:
        for offset, data in content.damaged:
            out.write(f"# {len(data)} bytes at offset {offset}\n".encode() + data + b"\n")
    return aside
