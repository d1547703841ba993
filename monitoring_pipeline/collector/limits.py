"""Limits: how much one request may ask of the collector."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Bytes of a request's body, records of a batch, characters of an id and of a text, errors told in one answer,
    seconds for a body to arrive, and for one that is refused unread."""

    body_bytes: int = 10 << 20
    records: int = 10_000
    id_length: int = 256
    text_length: int = 1024
    errors_told: int = 50
    body_seconds: float = 30.0
    refused_seconds: float = 1.0
