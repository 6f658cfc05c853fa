"""Arrow record batches as rows for SQLite."""

from collections.abc import Iterable, Iterator
from functools import reduce
from itertools import repeat
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from feast import FeatureView
from feast.feature_view import DUMMY_ENTITY_ID, DUMMY_ENTITY_VAL

from exact_stores import keys, rows


def from_batch(
    batch: pa.RecordBatch, view: FeatureView, event_timestamp: str, created: str | None
) -> Iterator[tuple[Any, ...]]:
    """The rows that `tables.upsert` takes, in the order of the batch.

    `event_timestamp` and `created` name two of its columns. Raises ValueError for a missing column, a null event
    timestamp, or a number that does not fit; TypeError for a wrong join key.
    """
    layout, join_keys = rows.columns(view), rows.join_keys(view)
    needed = [*join_keys, *(column.feature for column in layout), event_timestamp, *([created] if created else [])]
    missing = [name for name in needed if name not in batch.schema.names and name != DUMMY_ENTITY_ID]
    if missing:
        raise ValueError(
            f"The columns {missing} of {view.name!r} are missing. The table has {batch.schema.names}. Add them."
        )
    event_timestamps = _microseconds(batch, event_timestamp)
    if None in event_timestamps:
        nulls = event_timestamps.count(None)
        raise ValueError(
            f"{nulls} of {len(event_timestamps)} rows of the view {view.name!r} have no {event_timestamp}. "
            "Drop these rows, or give each its timestamp: nothing was written."
        )
    key_values: Iterator[Iterable[Any]] = (
        rows.Column(name, kind).from_arrow(batch.column(name))
        if name in batch.schema.names
        else repeat(DUMMY_ENTITY_VAL)
        for name, kind in join_keys.items()
    )
    return zip(
        map(keys.entity_key(join_keys), *key_values),
        event_timestamps,
        _microseconds(batch, created) if created else repeat(None),
        *(column.from_arrow(batch.column(column.feature)) for column in layout),
        strict=False,  # some of these repeat for ever
    )


def refuse_null_keys(table: pa.Table, view: FeatureView) -> None:
    """Raises ValueError if a row has no key, or lacks a part of it."""
    is_null = {
        name: pc.is_null(table[name], nan_is_null=True) for name in rows.join_keys(view) if name in table.column_names
    }
    if names := [name for name, nulls in is_null.items() if pc.any(nulls).as_py()]:
        count = pc.sum(reduce(pc.or_, is_null.values())).as_py()
        raise ValueError(
            f"{count} of {table.num_rows} rows of the view {view.name!r} have no {' or no '.join(names)}. "
            "Drop these rows, or give each its key: nothing was written."
        )


def _microseconds(batch: pa.RecordBatch, name: str) -> list[int | None]:
    """A timestamp column as microseconds since 1970. Raises ValueError if it holds anything else."""
    kind = batch.schema.field(name).type
    if not (pa.types.is_timestamp(kind) or pa.types.is_null(kind)):
        raise ValueError(f"The column {name!r} is {kind}. Give it as an Arrow timestamp in UTC.")
    since_1970: list[int | None] = batch.column(name).cast(pa.timestamp("us"), safe=False).cast(pa.int64()).to_pylist()
    return since_1970
