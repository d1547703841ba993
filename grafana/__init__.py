"""Dashboards for Grafana, and what generates them.

Belongs here: one module a dashboard (``pages``), its SQL (``sql``), what all of them share (``kit``), and the JSON that
Grafana reads (``dashboards``). Does not belong here: views (``sql/views``), metrics, thresholds, verdicts.
"""
