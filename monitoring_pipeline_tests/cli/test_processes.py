"""Signals and children of a command."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator

import pytest

from monitoring_pipeline.cli.processes import noticing_interrupts


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
    monkeypatch.setattr(sys, "unraisablehook", lambda found: printed.append(found.exc_type))

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
