"""Grafana's alert rules on Postgres: their queries, what they say, and the file Grafana provisions.

``python -m grafana.alerts`` writes ``grafana/provisioning/alerting/rules.yaml``. Rules on live series stay in
``prometheus/rules``, where Prometheus evaluates them.
"""
