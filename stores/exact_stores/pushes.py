"""Pushed rows: `FeatureStore.push` and `write_to_online_store` write a data frame as a materialization writes a file.

Feast makes messages of the frame first, by way of NumPy, which makes floats of whole numbers beside nulls. What it
says of a row that it cannot write names neither the view nor the column. It leaves out a frame in which all features
are null, with a warning: the online store would keep the old values, and the offline store has the nulls. `mend`
replaces two methods of Feast's provider, and two of its store, for our online store.
"""

import asyncio
from datetime import datetime
from typing import Any

import pandas as pd
import pyarrow as pa
from feast import FeatureStore, FeatureView
from feast.infra.passthrough_provider import PassthroughProvider

from exact_stores.exact_online import ExactOnlineStore
from exact_stores.frame_timestamps import timestamps_of
from exact_stores.timestamps import SLACK, to_microseconds


def mend() -> None:
    """Replace the methods of Feast's classes, for the whole process. Calling it again changes nothing."""
    provider: Any = PassthroughProvider
    if hasattr(provider.ingest_df, "feasts_own"):
        return
    feasts_own, feasts_own_async = provider.ingest_df, provider.ingest_df_async

    def ingest_df(self: Any, feature_view: Any, df: pd.DataFrame, *args: Any, **options: Any) -> None:
        if not _can_write(self.online_store, feature_view):
            feasts_own(self, feature_view, df, *args, **options)
            return
        event_timestamp, created = _time_columns(feature_view)
        table = pushed_rows(feature_view, df, self.online_store.clock())
        self.online_store.write_table(self.repo_config, feature_view, table, event_timestamp, created)

    async def ingest_df_async(self: Any, feature_view: Any, df: pd.DataFrame, *args: Any, **options: Any) -> None:
        if _can_write(self.online_store, feature_view):
            await asyncio.to_thread(ingest_df, self, feature_view, df)
        else:
            await feasts_own_async(self, feature_view, df, *args, **options)

    ingest_df.feasts_own = feasts_own  # type: ignore[attr-defined]
    provider.ingest_df, provider.ingest_df_async = ingest_df, ingest_df_async
    _mend_store(FeatureStore)


def _mend_store(store: Any) -> None:
    feasts_own, feasts_own_async = store.write_to_online_store, store.write_to_online_store_async

    def rows_for_us(self: Any, *args: Any, **options: Any) -> tuple[FeatureView, pd.DataFrame] | None:
        """The view and its rows; None where Feast's own method is to take them."""
        view, frame = self._get_feature_view_and_df_for_online_write(*args, **options)
        is_ours = frame is not None and not frame.empty and _can_write(self._get_provider().online_store, view)
        return (view, frame) if is_ours else None

    def write_to_online_store(self: Any, *args: Any, **options: Any) -> None:
        if (pushed := rows_for_us(self, *args, **options)) is None:
            feasts_own(self, *args, **options)
        else:
            self._get_provider().ingest_df(*pushed)

    async def write_to_online_store_async(self: Any, *args: Any, **options: Any) -> None:
        if (pushed := rows_for_us(self, *args, **options)) is None:
            await feasts_own_async(self, *args, **options)
        else:
            await self._get_provider().ingest_df_async(*pushed)

    store.write_to_online_store, store.write_to_online_store_async = write_to_online_store, write_to_online_store_async


def pushed_rows(view: FeatureView, frame: pd.DataFrame, now: datetime) -> pa.Table:
    """The frame as the table that `ExactOnlineStore.write_table` takes, under the view's names.

    Its timestamps may be of any unit, or texts. Without a zone they are in UTC. Raises ValueError for a missing time
    column, for what is no timestamp, and for an event timestamp later than now: a row never goes back in time, so such
    a row would hide its entity until then.
    """
    mapping: dict[str, str] = getattr(view.batch_source, "field_mapping", None) or {}
    frame = frame.rename(columns={column: mapping.get(column, column) for column in frame.columns})
    times = [name for name in _time_columns(view) if name]
    if missing := [name for name in times if name not in frame.columns]:
        raise ValueError(f"The rows of the view {view.name!r} have no {', '.join(missing)}. Add it to each row.")
    table = pa.Table.from_pandas(frame.drop(columns=times), preserve_index=False)
    for name in times:
        try:
            timestamps = timestamps_of(frame[name])
        except ValueError as error:
            raise ValueError(f"The column {name!r} of a row of the view {view.name!r}: {error}") from None
        since_1970 = pa.array(timestamps, from_pandas=True).cast(pa.timestamp("us"), safe=False)
        table = table.append_column(name, since_1970.cast(pa.timestamp("us", "UTC")))
    _refuse_future(view, times[0], table[times[0]], now)
    return table


def _refuse_future(view: FeatureView, name: str, timestamps: pa.ChunkedArray, now: datetime) -> None:
    bound, since_1970 = to_microseconds(now + SLACK), timestamps.cast(pa.int64()).to_pylist()
    future = [value for value in since_1970 if value is not None and value > bound]
    if future:
        latest = timestamps.combine_chunks()[since_1970.index(max(future))].as_py()
        raise ValueError(
            f"{len(future)} of {len(since_1970)} rows of the view {view.name!r} are dated later than now: "
            f"{name} {latest}. Correct the timestamps, or set the clock: nothing was written."
        )


def _can_write(online_store: Any, view: Any) -> bool:
    """Whether the store is ours, and the view stores what its source has."""
    return (
        isinstance(online_store, ExactOnlineStore) and isinstance(view, FeatureView) and view.batch_source is not None
    )


def _time_columns(view: FeatureView) -> tuple[str, str | None]:
    """The view's names of its event timestamp and of `created`."""
    source: Any = view.batch_source
    mapping, created = source.field_mapping or {}, source.created_timestamp_column or None
    return mapping.get(source.timestamp_field, source.timestamp_field), mapping.get(created, created)
