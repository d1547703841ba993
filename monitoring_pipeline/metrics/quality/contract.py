"""How the columns met differ from the columns declared."""

from __future__ import annotations

from monitoring_pipeline.measurements import WHOLE_ROWS
from monitoring_pipeline.metrics.quality.facts import WindowFacts
from monitoring_pipeline.metrics.quality.rows import Rows, share
from monitoring_pipeline.profiles.profile import Profile


def measure_contract(rows: Rows, profile: Profile, facts: WindowFacts) -> None:
    """Adds per column ``column_missing``, ``retyped`` (0 or 1, the type met as detail) and ``type_violation_share``."""
    contract, n, received = facts.contract, facts.n_rows, facts.n_received
    names = [c.layout.name for c in profile.columns]
    for name in dict.fromkeys([*names, *contract.missing, *contract.retyped, *contract.invalid]):
        met, invalid = contract.retyped.get(name), contract.invalid.get(name, 0)
        found = f"{invalid} values do not fit" if invalid else None
        rows.add(name, "column_missing", float(name in contract.missing), n)
        rows.add(name, "retyped", float(met is not None), n, detail=met)
        rows.add(name, "type_violation_share", share(min(invalid, received), received), received, detail=found)


def measure_extra(rows: Rows, facts: WindowFacts) -> None:
    """Adds ``column_extra``, how many columns nobody declared, with their names as detail."""
    extra = facts.contract.extra
    rows.add(WHOLE_ROWS, "column_extra", float(len(extra)), facts.n_rows, detail=", ".join(extra) or None)
