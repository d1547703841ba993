"""Which segment is tried next, and whom a failure is laid to, on a clock of our own."""

from __future__ import annotations

from pathlib import Path

import pytest

from monitoring_pipeline.prediction_log.attempts import LONGEST_PAUSE, REFUSALS, Attempts

BAD, *GOOD = (Path(f"w-{i:08d}.sealed") for i in range(40))


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def attempts(clock: Clock) -> Attempts:
    return Attempts(clock)


def test_the_oldest_first_and_one_that_failed_behind_the_others(attempts: Attempts, clock: Clock) -> None:
    waiting = [GOOD[2], BAD, GOOD[1]]
    assert attempts.next(waiting) == BAD
    attempts.failed(BAD)
    assert attempts.next(waiting) == GOOD[1]
    clock.now += LONGEST_PAUSE
    assert attempts.next(waiting) == GOOD[1], "rested, and behind all the same"
    assert attempts.next([BAD]) == BAD


def test_a_sink_that_is_away_is_asked_ever_more_rarely_and_nothing_is_laid_to_the_segments(
    attempts: Attempts, clock: Clock
) -> None:
    waiting, asked = [BAD, *GOOD], []
    while clock.now < 600:
        while (path := attempts.next(waiting)) is not None:
            asked.append(clock.now)
            attempts.failed(path)
        clock.now += 0.25
    assert not attempts.sink_up
    assert 20 <= len(asked) <= 65, "some 15 s to 30 s apart after the first minute"
    assert not any(attempts.refused(path) for path in waiting)

    clock.now += LONGEST_PAUSE
    while (path := attempts.next(waiting)) is not None:
        attempts.shipped(path)
        waiting.remove(path)
    assert waiting == [] and attempts.sink_up


def test_a_segment_that_fails_while_others_pass_is_refused_in_the_end(attempts: Attempts, clock: Clock) -> None:
    failures = 0
    for path in GOOD:
        waiting = {BAD, path}
        while (tried := attempts.next(waiting)) is not None and not attempts.refused(BAD):
            if tried == BAD:
                attempts.failed(BAD)
                failures += 1
            else:
                attempts.shipped(tried)
                waiting.discard(tried)
        assert path not in waiting, "it held up nobody"
        if attempts.refused(BAD):
            break
        clock.now += 5
    assert failures == REFUSALS + 1, "the first may have been the sink's"
    assert clock.now > 50 and attempts.sink_up


def test_a_refused_segment_alone_does_not_make_the_sink_look_down(attempts: Attempts, clock: Clock) -> None:
    attempts.failed(BAD)
    assert not attempts.sink_up, "nothing else is known of the sink"
    attempts.shipped(GOOD[0])
    clock.now += 60
    attempts.failed(BAD)
    attempts.failed(BAD)
    assert attempts.sink_up and not attempts.resting
    assert attempts.next([BAD, GOOD[1]]) == GOOD[1]
    attempts.failed(GOOD[1])
    assert not attempts.sink_up


def test_what_failed_only_with_the_sink_away_starts_anew_when_it_is_back(attempts: Attempts, clock: Clock) -> None:
    for _ in range(3 * REFUSALS):
        attempts.failed(BAD)
        clock.now += LONGEST_PAUSE
    assert not attempts.refused(BAD)
    attempts.shipped(BAD)
    for path in GOOD[: REFUSALS - 1]:
        attempts.failed(BAD)
        attempts.shipped(path)
    assert not attempts.refused(BAD)
