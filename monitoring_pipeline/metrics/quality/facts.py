"""What is known of a window beside its profile."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from monitoring_pipeline.records import Contract


@dataclass(frozen=True)
class WindowFacts:
    """Facts from the ledger about one window of all versions and segments.

    ``n_rows`` was kept, after ``n_duplicates`` and ``n_quarantined`` (by reason in ``quarantine``) were set aside.
    ``usual_rows``: rows of earlier windows at the same hour of the week (daily windows: day of the week).
    ``freshness_seconds``: end of the window minus its last event; None without events. ``coverage``: the
    labelled share in [0, 1]; None where nothing is labelled yet or no ground truth is declared.
    """

    n_rows: int
    n_duplicates: int = 0
    n_quarantined: int = 0
    quarantine: Mapping[str, int] = field(default_factory=dict)
    contract: Contract = field(default_factory=Contract)
    usual_rows: tuple[int, ...] = ()
    freshness_seconds: float | None = None
    coverage: float | None = None

    @property
    def n_received(self) -> int:
        """Rows that arrived for this window."""
        return self.n_rows + self.n_duplicates + self.n_quarantined
