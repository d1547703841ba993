"""The one import of Grafana's SDK: it warns of classic dashboards, which are what Grafana provisions from files."""

import warnings

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    from grafana_foundation_sdk.builders import (
        barchart,
        bargauge,
        common,
        dashboard,
        heatmap,
        stat,
        statetimeline,
        table,
        text,
        timeseries,
    )
    from grafana_foundation_sdk.cog.builder import Builder
    from grafana_foundation_sdk.cog.encoder import JSONEncoder
    from grafana_foundation_sdk.cog.variants import Dataquery
    from grafana_foundation_sdk.models import common as shapes
    from grafana_foundation_sdk.models import dashboard as model

__all__ = [
    "Builder",
    "Dataquery",
    "JSONEncoder",
    "barchart",
    "bargauge",
    "common",
    "dashboard",
    "heatmap",
    "model",
    "shapes",
    "stat",
    "statetimeline",
    "table",
    "text",
    "timeseries",
]
