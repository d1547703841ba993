"""A connection: HTTP/1.1 as any client speaks it, an end to whatever trickles, and room for those who have a key."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Iterable
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

logger = logging.getLogger(__name__)
IDLE_SECONDS = 30.0
REQUEST_SECONDS = 60.0  # after ``IDLE_SECONDS``: a body's thirty, and the disk's
LINGER_SECONDS = 1.0  # in which a client that still sends may read its answer
ADMITTED = 256  # connections that showed a key; beyond it requests are answered 503, so that memory stays bounded
WAITING = 256  # connections that have not
WAITING_PER_ADDRESS = 128


class Connection(H11Protocol):
    """uvicorn's own in pure Python. The one in C loses the body of a request that offers HTTP/2 besides (``Upgrade:
    h2c``), which Java's client does by default.

    A connection whose next request has not begun ``idle_seconds`` after it was opened, or after its last answer, is
    closed, and so is one whose request is not answered ``request_seconds`` later, or whose body goes on after the
    answer: clients that died, or that send a byte now and then, would otherwise take up the places of the living.

    Connections that have shown no key and those that have (``admit``) do not compete for places. When there are too
    many without one, of an address or in all, the oldest gives way to the newest: who shows a key does so at once.
    """

    idle_seconds = IDLE_SECONDS
    request_seconds = REQUEST_SECONDS
    linger_seconds = LINGER_SECONDS
    _timer: asyncio.TimerHandle | None = None
    _said_at = float("-inf")  # of all connections: when it was last logged that some gave way

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.app_state = {**self.app_state, "connection": self}  # where the application finds it
        self.admitted = False
        self.opened = time.monotonic()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Makes room, and starts the idle timer."""
        super().connection_made(transport)
        self._make_room()
        self._wait(self.idle_seconds, self._close_if_idle)

    def on_response_complete(self) -> None:
        """Starts the idle timer again; a body that goes on is not waited for."""
        super().on_response_complete()
        if self.transport.is_closing() or self.conn.their_state is h11.SEND_BODY:
            self._wait(self.linger_seconds, self.transport.abort)
        else:
            self._wait(self.idle_seconds, self._close_if_idle)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stops the timer."""
        super().connection_lost(exc)
        if self._timer is not None:
            self._timer.cancel()

    def _wait(self, seconds: float, then: Any) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self.loop.call_later(seconds, then)

    def _close_if_idle(self) -> None:
        """Half a request's head is no request: a sender of a byte a second holds no place either."""
        if self.conn.their_state is h11.IDLE:
            self.transport.close()
        else:
            self._wait(self.request_seconds, self.transport.abort)

    def _unsupported_upgrade_warning(self) -> None:
        """An offer that may be passed over is no warning with every request."""

    # Places.

    def admit(self) -> bool:
        """A valid key was shown. False when there is no place left among those that have one and are answered."""
        if self.admitted:
            return True
        others = [c for c in self._open() if c.admitted]
        if len(others) >= ADMITTED:
            idle = [c for c in others if c.cycle is None or c.cycle.response_complete]
            if not idle:
                return False
            _oldest(idle).transport.abort()
        self.admitted = True
        return True

    def _open(self) -> list[Connection]:
        return [c for c in self.connections if isinstance(c, Connection) and not c.transport.is_closing()]

    def _make_room(self) -> None:
        waiting = [c for c in self._open() if not c.admitted]
        by_address = Counter(c.address for c in waiting)
        crowded = self.address if by_address[self.address] > WAITING_PER_ADDRESS else None
        if crowded is None and len(waiting) > WAITING:
            crowded = by_address.most_common(1)[0][0]
        if crowded is not None:
            _oldest(c for c in waiting if c.address == crowded).transport.abort()
            self._say(crowded)

    @property
    def address(self) -> str:
        """Of the client; empty where the transport knows none."""
        return self.client[0] if self.client else ""

    @staticmethod
    def _say(address: str) -> None:
        """At most once in ten seconds."""
        if time.monotonic() - Connection._said_at > 10.0:
            Connection._said_at = time.monotonic()
            logger.warning("many connections of %s have shown no key; the oldest are closed", address or "a client")


def _oldest(some: Iterable[Connection]) -> Connection:
    return min(some, key=lambda c: c.opened)
