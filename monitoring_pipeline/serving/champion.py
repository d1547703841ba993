"""The champion of a monitor in a service: which version it is, and a change of it without a restart.

``champion.json`` lies beside the artifacts of a monitor and is rewritten, whole, at every promotion. A service that
follows it loads the new version aside and then answers with it; the old one is closed after its last request.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import threading
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, Literal, TypeVar

from monitoring_pipeline.errors import UserError
from monitoring_pipeline.serving.monitoring import Monitoring
from monitoring_pipeline.serving.recorder import Recorder

logger = logging.getLogger(__name__)
POLL_SECONDS = 2.0


@dataclass(frozen=True)
class ChampionPointer:
    """What ``champion.json`` says. ``seq`` rises with every promotion and rollback.

    ``uri``: of the artifact (a path, or an fsspec URL), ``sha256`` of its bytes, ``format``: how it was written.
    ``reference``: path of the reference document of this version.
    """

    seq: int
    monitor: str
    model_version: str
    uri: str
    sha256: str
    format: Literal["skops", "pickle", "trainer"]
    reference: str

    def artifact(self) -> bytes:
        """The bytes of the artifact. Raises UserError when they cannot be read or are not those that were promoted."""
        try:
            content = _read(self.uri)
        except OSError as error:
            raise UserError(f"{self.uri}: the artifact of {self.monitor} {self.model_version} cannot be read ({error});"
                            " restore it, or roll back to a version that has one") from error  # fmt: skip
        if (found := hashlib.sha256(content).hexdigest()) != self.sha256:
            raise UserError(
                f"{self.uri}: its SHA-256 is {found}, not the promoted {self.sha256}; the file was changed and is not"
                " loaded. Restore it, or roll back to another version"
            )
        return content


def _read(uri: str) -> bytes:
    if "://" not in uri:
        return Path(uri).read_bytes()
    import fsspec

    with fsspec.open(uri, "rb") as file:
        content: bytes = file.read()
    return content


def read_champion(path: str | os.PathLike[str]) -> ChampionPointer:
    """The pointer. Raises UserError that names the file and what is wrong with it."""
    try:
        value = json.loads(Path(path).read_text("utf-8"))
        found = {name: kind(value[name]) for name, kind in _FIELDS.items()}
    except OSError as error:
        raise UserError(f"{path}: no champion can be read ({error.strerror}); promote a version first: "
                        "`monitoring-pipeline model promote`") from error  # fmt: skip
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{path}: not a champion file ({type(error).__name__}: {error}); `monitoring-pipeline model promote` and"
            " `rollback` write it anew"
        ) from error
    return ChampionPointer(**found)


_FIELDS: dict[str, type] = {
    "seq": int, "monitor": str, "model_version": str, "uri": str, "sha256": str, "format": str, "reference": str,
}  # fmt: skip


@dataclass
class Serving:
    """One version in service. ``predict``: what requests call, usually wrapped by ``monitoring``."""

    seq: int
    model_version: str
    monitoring: Monitoring
    predict: Callable[..., Any]
    users: int = field(default=0, init=False)  # requests that hold it; changed under the follower's lock


Load = Callable[[ChampionPointer], Serving]


class ChampionFollower:
    """Serves the champion that a file points to, and each next one within ``poll_seconds`` of its promotion.

    path: ``champion.json`` on a local disk. load: makes a pointer a ``Serving`` with a ``Monitoring`` and a
    ``PredictionLog`` of its own (the spool directory may be shared); it runs beside the requests, so whatever it does
    (loading, a first prediction to warm up) none of them waits for. own: makes the version that the service brings
    itself, which answers while there is no file: before the first promotion, and after a rollback to it. None: the file
    must be there. Raises what ``own`` or ``load`` raises for the first version.

    A version that cannot be loaded is logged, told by ``trouble``, and tried again; meanwhile the old one answers. A
    pointer with a smaller ``seq`` than that in service is refused: it is an old copy. Thread-safe.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        load: Load,
        own: Callable[[], Serving] | None = None,
        poll_seconds: float = POLL_SECONDS,
    ) -> None:
        self._path, self._load, self._own, self._poll = Path(path), load, own, poll_seconds
        self._lock = threading.Lock()
        self._said: str | None = None
        self._seen: object = self  # nothing yet: a file that is not there is news too
        self._retired: list[Serving] = []
        self._is_own = own is not None
        self._current = own() if own is not None else load(read_champion(path))
        self._monitor = self._current.monitoring.schema.monitor
        self._stop = threading.Event()
        if own is not None:
            self.look()
        self._start()
        _followers.add(self)

    # Requests.

    def in_use(self) -> Held[Serving]:
        """The version that answers this request; ``with follower.in_use() as champion``. It stays open till the end."""
        with self._lock:
            self._current.users += 1
            return Held(self._current, self._current, self._release)

    def held(self) -> Held[Recorder]:
        """For ``MonitoringMiddleware``: what counts this request."""
        with self._lock:
            self._current.users += 1
            return Held(self._current.monitoring, self._current, self._release)

    def _release(self, serving: Serving) -> None:
        with self._lock:
            serving.users -= 1

    @property
    def current(self) -> Serving:
        """The version in service now. Not to predict with: another may take its place meanwhile."""
        return self._current

    @property
    def trouble(self) -> str | None:
        """Why the champion of the file is not in service; None when it is."""
        return self._said

    def metrics(self) -> bytes:
        """The Prometheus text page of the version in service."""
        with self.in_use() as champion:
            return champion.monitoring.metrics()

    content_type = Monitoring.content_type

    # Following.

    def look(self) -> bool:
        """Looks at the file now; whether another version is in service since. Never raises."""
        self._close_idle()
        try:
            seen = self._stamp()
            if seen == self._seen and self._said is None:
                return False
            changed = self._without_file() if seen is None else self._follow(read_champion(self._path))
        except Exception as error:  # noqa: BLE001 — the old version answers on, whatever is wrong with the new one
            self._say(f"{type(error).__name__}: {error}" if not isinstance(error, UserError) else str(error))
            return False
        self._seen = seen
        return changed

    def _stamp(self) -> object:
        """What tells one state of the file from another; None when it is not there."""
        try:
            found = self._path.stat()
        except FileNotFoundError:
            return None
        return found.st_ino, found.st_mtime_ns, found.st_size

    def _without_file(self) -> bool:
        """The champion has no artifact: it is the version that the service brings itself, if it brings one."""
        if self._own is None:
            raise UserError(f"{self._path} is gone; bring it back by `monitoring-pipeline model promote`")
        if self._is_own:
            self._said = None
            return False
        own = self._own()
        own.seq = self._current.seq
        self._swap(own, is_own=True)
        return True

    def _follow(self, pointer: ChampionPointer) -> bool:
        old = self._current
        if pointer.seq == old.seq and not self._is_own:
            self._said = None
            return False
        if pointer.monitor != self._monitor:
            raise UserError(f"{self._path}: it is of monitor {pointer.monitor!r}, this service is of {self._monitor!r}")
        if pointer.seq < old.seq:
            raise UserError(
                f"{self._path}: promotion {pointer.seq} is older than {old.seq}, which is in service; the file is an"
                " old copy and is not followed"
            )
        self._swap(self._load(pointer), is_own=False)
        return True

    def _swap(self, new: Serving, *, is_own: bool) -> None:
        old = self._current
        with self._lock:
            self._current = new
            self._retired.append(old)
        self._said, self._is_own = None, is_own
        logger.info("%s: version %s answers in place of %s", self._monitor, new.model_version, old.model_version)
        self._close_idle()

    def _say(self, why: str) -> None:
        if why != self._said:
            logger.error("%s: the champion is not taken over, %s answers on: %s", self._monitor,
                         self._current.model_version, why)  # fmt: skip
        self._said = why

    def _close_idle(self) -> None:
        """Closes old versions that no request holds any more: what they logged is shipped, or left to be adopted."""
        with self._lock:
            idle = [one for one in self._retired if not one.users]
            self._retired = [one for one in self._retired if one.users]
        for one in idle:
            one.monitoring.close()

    def _start(self) -> None:
        threading.Thread(target=self._run, name="champion-follower", daemon=True).start()

    def _run(self) -> None:
        while not self._stop.wait(self._poll):
            self.look()

    def close(self, timeout: float = 5.0) -> None:
        """Stops following; ships what can be shipped in ``timeout`` seconds a version. For when no request comes."""
        self._stop.set()
        with self._lock:
            left, self._retired = [*self._retired, self._current], []
        for one in left:
            one.monitoring.close(timeout)

    def after_fork(self) -> None:
        """In the child: the parent's lock and thread are not here. Its monitorings look after themselves."""
        self._lock = threading.Lock()
        if not self._stop.is_set():
            self._stop = threading.Event()
            self._start()


T = TypeVar("T")


class Held(Generic[T]):
    """A version that is held open while a request runs."""

    __slots__ = ("_release", "_serving", "_what")

    def __init__(self, what: T, serving: Serving, release: Callable[[Serving], None]) -> None:
        self._what, self._serving, self._release = what, serving, release

    def __enter__(self) -> T:
        return self._what

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._release(self._serving)


_followers: weakref.WeakSet[ChampionFollower] = weakref.WeakSet()


def _after_fork() -> None:
    for follower in list(_followers):
        follower.after_fork()


os.register_at_fork(after_in_child=_after_fork)
