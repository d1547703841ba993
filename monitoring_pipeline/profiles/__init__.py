"""Mergeable summaries of windows.

Belongs here: layouts (bins and categories fixed by a reference), column profiles, outcome profiles, how they add up,
and ``engines`` that compute them from rows. Does not belong here: what the figures mean (``metrics``), where they are
kept (``warehouse``).
"""
