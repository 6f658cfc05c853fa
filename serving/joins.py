"""Point-in-time joins by Feast: features, and the event time of each stored row that they are from. The join itself
does not say that time, so it is asked for as one more feature."""

from serving import feast_import  # noqa: F401  first: it makes the import of Feast fast

# isort: split
import copy
from datetime import datetime
from functools import cache
from typing import Any

import pandas as pd
import pyarrow as pa
from feast import FeatureStore, Field
from feast.types import UnixTimestamp

from errors import FeaturesNotReady
from features.utc import EPOCH, MICROSECOND
from serving.compiler import projected
from serving.plan import Plan, full
from serving.store import EventTimes

#: Arrow type → the type of pandas that has nulls too.
_WHOLE_NUMBERS = {pa.int32(): pd.Int32Dtype(), pa.int64(): pd.Int64Dtype()}


def joined(store: FeatureStore, service: str, plan: Plan, frame: pd.DataFrame) -> pd.DataFrame:
    """The rows of `frame` in their order, with the service's features as columns. Raises FeaturesNotReady."""
    columns = [*frame.columns, *(name for name in plan.outputs if name not in frame)]
    if frame.empty:
        return frame.reindex(columns=columns)
    rows = frame.reset_index(drop=True)
    rows = rows.assign(as_of=rows["event_timestamp"], row_number=rows.index)
    # A join reads no online rows, so it need not wait for a view whose rows are being written.
    store.registry.serve_features_while_materializing = True
    table = store.get_historical_features(rows, store.get_feature_service(service), full_feature_names=True).to_arrow()
    # Our offline store keeps the rows and their order. Feast's own stores keep neither for sure.
    features = as_frame(table).sort_values("row_number", ignore_index=True)
    if len(features) != len(rows):
        raise FeaturesNotReady(
            f"The offline store answered {len(features)} of {len(rows)} rows. Use a store that loses none."
        )
    return features.rename(columns={whole: name for name, (_, whole) in plan.outputs.items()})[columns]


def event_times(store: FeatureStore, service: str, plan: Plan, frame: pd.DataFrame) -> list[EventTimes]:
    """For each row of `frame`, view → the event time of what holds at the row's `event_timestamp`. Live views are left
    out: their features of the past are no stored rows."""
    live = {stored.view for stored in plan.stored if stored.completeness is not None}
    views: list[Any] = []
    refs, columns = [], {}
    for name, (view, projection, _) in projected(store, service).reads.items():
        if name not in live:
            dated = Field(name=_time_of(view.batch_source), dtype=UnixTimestamp)
            timed, timed_projection = copy.copy(view), copy.copy(projection)
            timed_projection.features = [dated]
            timed.features, timed.projection = [dated], timed_projection
            views.append(timed)
            refs.append(f"{name}:{dated.name}")
            columns[name] = full(name, dated.name)
    rows = frame.reset_index(drop=True)
    rows = rows.assign(row_number=rows.index)
    provider: Any = store._get_provider()
    job = provider.get_historical_features(store.config, views, refs, rows, store.registry, store.project, True)
    table = job.to_arrow().sort_by("row_number")  # Feast's own stores may return the rows in another order
    return plan.event_times({name: _datetimes(table[column]) for name, column in columns.items()}, len(rows))


def _datetimes(column: pa.ChunkedArray) -> list[datetime | None]:
    """A column of timestamps. Most rows have the same ones as others. Arrow takes 6 µs for each."""
    timestamp = cache(lambda us: EPOCH + us * MICROSECOND)
    microseconds = column.cast(pa.timestamp("us", "UTC"), safe=False).cast(pa.int64()).to_pylist()
    return [None if us is None else timestamp(us) for us in microseconds]


def _time_of(source: Any) -> str:
    """The name of the timestamp in the view: that of the source, unless it is mapped."""
    return str((source.field_mapping or {}).get(source.timestamp_field, source.timestamp_field))


def as_frame(table: pa.Table) -> pd.DataFrame:
    """The table as a data frame. Whole numbers stay whole where others are null: as a float, one beyond 2**53 would be
    another number, and a flag 0.0, which JSON writes in another way than 0."""
    frame = table.to_pandas()
    for name, column in zip(table.column_names, table.columns, strict=True):
        if column.type in _WHOLE_NUMBERS and column.null_count:
            frame[name] = column.to_pandas(types_mapper=_WHOLE_NUMBERS.get)
    return frame
