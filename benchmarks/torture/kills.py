"""Processes killed at any moment; what is there after the next start is what an undisturbed one makes.

python -m benchmarks.torture.kills [--seed N] [--rounds KIND=N…]

Twenty kills while the schema is made, ten while the embedded server is, twenty of runs, ten of its postmaster.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import NullPool, create_engine, make_url

from benchmarks.torture import commands
from monitoring_pipeline.warehouse.embedded import EmbeddedPostgres
from monitoring_pipeline.warehouse.migrations import migrate
from monitoring_pipeline_tests.conftest import administer, fresh_database
from monitoring_pipeline_tests.front_door import assert_same, views
from monitoring_pipeline_tests.toy import ready
from monitoring_pipeline_tests.warehouse.schema_snapshot import snapshot

RUN = ("run", "toy", "--from", "2024-03-01", "--to", "2024-03-02")
LIMIT = 300.0  # seconds that one undisturbed command may take on a busy machine


@dataclass(frozen=True)
class Ground:
    """What the rounds share: a directory, a migrated server without fsync, an undisturbed run's views and seconds."""

    place: Path
    server: str
    template: str
    draw: random.Random


def _snapshot(url: str) -> Any:
    with create_engine(url, poolclass=NullPool).connect() as connection:
        return snapshot(connection)


def _forked(work: Callable[[], object]) -> int:
    child = os.fork()
    if not child:
        try:
            os.setsid()
            work()
        finally:
            os._exit(0)
    return child


def _kill_after(child: int, seconds: float) -> bool:
    """Whether it still ran. A group of its own is not killed: what it has started goes on, as after ``kill -9``."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if os.waitpid(child, os.WNOHANG)[0]:
            return False
        time.sleep(0.002)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return True


def migrations(ground: Ground, rounds: int) -> Iterator[bool]:
    """Killed while the schema is made."""
    with contextmanager(fresh_database)(ground.server) as url:
        began = time.monotonic()
        os.waitpid(_forked(lambda: migrate(create_engine(url, poolclass=NullPool))), 0)
        whole, expected = time.monotonic() - began, _snapshot(url)
    for _ in range(rounds):
        with contextmanager(fresh_database)(ground.server) as url:
            child = _forked(lambda url=url: migrate(create_engine(url, poolclass=NullPool)))
            killed = _kill_after(child, ground.draw.uniform(0, whole))
            migrate(create_engine(url, poolclass=NullPool))
            assert _snapshot(url) == expected
            yield killed


def servers(ground: Ground, rounds: int) -> Iterator[bool]:
    """Killed while the embedded server's files are made and it is started."""
    whole = 0.0
    for number in range(rounds + 1):
        home = ground.place / f"server {number}"
        began = time.monotonic()
        child = _forked(lambda home=home: EmbeddedPostgres(home).start())
        killed = False
        if number:
            killed = _kill_after(child, ground.draw.uniform(0, whole))
        else:
            os.waitpid(child, 0)
            whole = time.monotonic() - began
        with EmbeddedPostgres(home) as server:
            engine = create_engine(server.url("postgres"), poolclass=NullPool)
            with engine.connect() as connection:
                names = connection.exec_driver_sql("select datname from pg_database order by 1").scalars().all()
                encoding = connection.exec_driver_sql("show server_encoding").scalar_one()
            assert (set(names), encoding) == ({"postgres", "template0", "template1", "monitor", "dagster"}, "UTF8")
            place = server.status.place
        assert sorted(path.name for path in place.glob("*creating*")) == [], "a half made cluster was left"
        assert not server.status.running
        shutil.rmtree(place)
        if number:
            yield killed


def _environment(base: Path, url: str | None) -> dict[str, str | None]:
    return {
        "MONITORING_HOME": str(base / "home"), "MONITORS_DIR": str(base / "monitors"), "DATABASE_URL": url,
        "PYTHONWARNINGS": "ignore", "DAGSTER_HOME": None,
    }  # fmt: skip


def _run(base: Path, url: str | None) -> float:
    """One to its end; seconds."""
    ended = commands.call(RUN, _environment(base, url), base, LIMIT)
    assert ended.code == 0 and not ended.timed_out, ended.said[-2000:]
    return ended.wall


@contextmanager
def _copied(ground: Ground) -> Iterator[str]:
    """URL of a migrated database."""
    name = f"run_{ground.draw.randrange(10**9)}"
    administer(ground.server, f'create database "{name}" template "{ground.template}"')
    try:
        yield make_url(ground.server).set(database=name).render_as_string(hide_password=False)
    finally:
        for one in (name, f"{name}_dagster"):
            administer(ground.server, f'drop database if exists "{one}" with (force)')


def runs(ground: Ground, rounds: int) -> Iterator[bool]:
    """Killed while windows are computed."""
    base = ground.place / "runs"
    ready(base, 2)
    with _copied(ground) as url:
        whole, expected = _run(base, url), views(url)
    for _ in range(rounds):
        shutil.rmtree(base / "home")
        with _copied(ground) as url:
            child, _log = commands.start(RUN, _environment(base, url), base)
            killed = _kill_after(child, ground.draw.uniform(0.05, 0.95) * whole)
            _run(base, url)
            assert_same(views(url), expected)
            yield killed


def postmasters(ground: Ground, rounds: int) -> Iterator[bool]:
    """The embedded server's postmaster killed while windows are computed on it."""
    base = ground.place / "postmasters"
    ready(base, 2)
    expected, whole = None, 0.0
    for number in range(rounds + 1):
        with EmbeddedPostgres(base / "home") as server:
            url, killed = server.url(), False
            if number:
                child, log = commands.start(RUN, _environment(base, None), base)
                time.sleep(ground.draw.uniform(0.05, 0.95) * whole)
                pid = server.status.pid
                assert pid is not None
                os.kill(pid, signal.SIGKILL)
                killed = not os.waitpid(child, os.WNOHANG)[0]
                if killed:
                    status = os.waitpid(child, 0)[1]
                    said = log.read_text(errors="replace")
                    assert os.waitstatus_to_exitcode(status) in (0, 1) and "Traceback" not in said, said[-2000:]
                server.start()
            seconds = _run(base, None)
            whole = whole or seconds
            found = views(url)
            expected = expected or found
            assert_same(found, expected)
            place = server.status.place
        shutil.rmtree(place)
        shutil.rmtree(base / "home", ignore_errors=True)
        if number:
            yield killed


KINDS = {"migration": (migrations, 20), "initdb": (servers, 10), "run": (runs, 20), "postmaster": (postmasters, 10)}


def attack(place: Path, seed: int, rounds: dict[str, int]) -> Iterator[tuple[str, int, int, float]]:
    """(kind, rounds, of which killed while it still ran, seconds). Raises AssertionError when one is not equal."""
    with EmbeddedPostgres(place / "shared") as server:
        administer(server.url("postgres"), "alter system set fsync = off")
        administer(server.url("postgres"), "select pg_reload_conf()")
        with contextmanager(fresh_database)(server.url("postgres")) as template:
            migrate(create_engine(template, poolclass=NullPool))
            name = str(make_url(template).database)
            for kind, n in rounds.items():
                began = time.monotonic()
                ground = Ground(place, server.url("postgres"), name, random.Random(f"{seed} {kind}"))
                killed = list(KINDS[kind][0](ground, n))
                yield kind, len(killed), sum(killed), time.monotonic() - began


def main() -> None:
    """Exit code 1 when a round is not equal."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--rounds", nargs="*", default=[], help="KIND=N; default: all, 60 together")
    arguments = parser.parse_args()
    chosen = dict(one.split("=") for one in arguments.rounds) or {kind: n for kind, (_, n) in KINDS.items()}
    commands.prepare()
    place = Path(tempfile.mkdtemp(prefix="torture-kills-"))
    try:
        for kind, n, killed, seconds in attack(place, arguments.seed, {kind: int(n) for kind, n in chosen.items()}):
            print(
                f"seed {arguments.seed}: {kind}: {n} rounds, {killed} killed on the way, all equal, {seconds:.0f} s",
                flush=True,
            )
    finally:
        shutil.rmtree(place, ignore_errors=True)
    sys.exit(0)


if __name__ == "__main__":
    main()
