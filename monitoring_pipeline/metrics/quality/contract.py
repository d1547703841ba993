"""How the columns met differ from the columns declared."""

from __future__ import annotations

from monitoring_pipeline.metric_rows import ROW_COLUMN, QualityRow
from monitoring_pipeline.metrics.quality.facts import WindowFacts
from monitoring_pipeline.metrics.quality.window import declared
from monitoring_pipeline.monitors.declaration import Thresholds
from monitoring_pipeline.profiles.profile import Profile


def measure_contract(profile: Profile, facts: WindowFacts, thresholds: Thresholds) -> list[QualityRow]:
    """Per column ``column_missing``, ``retyped`` (0 or 1) and ``type_violation_share``; over all ``column_extra``, a
    count.

    An extra column is reported and never a violation: logs grow. A retyped one is judged by its values, not by its
    type.
    """
    contract, segment, n = facts.contract, profile.segment, facts.n_rows
    names = [c.layout.name for c in profile.columns]
    names = list(dict.fromkeys([*names, *contract.missing, *contract.retyped, *contract.invalid]))
    threshold, source = declared(thresholds, "type_violation_share")
    rows = [_extra(segment, contract.extra, n)]
    for name in names:
        absent, met = name in contract.missing, contract.retyped.get(name)
        invalid = contract.invalid.get(name, 0)
        share = min(invalid / facts.n_received, 1.0) if facts.n_received else None
        rows += [
            QualityRow(segment, name, "column_missing", float(absent), 0.0, "default", absent, n),
            QualityRow(segment, name, "retyped", float(met is not None), None, "default", None, n, met),
            QualityRow(
                segment, name, "type_violation_share", share, threshold, source,
                None if share is None else share > threshold, facts.n_received,
                f"{invalid} values do not fit" if invalid else None,
            ),
        ]  # fmt: skip
    return rows


def _extra(segment: str, extra: tuple[str, ...], n: int) -> QualityRow:
    return QualityRow(
        segment, ROW_COLUMN, "column_extra", float(len(extra)), None, "default", None, n, ", ".join(extra) or None
    )
