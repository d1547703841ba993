"""A disk that is full when it is full: a tmpfs of a few megabytes."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def small_disk_at(place: Path, megabytes: int) -> Iterator[Path]:
    """Mounted at ``place`` while the block runs. Skips the test, and says so, where that is not allowed."""
    place.mkdir(parents=True, exist_ok=True)
    mounted = os.geteuid() == 0 and subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", place], capture_output=True
    ).returncode == 0  # fmt: skip
    if not mounted:
        pytest.skip("NOT TESTED ON A FULL DISK: needs root to mount a tmpfs")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", place], check=True)
