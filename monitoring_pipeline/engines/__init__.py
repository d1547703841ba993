"""Engines compute profiles from rows.

Belongs here: the ``Engine`` protocol and, engine by engine, how rows become layouts, column profiles and outcome
profiles. Does not belong here: where rows come from (``lake``), what profiles mean (``metrics``), where they are kept
(``warehouse``).

How the embedded engine works, a module each:

- ``statement``  one DuckDB ``SELECT`` of all that has to be counted, few categories already as small numbers
- ``binning``    the bin of each value, without a binary search per value where that can be had
- ``grouping``   which (window, version, segment) each row of a batch belongs to
- ``segments``   the values of a declared segmentation, and what they are called
- ``columns``    counts and moments of columns, group by group, added up over batches
- ``outcomes``   the same for predictions against outcomes
- ``whole``      what is kept for all rows of a window together: bins of predictions, comoments
- ``counter``    all of these for the model versions that share a layout, added up to the declared segments
- ``reference``  the layout that a reference fixes
- ``duckdb``     the engine: streams batches from DuckDB through the above, once
"""
