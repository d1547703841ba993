"""Raw rows: where they come from and how they lie in the lake.

Belongs here: sources (files, SQL), the index of what they hold, ingestion of a window, the ground-truth join,
describing a source. Does not belong here: counting (``profiles``), what Postgres keeps (``warehouse``).
"""
