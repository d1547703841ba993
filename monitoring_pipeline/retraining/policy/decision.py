"""What was decided and why, with the keys of the rows it rests on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

Answer = Literal["retrain", "wait", "skip"]
PERSON = "person"
NOTHING = "none"


def digest(parts: Iterable[str]) -> str:
    """SHA-256 of some texts, whatever their order."""
    return hashlib.sha256(json.dumps(sorted(set(parts))).encode()).hexdigest()


@dataclass(frozen=True)
class Signal:
    """What one trigger says. ``keys``: of the rows that made it fire. ``since``: when the change it saw began."""

    trigger: str
    fired: bool
    sentence: str
    keys: tuple[str, ...] = ()
    since: datetime | None = None


@dataclass(frozen=True)
class Held:
    """A guard that holds a retraining back. ``free_at``: when it lets go by itself; None where only rows can tell.

    ``forbids``: the declaration says no (skip); otherwise it is not yet time (wait).
    """

    guard: str
    sentence: str
    free_at: datetime | None = None
    forbids: bool = False


@dataclass(frozen=True)
class Decision:
    """``retrain``, ``wait`` (not yet) or ``skip`` (the policy forbids it), and why in one or two sentences.

    ``trigger``: those that fired, joined by ``+``; ``none``; or ``person``. ``signals``: what each trigger said.
    """

    answer: Answer
    trigger: str
    reason: str
    signals: tuple[Signal, ...] = ()
    held: tuple[Held, ...] = ()
    extra_keys: tuple[str, ...] = field(default=())

    @property
    def keys(self) -> tuple[str, ...]:
        """Keys of the rows that fired, in order."""
        fired = (key for one in self.signals if one.fired for key in one.keys)
        return tuple(sorted({*fired, *self.extra_keys})) if self.trigger != NOTHING else ()

    @property
    def evidence_key(self) -> str | None:
        """SHA-256 of ``keys``; None when nothing fired."""
        return digest(self.keys) if self.keys else None

    @property
    def fold_key(self) -> str:
        """Equal for decisions that differ only in counts and moments: such a one that follows another is no new row."""
        return digest([self.answer, f"trigger {self.trigger}", *(f"guard {one.guard}" for one in self.held)])

    @property
    def since(self) -> datetime | None:
        """When the change that fired began; None when nothing that fired is a change."""
        return min((one.since for one in self.signals if one.fired and one.since), default=None)

    def evidence(self) -> dict[str, Any]:
        """As kept in ``retrain_decision.evidence``: plain JSON values."""
        return {
            "keys": list(self.keys),
            "first_window": self.since.isoformat() if self.since else None,
            "triggers": [
                {"trigger": one.trigger, "fired": one.fired, "sentence": one.sentence} for one in self.signals
            ],
            "guards": [
                {"guard": one.guard, "sentence": one.sentence,
                 "free_at": one.free_at.isoformat() if one.free_at else None}
                for one in self.held
            ],
        }  # fmt: skip
