"""What happens to windows at each stage of a model's life: read, compute, write.

Belongs here: one module a stage, each a function of a ``StageContext`` and windows that returns one outcome a window.
It joins ``lake``, ``profiles``, ``metrics`` and ``warehouse``, in one transaction a window. Does not belong here:
arithmetic (``metrics``), SQL (``warehouse``, ``lake``), anything about Dagster (``graph``).
"""
