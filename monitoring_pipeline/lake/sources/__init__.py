"""Where rows come from: files behind globs, SQL tables; what is there, which version of it, and how to scan it.

Belongs here: listing, versions, reading. Does not belong here: what a good row is (``lake.cleaning``).
"""
