"""What profiles say: plain statistics.

Belongs here: figures computed from profile values (``drift``, ``quality``, ``performance``), their intervals, and the
verdict against a declared threshold. Takes profiles, returns ``metric_rows``. Does not belong here: reading or
writing anything, frames, the orchestrator, and what follows from a verdict (incidents, alerts, retraining).
"""
