"""Orchestrated model monitoring.

One YAML file describes one deployed model; from it grows one graph of Dagster assets. Imports only go down:

    definitions, cli            the Dagster code location and the command line
    graph                       thin Dagster: assets, checks, schedules, sensors
    stages                      what happens to one window at each stage: read, compute, write (no Dagster, no SQL, no
    arithmetic) serving, demo               beside a prediction service; the flights of 2013
    metrics                     what profiles say (pure)
    profiles                    mergeable summaries of windows (pure); engines compute them
    lake                        sources, ingestion, ground-truth join
    warehouse                   Postgres: the only place that talks to it
    monitors                    the declaration of a monitor
    measurements, errors, settings, resources
"""

__version__ = "0.1.0"
