"""Triggers: what asks for a retraining. Each is one function ``(declared, facts, now, persistence) -> Signal``.

Belongs here: whether it fires, the sentence that says so, and the keys of the rows. Does not belong here: what holds a
retraining back (``guards``).
"""
