"""Thin Dagster: how a monitor's stages become assets, checks, schedules and sensors.

Belongs here: keys, partitions, policies, metadata, pictures of figures computed elsewhere. Does not belong here:
arithmetic (``metrics``), SQL (``warehouse``), reading or writing rows (``stages``). Nothing below imports Dagster.
"""
