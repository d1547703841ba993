"""Parquet times in milliseconds that DuckDB cannot hold: it counts microseconds, and one value fails the whole file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import fsspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from monitoring_pipeline.lake.duck import protocol_of
from monitoring_pipeline.lake.names import source_alias

# Beyond year 200,000 on both sides: within DuckDB's range, and still no time of the calendar.
_MOST_MILLIS = 6_300_000_000_000_000


def has_far_times(path: str) -> bool:
    """Whether a column of milliseconds may hold such a time, by the footer's least and greatest values.

    Not when the footer is damaged: whoever reads the rows names the file.
    """
    try:
        return _has_far_times(path)
    except (pa.ArrowException, OSError):
        return False


def _has_far_times(path: str) -> bool:
    with _opened(path) as file:
        columns = [i for i, field in enumerate(file.schema_arrow) if _is_millis(field.type)]
        names = {file.schema_arrow.field(i).name for i in columns}
        footer = file.metadata
        for group in range(footer.num_row_groups):
            for column in map(footer.row_group(group).column, range(footer.num_columns)):
                if column.path_in_schema in names and _may_be_far(column.statistics):
                    return True
    return False


@contextmanager
def calmed(path: str) -> Iterator[pa.RecordBatchReader]:
    """The rows under ``source_alias``, such times put where they are merely off the calendar."""
    with _opened(path) as file:
        fields = [pa.field(source_alias(i), _kind(f.type)) for i, f in enumerate(file.schema_arrow)]
        schema = pa.schema(fields)
        batches = (
            pa.RecordBatch.from_arrays([_calm(c) for c in batch.columns], schema=schema)
            for batch in file.iter_batches()
        )
        yield pa.RecordBatchReader.from_batches(schema, batches)


@contextmanager
def _opened(path: str) -> Iterator[pq.ParquetFile]:
    with fsspec.open(path if protocol_of(path) else f"file://{path}", "rb") as raw:
        yield pq.ParquetFile(raw)


def _may_be_far(statistics: pq.Statistics | None) -> bool:
    if statistics is None or not statistics.has_min_max:
        return statistics is None or not statistics.has_null_count or statistics.num_values > 0
    return bool(statistics.min_raw < -_MOST_MILLIS or statistics.max_raw > _MOST_MILLIS)


def _is_millis(kind: pa.DataType) -> bool:
    return pa.types.is_timestamp(kind) and kind.unit == "ms"


def _kind(kind: pa.DataType) -> pa.DataType:
    return pa.timestamp("us", kind.tz) if _is_millis(kind) else kind


def _calm(column: pa.Array) -> pa.Array:
    if not _is_millis(column.type):
        return column
    millis = column.cast(pa.int64())
    bounded = pc.max_element_wise(
        pc.min_element_wise(millis, _MOST_MILLIS, skip_nulls=False), -_MOST_MILLIS, skip_nulls=False
    )
    return pc.multiply(bounded, 1000).cast(_kind(column.type))
