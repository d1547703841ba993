"""The reference document: a reference profile as JSON, to ship beside a model artifact or to publish in Prometheus."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np

from monitoring_pipeline.profiles.column import ColumnProfile
from monitoring_pipeline.profiles.layout import Layout
from monitoring_pipeline.profiles.profile import EVERYTHING, Profile
from monitoring_pipeline.windows import Window

FORMAT = 1


@dataclass(frozen=True)
class Reference:
    """The profile of the rows one model version was validated on, and the layout they fixed."""

    monitor: str
    model_version: str
    layout: Layout
    profile: Profile


def to_document(reference: Reference) -> dict[str, Any]:
    """Plain JSON values; non-finite extremes of an empty column are null."""
    profile = reference.profile
    return {
        "format": FORMAT,
        "monitor": reference.monitor,
        "model_version": reference.model_version,
        "window": [profile.window.start.isoformat(), profile.window.end.isoformat()],
        "n_rows": profile.n_rows,
        "layout": reference.layout.to_json(),
        "columns": [
            {
                "name": c.layout.name,
                "role": c.layout.role,
                **{k: int(getattr(c, k)) for k in ("n", "n_missing", "n_nan", "n_inf", "n_zero")},
                **{k: _finite(getattr(c, k)) for k in ("minimum", "maximum", "mean", "m2")},
                "counts": c.counts.tolist(),
            }
            for c in profile.columns
        ],
    }


def from_document(document: dict[str, Any]) -> Reference:
    """Inverse of ``to_document``. Raises ValueError for a format this version does not know."""
    if document.get("format") != FORMAT:
        raise ValueError(f"reference document of format {document.get('format')!r}; this version reads {FORMAT}")
    layout = Layout.from_json(document["layout"])
    columns = tuple(
        ColumnProfile(
            layout.column(c["name"], c["role"]), c["n"], c["n_missing"], c["n_nan"], c["n_inf"], c["n_zero"],
            np.asarray(c["counts"], np.int64),
            float("inf") if c["minimum"] is None else c["minimum"],
            float("-inf") if c["maximum"] is None else c["maximum"],
            c["mean"], c["m2"],
        )
        for c in document["columns"]
    )  # fmt: skip
    start, end = (datetime.fromisoformat(t) for t in document["window"])
    profile = Profile(
        Window(start, end), document["model_version"], EVERYTHING, layout.layout_id, document["n_rows"], columns
    )
    return Reference(document["monitor"], document["model_version"], layout, profile)


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
