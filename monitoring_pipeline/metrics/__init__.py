"""What profiles say: plain statistics.

Belongs here: values computed from profiles (``drift``, ``quality``, ``performance``) and their intervals. Takes
profiles, returns ``measurements``. Does not belong here: thresholds and verdicts (``alerting``), reading or writing
anything, frames, the orchestrator.
"""
