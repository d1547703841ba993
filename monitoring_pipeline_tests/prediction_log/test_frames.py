"""Damage costs the frames it touches and no other."""

from __future__ import annotations

import random

import pytest

from monitoring_pipeline.prediction_log.frames import frames, header
from monitoring_pipeline_tests.serving.reference import SEED


def written(bodies: list[bytes]) -> bytes:
    return b"".join(header(b) + b for b in bodies)


BODIES = [bytes([i]) * (20 + i) for i in range(1, 30)]


def test_whole_frames_come_back_in_order() -> None:
    assert [f.body for f in frames(written(BODIES) + bytes(4096))] == BODIES
    assert list(frames(bytes(4096))) == []


@pytest.mark.parametrize("seed", range(30))
def test_a_cut_file_gives_the_frames_before_the_cut(seed: int) -> None:
    data = written(BODIES)
    cut = random.Random(SEED + seed).randrange(len(data))
    whole, end = [], 0
    for body in BODIES:
        end += 12 + len(body)
        if end <= cut:
            whole.append(body)
    found = list(frames(data[:cut] + bytes(100)))
    assert [f.body for f in found if f.intact] == whole
    assert sum(not f.intact for f in found) <= 1


@pytest.mark.parametrize("seed", range(50))
def test_flipped_bytes_cost_only_the_frames_they_stand_in(seed: int) -> None:
    rng = random.Random(SEED + seed)
    data = bytearray(written(BODIES))
    starts = [0]
    for body in BODIES:
        starts.append(starts[-1] + 12 + len(body))
    hit = set()
    for _ in range(rng.randrange(1, 6)):
        at = rng.randrange(len(data))
        data[at] ^= 1 << rng.randrange(8)
        hit.add(max(i for i, s in enumerate(starts) if s <= at))
    found = [f.body for f in frames(bytes(data)) if f.intact]
    # a byte flipped twice alike may be whole again, hence "at least"
    assert set(found) >= {b for i, b in enumerate(BODIES) if i not in hit}
    assert all(b in BODIES for b in found)


def test_the_magic_inside_a_body_does_not_start_a_frame() -> None:
    bodies = [b"\xf5MPL" * 20, header(b"inner") + b"inner"]
    assert [f.body for f in frames(written(bodies))] == bodies
