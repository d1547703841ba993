"""The replay client: sends flights to the service at a chosen speed, and their outcomes once they have arrived.

It measures nothing but what it was answered; its load is bounded, and it sends to this machine alone.
"""

from __future__ import annotations

import asyncio
import ipaddress
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import httpx
import numpy as np

from monitoring_pipeline.errors import UserError
from monitoring_pipeline.example.traffic import Request

Advance = Callable[[int, int], None]  # answered, failed
MAX_CONCURRENT = 64
MAX_RATE = 2000.0
LABELS_AT_ONCE = 500


@dataclass(frozen=True)
class Pace:
    """``rate`` requests a second, or ``speed`` times as fast as the flights were to leave; ``seconds`` at most."""

    rate: float | None = None
    speed: float | None = None
    seconds: float = 600.0
    concurrent: int = 8

    def __post_init__(self) -> None:
        if (self.rate is None) == (self.speed is None):
            raise UserError("give either a rate (requests a second) or a speed (times real time)")
        if (self.rate or self.speed or 0) <= 0 or (self.rate or 0) > MAX_RATE:
            raise UserError(f"the rate must be above 0 and at most {MAX_RATE:g} a second; the speed must be above 0")
        if not 1 <= self.concurrent <= MAX_CONCURRENT:
            raise UserError(f"1 to {MAX_CONCURRENT} requests at once")

    def due(self, number: int, first: datetime, moment: datetime) -> float:
        """Seconds after the start at which a request goes out."""
        return number / self.rate if self.rate else (moment - first).total_seconds() / (self.speed or 1.0)


@dataclass
class Replayed:
    """What came of it. ``latencies`` in seconds, of answered requests."""

    n_answered: int = 0
    n_failed: int = 0
    n_labels: int = 0
    n_labels_failed: int = 0
    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    first_failure: str = ""

    @property
    def n_not_taken(self) -> int:
        """Requests and outcomes that failed."""
        return self.n_failed + self.n_labels_failed

    def latency(self, quantile: float) -> float:
        """Seconds; NaN when nothing was answered."""
        return float(np.quantile(self.latencies, quantile)) if self.latencies else float("nan")


def replay(
    url: str, requests: Sequence[Request], pace: Pace, advance: Advance = lambda answered, failed: None
) -> Replayed:
    """Sends every request, in order, for ``pace.seconds`` at most.

    Raises UserError for another machine's address, and for one that nobody listens on.
    """
    host = httpx.URL(url).host
    if host != "localhost" and not _is_loopback(host):
        raise UserError(f"{url}: the replay client sends to this machine only; give an address such as 127.0.0.1")
    try:
        httpx.get(f"{url}/healthz", timeout=30)
    except httpx.TransportError as error:
        raise UserError(
            f"{url}: no service is running there ({error}); start it: `monitoring-pipeline example serve`"
        ) from error
    return asyncio.run(_Client(url, pace, advance).send(requests))


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class _Client:
    def __init__(self, url: str, pace: Pace, advance: Advance) -> None:
        self._url, self._pace, self._advance = url, pace, advance
        self._arriving: list[Request] = []
        self.result = Replayed()

    async def send(self, requests: Sequence[Request]) -> Replayed:
        started = time.monotonic()
        limits = httpx.Limits(max_connections=self._pace.concurrent + 1)
        async with httpx.AsyncClient(base_url=self._url, limits=limits, timeout=30) as client:
            places = asyncio.Semaphore(self._pace.concurrent)
            async with asyncio.TaskGroup() as tasks:
                for number, request in enumerate(requests):
                    wait = (
                        started + self._pace.due(number, requests[0].event_time, request.event_time) - time.monotonic()
                    )
                    if time.monotonic() + wait > started + self._pace.seconds:
                        break
                    await asyncio.sleep(max(0.0, wait))
                    await places.acquire()
                    tasks.create_task(self._ask(client, places, request))
                    await self._tell_arrived(client, request.event_time)
            await self._tell_arrived(client, None)
        self.result.seconds = time.monotonic() - started
        return self.result

    async def _ask(self, client: httpx.AsyncClient, places: asyncio.Semaphore, request: Request) -> None:
        began = time.perf_counter()
        try:
            answer = await client.post("/predict", json=request.to_json())
            answer.raise_for_status()
        except httpx.HTTPError as error:
            self.result.n_failed += 1
            self._note(error)
        else:
            self.result.n_answered += 1
            self.result.latencies.append(time.perf_counter() - began)
            if request.outcome is not None:
                self._arriving.append(request)
        finally:
            places.release()
            self._advance(self.result.n_answered, self.result.n_failed)

    async def _tell_arrived(self, client: httpx.AsyncClient, now: datetime | None) -> None:
        """Feedback for flights that have arrived by ``now`` of the flights' own clock; None: all of them."""
        arrived = [r for r in self._arriving if now is None or (r.label_time is not None and r.label_time <= now)]
        if now is not None and len(arrived) < LABELS_AT_ONCE // 10:
            return
        told = {r.prediction_id for r in arrived}
        self._arriving = [r for r in self._arriving if r.prediction_id not in told]
        for start in range(0, len(arrived), LABELS_AT_ONCE):
            labels = [r.label() for r in arrived[start : start + LABELS_AT_ONCE]]
            try:
                (await client.post("/feedback", json={"labels": labels})).raise_for_status()
            except httpx.HTTPError as error:
                self.result.n_labels_failed += len(labels)
                self._note(error)
            else:
                self.result.n_labels += len(labels)

    def _note(self, error: httpx.HTTPError) -> None:
        self.result.first_failure = self.result.first_failure or f"{type(error).__name__}: {error}"
