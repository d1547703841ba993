"""A dashboard: its variables, annotations and rows of panels."""

from __future__ import annotations

from typing import Any

from grafana.kit.panels import place
from grafana.kit.sdk import dashboard, model
from grafana.kit.targets import POSTGRES, Sql
from grafana.kit.variables import address

PAGES = {
    "mm-fleet": "Fleet",
    "mm-model": "Model",
    "mm-incident": "Incident",
    "mm-column": "Column",
    "mm-segments": "Segments",
    "mm-quality": "Data quality and ingestion",
    "mm-retraining": "Retraining",
    "mm-service": "Service",
    "mm-system": "The monitor itself",
}
"""Title of each page by uid. Links, alerts and docs rest on the uids."""
WIDTH = 24


class Page:
    """Rows of panels from the top down; places and ids follow from their order."""

    def __init__(self, uid: str, why: str, *, since: str = "now-90d", refresh: str = "5m") -> None:
        self.uid = uid
        self._y, self._number = 0, 0
        self._made = (
            dashboard.Dashboard(PAGES[uid])
            .uid(uid)
            .description(why)
            .tags(["model-monitoring"])
            .timezone("utc")
            .time(since, "now")
            .refresh(refresh)
            .tooltip(model.DashboardCursorSync.CROSSHAIR)
            .readonly()
        )

    def variables(self, *variables: Any) -> Page:
        """In the order in which they depend on each other."""
        for variable in variables:
            self._made.with_variable(variable)
        return self

    def links_to(self, *uids: str) -> Page:
        """On top of the page."""
        for uid in uids:
            link = dashboard.DashboardLink(PAGES[uid]).type("link").url(f"/d/{uid}").icon("dashboard")
            self._made.link(link.keep_time(True).include_vars(True))
        return self

    def dagster(self) -> Page:
        """A hidden variable with the address of Dagster's web server, for links to runs."""
        why = "Address of Dagster's web server."
        self._made.with_variable(address("dagster", "Dagster", why, "http://127.0.0.1:3000"))
        return self

    def row(self, height: int, *panels: tuple[int, Any]) -> list[int]:
        """Panels beside each other as (width, panel). Their ids. Raises ValueError when wider than the page."""
        x, ids = 0, []
        for width, panel in panels:
            self._number += 1
            self._made.with_panel(place(panel, x, self._y, width, height, self._number))
            ids.append(self._number)
            x += width
        if x > WIDTH:
            raise ValueError(f"{self.uid}: a row of width {x}")
        self._y += height
        return ids

    def events(self, name: str, color: str, query: str, panels: list[int]) -> Page:
        """An annotation query with columns time, timeend, text, tags, drawn on these panels."""
        made = dashboard.AnnotationQuery().name(name).datasource(POSTGRES).enable(True).icon_color(color)
        made.target(Sql(query, "Anno")).filter(dashboard.AnnotationPanelFilter().exclude(False).ids(panels))
        self._made.annotation(made)
        return self

    def build(self) -> Any:
        """The dashboard."""
        return self._made.build()
