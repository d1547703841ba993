"""Signals and children of a command."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from monitoring_pipeline.cli.processes import noticing_interrupts, spawn, stop, terminable


def test_an_interrupt_that_somebody_swallows_is_noticed() -> None:
    before = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        with noticing_interrupts() as interrupted:
            assert not interrupted()
            os.kill(os.getpid(), signal.SIGINT)
            assert interrupted() and interrupted(), "and stays so"
        with noticing_interrupts() as interrupted:
            assert not interrupted(), "of an earlier block"
    finally:
        signal.signal(signal.SIGINT, before)


def test_one_that_can_be_raised_nowhere_is_noticed_without_a_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    printed: list[type] = []

    def note(found: sys.UnraisableHookArgs) -> None:
        # What earlier tests left, or a thread of theirs, may be collected meanwhile and have something to say.
        if getattr(found.object, "__qualname__", "").endswith("_at_the_end"):
            printed.append(found.exc_type)

    monkeypatch.setattr(sys, "unraisablehook", note)

    def interrupted_at_the_end() -> Iterator[None]:
        try:
            yield
        finally:
            os.kill(os.getpid(), signal.SIGINT)
            for _ in range(10):
                pass

    def broken_at_the_end() -> Iterator[None]:
        try:
            yield
        finally:
            raise ValueError("a mistake")

    with noticing_interrupts() as interrupted:
        held = interrupted_at_the_end()
        next(held)
        del held
        other = broken_at_the_end()
        next(other)
        del other
        assert interrupted()
    assert printed == [ValueError]


def test_children_of_what_a_script_started_in_the_background_can_be_stopped() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # as a shell does for what ends in "&"
    try:
        with terminable():
            child = spawn("-c", "import time; print('up', flush=True); time.sleep(60)", stdout=subprocess.PIPE)
            assert child.stdout is not None and child.stdout.readline() == b"up\n"
            os.kill(os.getpid(), signal.SIGINT)  # we still ignore it
            stop([child])
            child.stdout.close()
        assert child.returncode == -signal.SIGINT, "and was not killed after a while"
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
