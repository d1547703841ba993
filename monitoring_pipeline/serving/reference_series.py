"""The reference as a service gets it, and as constant series for Prometheus."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prometheus_client.metrics_core import GaugeMetricFamily
from prometheus_client.utils import floatToGoString

from monitoring_pipeline.errors import UserError

if TYPE_CHECKING:
    from monitoring_pipeline.profiles.document import Reference

LABELS = ("monitor", "model_version", "column")


def load_reference(source: str | os.PathLike[str] | Mapping[str, Any] | Reference) -> Reference:
    """Raises UserError naming the file and what is wrong with it."""
    from monitoring_pipeline.profiles.document import Reference, from_document

    if isinstance(source, Reference):
        return source
    where = "reference" if isinstance(source, Mapping) else os.fspath(source)
    try:
        document = dict(source) if isinstance(source, Mapping) else json.loads(Path(source).read_text("utf-8"))
        return from_document(document)
    except OSError as error:
        raise UserError(f"{where}: the reference cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"{where}: not a reference document ({type(error).__name__}: {error}); "
            "write one with `monitoring-pipeline reference export --format json`"
        ) from error


def reference_families(reference: Reference) -> Iterator[GaugeMetricFamily]:
    """Constant series of the reference: the cumulative bucket chain, categories, missing, rows, by column."""
    bucket = GaugeMetricFamily(
        "model_reference_value_bucket", "Rows of the reference at or below le.", labels=(*LABELS, "le", "prev_le")
    )
    category = GaugeMetricFamily(
        "model_reference_category", "Rows of the reference in a category.", labels=(*LABELS, "category")
    )
    missing = GaugeMetricFamily("model_reference_missing", "Rows of the reference without a value.", labels=LABELS)
    count = GaugeMetricFamily("model_reference_count", "All rows of the reference.", labels=LABELS)
    for column in reference.profile.columns:
        layout = column.layout
        if layout.role == "target":
            continue
        labels = [reference.monitor, reference.model_version, layout.name]
        if layout.kind == "numerical":
            previous, total = "-Inf", 0
            for edge, n in zip((*layout.edges, float("inf")), column.counts.tolist(), strict=True):
                total += n
                le = floatToGoString(edge)
                bucket.add_metric([*labels, le, previous], total)
                previous = le
        else:
            for name, n in zip((*layout.categories, "__unseen__"), column.counts.tolist(), strict=True):
                category.add_metric([*labels, name], n)
        missing.add_metric(labels, column.n_missing)
        count.add_metric(labels, column.n)
    yield from (bucket, category, missing, count)
