"""Drift verdicts: thresholds of methods where somebody pinned them, and the calibrated answer for each column. Pure.

``methods`` holds measurements against thresholds. The rest makes one answer for a column and window out of counts:
``contrasts`` (what may have moved) under a ``null`` learnt from the reference's blocks (``calibration``) and from
accepted windows (``learning``), beyond an effect floor (``candidates``), against the training data and the ``season``,
at the level that the budget allows (``judgement``). Does not belong here: reading profiles, storing verdicts.
"""
