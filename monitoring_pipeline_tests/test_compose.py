"""docker-compose.yml and Dockerfile: hardened, complete, and what they start is what the command line has."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import click
import pytest
from ruamel.yaml import YAML
from typer.main import get_command

from monitoring_pipeline.cli.app import app
from monitoring_pipeline.cli.grafana_files import PASSWORD, environment
from monitoring_pipeline_tests.conftest import fresh_database

ROOT = Path(__file__).resolve().parents[1]
COMPOSE = YAML(typ="safe").load(ROOT / "docker-compose.yml")
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: one for name, one in SERVICES.items() if one["image"].startswith("monitoring-pipeline:")}
JOBS = {"migrate", "demo-data", "example-reference"}
SECRETS = ("POSTGRES_PASSWORD", "GRAFANA_READER_PASSWORD", "GRAFANA_PASSWORD")
WANTED = {
    "postgres", "migrate", "code", "web", "daemon", "collector", "exporter", "example-service", "prometheus",
    "alertmanager", "grafana", "adminer",
}  # fmt: skip


def test_all_services_are_there() -> None:
    assert set(SERVICES) >= WANTED
    assert SERVICES["adminer"]["profiles"] == ["tools"]


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_hardened(name: str) -> None:
    one = SERVICES[name]
    assert (
        one["read_only"] is True and one["cap_drop"] == ["ALL"] and one["restart"] in ("unless-stopped", "on-failure")
    )
    assert one["security_opt"] == ["no-new-privileges:true"] and "network_mode" not in one and "privileged" not in one
    assert all(port.startswith("127.0.0.1:") for port in one.get("ports", []))
    assert {"cpus", "memory"} == set(one["deploy"]["resources"]["limits"])
    assert not one["image"].endswith(":latest") and ":" in one["image"]
    assert ("healthcheck" in one) != (name in JOBS)


def test_volumes_are_named_or_read_only() -> None:
    for one in SERVICES.values():
        for volume in one.get("volumes", []):
            source, *rest = volume.split(":")
            assert source in COMPOSE["volumes"] or (source.startswith("./") and rest[-1] == "ro"), volume


def test_secrets_come_from_the_environment_and_have_no_default() -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    for name in SECRETS:
        assert re.findall(rf"\$\{{{name}(.)", text) and set(re.findall(rf"\$\{{{name}(.)", text)) == {":"}
        assert f"${{{name}:?" in text and f"${{{name}:-" not in text
    assert [line for line in (ROOT / ".env.example").read_text().splitlines() if not line.startswith("#")] == [
        f"{name}=" for name in SECRETS
    ]


def test_grafana_is_given_every_variable_its_files_name() -> None:
    given = set(SERVICES["grafana"]["environment"])
    assert {*environment(Path("/x"), "postgresql://h/d", "d", "p"), PASSWORD} - {"GF_PATHS_PROVISIONING"} <= given


@pytest.mark.parametrize("name", OURS)
def test_its_command_is_one_of_ours(name: str) -> None:
    """Options included: the command line parses it as it stands."""
    arguments, command = list(OURS[name]["command"]), get_command(app)
    while isinstance(command, click.Group):
        word = arguments.pop(0)
        found = command.get_command(click.Context(command), word)
        assert found is not None, word
        command = found
    assert command.make_context(name, arguments).args == []


def compose_command() -> list[str]:
    """Docker's own reader of compose files; it needs no engine for this."""
    for command in (["docker", "compose"], ["docker-compose"]):
        if shutil.which(command[0]) and not subprocess.run([*command, "version"], capture_output=True).returncode:
            return command
    pytest.skip("NOT CHECKED BY COMPOSE ITSELF: there is neither `docker compose` nor `docker-compose` on the PATH")


def test_compose_reads_it_and_asks_for_secrets() -> None:
    command = [*compose_command(), "-f", str(ROOT / "docker-compose.yml"), "--profile", "tools", "--profile", "example"]
    bare = {k: v for k, v in os.environ.items() if k not in SECRETS}
    done = subprocess.run([*command, "config", "--quiet"], env=bare | dict.fromkeys(SECRETS, "x"), capture_output=True)
    assert done.returncode == 0, done.stderr
    for missing in SECRETS:
        given = bare | {name: "x" for name in SECRETS if name != missing}
        done = subprocess.run([*command, "config", "--quiet", "--no-env-resolution"], env=given, capture_output=True)
        assert done.returncode and f"set {missing}".encode() in done.stderr


def test_the_dockerfile_is_linted_and_drops_root() -> None:
    text = (ROOT / "Dockerfile").read_text()
    done = subprocess.run([Path(sys.executable).parent / "hadolint", "-"], input=text, text=True, capture_output=True)
    assert done.returncode == 0, done.stdout
    last = text.split("FROM ")[-1]
    assert re.search(r"^USER 10001$", last, re.MULTILINE) and "pip install" not in last


def test_the_image_installs_what_the_locks_say() -> None:
    """The lines that it takes out of the development lock are whole requirements with hashes."""
    for pattern in re.findall(r"awk '(.+?)' requirements-dev.lock", (ROOT / "Dockerfile").read_text()):
        taken = subprocess.run(
            ["awk", pattern, ROOT / "requirements-dev.lock"], capture_output=True, text=True, check=True
        ).stdout
        named = re.findall(r"^([a-z0-9-]+)==", taken, re.MULTILINE)
        wanted = re.search(r"\((.+)\)|/\^(\w+)==", pattern)
        assert wanted and named == sorted((wanted[1] or wanted[2]).split("|"))
        assert all("--hash=sha256:" in block for block in re.split(r"(?m)^(?=[a-z])", taken) if block)


@pytest.fixture
def ports() -> dict[str, str]:
    """A free port in the place of each that the services listen on."""
    kept = {number: socket.create_server(("127.0.0.1", 0)) for number in ("4000", "3000", "8090", "9187")}
    found = {number: str(one.getsockname()[1]) for number, one in kept.items()}
    for one in kept.values():
        one.close()
    return found


def here(words: list[str], ports: dict[str, str]) -> list[str]:
    """The command on this machine: loopback, free ports, this Python's programs."""
    changed = []
    for word in words:
        for number, port in ports.items():
            word = re.sub(rf"\b{number}\b", port, word)
        changed.append(word.replace("0.0.0.0", "127.0.0.1").replace("code:", "127.0.0.1:"))
    return changed


@pytest.mark.slow
def test_services_start_one_by_one_and_their_health_checks_tell(
    embedded_server: Any, tmp_path: Path, ports: dict[str, str]
) -> None:
    programs = Path(sys.executable).parent
    database = fresh_database(embedded_server.url("postgres"))
    variables = {
        "DATABASE_URL": next(database), "MONITORING_HOME": str(tmp_path / "home"), "MONITORS_DIR": str(tmp_path),
        "PATH": f"{programs}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT), "DO_NOT_TRACK": "1", PASSWORD: "x" * 12,
    }  # fmt: skip
    quiet = {"env": os.environ | variables, "cwd": tmp_path, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}

    def healthy(name: str) -> bool:
        test = here(OURS[name]["healthcheck"]["test"][1:], ports)
        return subprocess.run(test, **quiet, timeout=120).returncode == 0

    def started(name: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(["monitoring-pipeline", *here(OURS[name]["command"], ports)], **quiet)

    subprocess.run(["monitoring-pipeline", *OURS["migrate"]["command"]], **quiet, check=True, timeout=120)
    assert not healthy("exporter") and not healthy("code")
    running = {}
    try:
        for name in ("code", "web", "daemon", "collector", "exporter"):
            running[name] = started(name)
        deadline, waiting = time.monotonic() + 150, set(running)
        while waiting and time.monotonic() < deadline:
            assert not (ended := [name for name in waiting if running[name].poll() is not None]), ended
            waiting -= {name for name in waiting if healthy(name)}
        assert not waiting
    finally:
        for process in running.values():
            process.terminate()
        codes = {name: process.wait(60) for name, process in running.items()}
        next(database, None)
    assert set(codes) == set(running), "SIGTERM, which is what Docker sends, ends each of them"
