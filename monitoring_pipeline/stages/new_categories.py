"""Names of categories that the reference lacks, looked up in the window's own rows for the sentence of an incident."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from sqlalchemy import Connection

from monitoring_pipeline.alerting.incidents.alarm import Alarm
from monitoring_pipeline.errors import UserError
from monitoring_pipeline.lake.duck import connected
from monitoring_pipeline.lake.sampling import most_frequent_others
from monitoring_pipeline.lake.views import predictions_relation
from monitoring_pipeline.monitors import Window
from monitoring_pipeline.stages.context import StageContext
from monitoring_pipeline.stages.drift_batches import start_of
from monitoring_pipeline.warehouse import ledger
from monitoring_pipeline.warehouse.incident_store import Incident
from monitoring_pipeline.windows import LENGTH

log = logging.getLogger(__name__)

MOST = 10  # kept with the incident; its sentence names the first of them
Names = tuple[tuple[str, int], ...]
Place = tuple[str, str]  # window's start in ISO format, column


class NewCategories:
    """Looks names up once: what stored incidents already say is taken from them."""

    def __init__(self, stages: StageContext, stored: Iterable[Incident]) -> None:
        self._stages = stages
        self._known: dict[Place, Names] = {
            (a["window"], a["column"]): tuple((str(name), int(n)) for name, n in a["unseen"])
            for one in stored
            for a in one.evidence.get("alarms", ())
            if a.get("unseen")
        }

    def of(self, conn: Connection, alarm: Alarm, categories: Sequence[str]) -> Names:
        """The most frequent new categories of the alarm's column in its window, with counts; all segments together.

        Empty when the rows cannot be read any more.
        """
        start = start_of(alarm.number, self._stages.monitor.window)
        place = (start.isoformat(), alarm.column)
        if place not in self._known:
            self._known[place] = self._looked_up(conn, alarm.column, start, categories)
        return self._known[place]

    def _looked_up(self, conn: Connection, column: str, start: datetime, categories: Sequence[str]) -> Names:
        monitor, settings = self._stages.monitor, self._stages.settings
        window = Window(start, start + LENGTH[monitor.window])
        taken: Mapping = ledger.ingested(conn, monitor.name, [window])
        if start not in taken or not taken[start].n_rows:
            return ()
        relation = predictions_relation(monitor, [taken[start]])
        try:
            with connected(settings, relation.protocols) as duck:
                return tuple(most_frequent_others(duck, relation, relation.column_of(column), categories, MOST))
        except UserError as error:  # the incident stands without the names
            log.warning("%s: new categories of %s in %s cannot be looked up: %s", monitor.name, column, window, error)
            return ()
