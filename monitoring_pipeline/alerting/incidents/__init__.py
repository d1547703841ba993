"""Incidents: alarms that share time and cause, folded over the windows of a monitor. Pure.

``alarm`` is what goes in, ``grouping`` the fold, ``severity`` and ``kinds`` (what kind of drift it is and what to do)
say how bad it is, ``sentence`` what a person on call reads. Does not belong here: reading verdicts, storing incidents.
"""
