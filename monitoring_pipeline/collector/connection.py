"""A connection: HTTP/1.1 as any client speaks it, and an end to one on which no request comes."""

from __future__ import annotations

import asyncio

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

IDLE_SECONDS = 30.0


class Connection(H11Protocol):
    """uvicorn's own in pure Python. The one in C loses the body of a request that offers HTTP/2 besides (``Upgrade:
    h2c``), which Java's client does by default.

    A connection whose next request has not begun ``idle_seconds`` after it was opened, or after its last answer, is
    closed: the clients of a machine that died would otherwise take up the places of the living.
    """

    idle_seconds = IDLE_SECONDS
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Starts the idle timer."""
        super().connection_made(transport)
        self._wait_for_request()

    def on_response_complete(self) -> None:
        """Starts the idle timer again."""
        super().on_response_complete()
        self._wait_for_request()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stops the idle timer."""
        super().connection_lost(exc)
        if self._timer is not None:
            self._timer.cancel()

    def _wait_for_request(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self.loop.call_later(self.idle_seconds, self._close_if_idle)

    def _close_if_idle(self) -> None:
        """Half a request's head is no request: a sender of a byte a second holds no place either."""
        if self.conn.their_state is h11.IDLE:
            self.transport.close()

    def _unsupported_upgrade_warning(self) -> None:
        """An offer that may be passed over is no warning with every request."""
