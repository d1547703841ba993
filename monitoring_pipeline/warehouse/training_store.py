"""What a training writes beside the model version: metrics, curves, trials; and what it reads of its decision."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, text

EVIDENCE = text("select evidence from monitoring.retrain_decision where revision_id = :decision_id")


def evidence(conn: Connection, decision_id: int) -> Any:
    """What a decision rests on, as JSON values; None when there is no such decision."""
    return conn.execute(EVIDENCE, {"decision_id": decision_id}).scalar()
