"""Rows in the warehouse's tables, written as plainly as a test can."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import text

from monitoring_pipeline.stages.catalogue import STAGES
from monitoring_pipeline.warehouse.database import Warehouse
from monitoring_pipeline.warehouse.ledger import know_stages

LENGTH = {"hour": timedelta(hours=1), "day": timedelta(days=1)}
STAGES_DONE = "ingestion profile drift quality performance verdicts"
# An empty array has no type of its own.
TYPES = {
    "column_names": "text[]", "roles": "text[]", "metrics": "text[]", "thresholds": "float8[]", "sources": "text[]",
    "value": "float8[]", "n": "bigint[]", "n_reference": "bigint[]", "flagged": "boolean[]",
}  # fmt: skip


BITS = {None: "00", False: "10", True: "11"}


@dataclass(frozen=True)
class Figure:
    """One position of a measurement and its verdict."""

    column: str
    role: str
    metric: str
    value: float | None
    flagged: bool | None


def marked(name: str) -> str:
    """The place of a value in a statement."""
    return f"cast(:{name} as {TYPES[name]})" if name in TYPES else f":{name}"


class Ledger:
    """Puts rows about one monitor into the tables; windows are counted back from now: 0 is the last whole one."""

    def __init__(
        self, warehouse: Warehouse, monitor: str, size: str = "day", delay: timedelta = timedelta(days=7)
    ) -> None:
        self.warehouse, self.monitor, self.size = warehouse, monitor, size
        self._measurements: dict[tuple[Any, ...], tuple[int, list[Figure], dict[str, Any]]] = {}
        with warehouse.transaction() as connection:
            know_stages(connection, [(stage.name, stage.asset, stage.needs_labels) for stage in STAGES])
        self.insert(
            "monitor", task="binary", window_size=size, starts_on="2020-01-01", baselines=["training", "previous"],
            has_ground_truth=True, label_coverage=0.95, label_max_delay=delay, config_version="c",
        )  # fmt: skip

    def insert(self, table: str, **values: Any) -> None:
        values = {"monitor": self.monitor, **values}
        names, marks = ", ".join(values), ", ".join(marked(name) for name in values)
        with self.warehouse.transaction() as connection:
            connection.execute(text(f"insert into monitoring.{table} ({names}) values ({marks})"), values)

    def version(self, name: str, role: str = "champion") -> None:
        self.insert("known_version", model_version=name)
        self.insert("model_version", model_version=name, role=role)

    def end(self, back: int) -> datetime:
        now = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
        return (now.replace(hour=0) if self.size == "day" else now) - back * LENGTH[self.size]

    def span(self, back: int) -> dict[str, datetime]:
        return {"window_start": self.end(back) - LENGTH[self.size], "window_end": self.end(back)}

    def window(self, back: int, *versions: str, stages: str = STAGES_DONE) -> None:
        """A window taken in and measured, each stage a second after the one before."""
        self.insert(
            "prediction_window", **self.span(back), n_rows=10, n_duplicates=0, n_quarantined=0, data_version="d",
            source_revision=0, ingestion_revision=1, lake_files=[], versions=json.dumps(dict.fromkeys(versions, 5)),
        )  # fmt: skip
        for place, stage in enumerate(stages.split()):
            inputs = {"sources": "0"} if stage == "ingestion" else {}
            self.insert(
                "window_stage", **self.span(back), stage=stage, data_version="d", label_batch=0, config_version="c",
                run_id="r", inputs=json.dumps(inputs),
                completed_at=self.end(back) + timedelta(minutes=10, seconds=place),
            )  # fmt: skip

    def failure(self, back: int, stage: str, why: str) -> None:
        self.insert(
            "window_stage", **self.span(back), stage=stage, attempts=1, last_error=why, failed_at=datetime.now(UTC)
        )

    def drift(
        self, back: int, version: str, column: str, value: float | None, drifted: bool | None, **other: Any
    ) -> None:
        """One method of one column; ``other``: method, baseline, segment, superseded_at."""
        method = other.pop("method", "psi")
        place = self._place("drift", back, version, {"baseline": "training"} | other)
        if method == "drifted_columns_share":
            shares = {"value": value, "flagged": drifted, "source": "default", "n_reference": 1, "n_current": 1}
            self._measured(place, shares={f"share_{name}": one for name, one in shares.items()})
        else:
            self._measured(place, Figure(column, "feature", method, value, drifted))

    def quality(self, back: int, version: str, column: str, metric: str, value: float, violated: bool | None) -> None:
        """One metric of one column."""
        self._measured(self._place("quality", back, version, {}), Figure(column, "", metric, value, violated))

    def performance(self, back: int, version: str, metric: str, value: float | None, **other: Any) -> None:
        """One metric; ``other``: kind, segment, degraded, coverage, mature."""
        family, degraded = other.pop("kind", "realized"), other.pop("degraded", None)
        labelled = {"n_predictions": 10, "n_labelled": round(10 * other.pop("coverage", 0.8))}
        shares = {"mature": other.pop("mature", True)}
        place = self._place(family, back, version, other)
        self._measured(place, Figure("*", "", metric, value, degraded), shares, labelled)

    def _place(self, family: str, back: int, version: str, other: dict[str, Any]) -> tuple[Any, ...]:
        other = {"baseline": "", "segment": "*", "superseded_at": None} | other
        return (family, back, version, other["baseline"], other["segment"], other["superseded_at"])

    def _measured(
        self,
        place: tuple[Any, ...],
        figure: Figure | None = None,
        shares: dict[str, Any] | None = None,
        labelled: dict[str, int] | None = None,
    ) -> None:
        """Adds to the measurement of this place, which is a row with its verdict, and writes both anew."""
        number, figures, shared = self._measurements.setdefault(place, (len(self._measurements) + 1, [], {}))
        figures += [figure] if figure else []
        shared |= shares or {}
        family, back, version, baseline, segment, superseded_at = place
        span, made = self.span(back), {"config_version": "c", "code_version": "v", "run_id": "r"}
        with self.warehouse.transaction() as connection:
            for table in ("measurement", "verdict"):
                connection.execute(
                    text(f"delete from monitoring.{table} where monitor = :m and measurement_id = :n"),
                    {"m": self.monitor, "n": number},
                )
                connection.execute(
                    text("select monitoring.ensure_months(:table, array[cast(:start as timestamptz)])"),
                    {"table": table, "start": span["window_start"]},
                )
        keys = self._numbered(
            "metric_keys", digest=uuid.uuid4().hex, family=family, column_names=[f.column for f in figures],
            roles=[f.role for f in figures], metrics=[f.metric for f in figures],
        )  # fmt: skip
        computation = self._numbered(
            "computation", monitor=self.monitor, **span, stage="s", data_version="d", computed_at=self.end(back), **made
        )
        arrays: dict[str, list[Any]] = {"n": [1] * len(figures)}
        arrays["value"] = [float("nan") if f.value is None else f.value for f in figures]
        if family == "drift":
            arrays["n_reference"] = [1] * len(figures)
        self.insert(
            "measurement", measurement_id=number, **span, family=family, model_version=version, baseline=baseline,
            segment=segment, metric_keys_id=keys, computation_id=computation, as_known_at=self.end(back),
            superseded_at=superseded_at, **(labelled or {}), **arrays,
        )  # fmt: skip
        judgement = self._numbered("judgement", monitor=self.monitor, policy_version="p", **made)
        thresholds = self._numbered(
            "threshold_set", digest=uuid.uuid4().hex, thresholds=[float("nan")] * len(figures),
            sources=["default"] * len(figures),
        )  # fmt: skip
        self.insert(
            "verdict", measurement_id=number, window_start=span["window_start"], judgement_id=judgement,
            threshold_set_id=thresholds, flags="".join(BITS[f.flagged] for f in figures),
            **({"mature": True} | shared),
        )  # fmt: skip

    def _numbered(self, table: str, **values: Any) -> int:
        """Inserts a row; the number it was given."""
        names, marks = ", ".join(values), ", ".join(marked(name) for name in values)
        statement = f"insert into monitoring.{table} ({names}) values ({marks}) returning {table}_id"
        with self.warehouse.transaction() as connection:
            return int(connection.execute(text(statement), values).scalar_one())
