"""A request that is refused: the status and what the client is told."""

from __future__ import annotations

from collections.abc import Sequence

from monitoring_pipeline.collector.records import RecordError


class Refusal(Exception):
    """Becomes the answer ``{"error", "accepted": 0, "n_errors", "errors": [{"index", "field", "message"}]}``."""

    def __init__(
        self,
        status: int,
        message: str,
        errors: Sequence[RecordError] = (),
        n_errors: int = 0,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.errors, self.n_errors = status, message, errors, n_errors
        self.headers = headers or {}
