"""False alarms and power of the verdicts on drift, beside Evidently's and NannyML's default rules and GATE.

``streams`` draws counts with known truth and ``faults`` changes them; ``judged`` and ``peers`` judge the same rows;
``cells`` runs and counts, ``real_code`` compares the peers' rules with the peers themselves. Run: ``python -m
benchmarks.detection [--quick]``.
"""
