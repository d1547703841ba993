"""Postgres: the only place that talks to it.

Belongs here: the embedded server, connections and retries, migrations, what is read and written, the records that cross
the boundary. Does not belong here: computing figures (``metrics``), raw rows (``lake``), anything about Dagster.
"""
