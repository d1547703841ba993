"""Figures the project promises, each measured beside its peer. ``make bench`` runs them and writes README.md.

Belongs here: data of a fixed seed, the work to measure, in processes of its own. Does not belong here: anything the
package needs, and tests of correctness.
"""
