"""What a panel asks: SQL of the warehouse, or PromQL."""

from __future__ import annotations

from grafana.kit.sdk import Builder, Dataquery, shapes

POSTGRES = shapes.DataSourceRef(type_val="grafana-postgresql-datasource", uid="monitoring-postgres")
PROMETHEUS = shapes.DataSourceRef(type_val="prometheus", uid="monitoring-prometheus")


class Sql(Builder, Dataquery):
    """A query of Postgres; the SDK has no builder for it. ``series``: it has a column ``time`` and is sorted by it."""

    source = POSTGRES

    def __init__(self, text: str, ref: str = "A", series: bool = False) -> None:
        self.text, self.ref, self.format = text.strip(), ref, "time_series" if series else "table"

    def build(self) -> Sql:
        return self

    def to_json(self) -> dict[str, object]:
        return {
            "datasource": POSTGRES,
            "refId": self.ref,
            "format": self.format,
            "rawQuery": True,
            "rawSql": self.text,
            "editorMode": "code",
        }


class Prom(Builder, Dataquery):
    """A query of Prometheus. ``legend`` names the series; ``instant``: only the newest sample of each."""

    source = PROMETHEUS

    def __init__(self, expr: str, legend: str = "__auto", ref: str = "A", instant: bool = False) -> None:
        self.expr, self.legend, self.ref, self.instant = expr.strip(), legend, ref, instant

    def build(self) -> Prom:
        return self

    def to_json(self) -> dict[str, object]:
        return {
            "datasource": PROMETHEUS,
            "refId": self.ref,
            "expr": self.expr,
            "legendFormat": self.legend,
            "range": not self.instant,
            "instant": self.instant,
            "format": "table" if self.instant else "time_series",
            "editorMode": "code",
        }
