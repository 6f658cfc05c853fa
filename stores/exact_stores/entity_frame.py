"""The entity frame: the rows to get features for, each with its keys and its timestamp."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from feast.errors import FeastEntityDFMissingColumnsError
from feast.infra.offline_stores.offline_utils import infer_event_timestamp_from_entity_df

from exact_stores.frame_timestamps import in_unit, timestamps_of
from exact_stores.timestamps import from_microseconds
from exact_stores.utc_duckdb import NULL_TYPE, connect

#: Older than every timestamp.
FOR_EVER = -(2**63) + 1
_FIRST, _LAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
#: Arrow type → the type of pandas that has nulls too.
WHOLE_NUMBERS = {
    getattr(pa, name.lower())(): getattr(pd, f"{name}Dtype")()
    for name in ("Int8", "Int16", "Int32", "Int64", "UInt8", "UInt16", "UInt32", "UInt64")
}

#: Kinds of Arrow types → the DuckDB types that they are compared with. What is of none of them is a number.
_COMPARABLE = (
    (lambda kind: pa.types.is_string(kind) or pa.types.is_large_string(kind), ("VARCHAR", "UUID")),
    (lambda kind: pa.types.is_binary(kind) or pa.types.is_large_binary(kind), ("BLOB",)),
    (lambda kind: pa.types.is_timestamp(kind) or pa.types.is_date(kind), ("TIMESTAMP", "DATE")),
    (pa.types.is_nested, ("STRUCT", "MAP", "LIST")),
)


@dataclass(frozen=True)
class EntityFrame:
    """An entity frame as the caller gave it, and the name of its timestamp column (UTC where it has no zone)."""

    rows: pd.DataFrame
    time_column: str

    @staticmethod
    def from_input(entity_df: pd.DataFrame | str) -> "EntityFrame":
        """Take a data frame, whose index is ignored, or SQL that DuckDB runs.

        Raises ValueError for a column that is not named by text, and Feast's EntityTimestampInferenceException if no
        column, or more than one, can be the timestamp.
        """
        rows = _run_sql(entity_df) if isinstance(entity_df, str) else entity_df.reset_index(drop=True)
        if unnamed := [name for name in rows.columns if not isinstance(name, str)]:
            raise ValueError(f"The entity frame has columns that are not named by text: {unnamed}. Rename them.")
        time_column = infer_event_timestamp_from_entity_df(dict(zip(rows.columns, rows.dtypes, strict=True)))
        return EntityFrame(rows, time_column)

    @cached_property
    def _timestamps(self) -> np.ndarray[Any, Any]:
        """The timestamps in UTC, as datetime64 of microseconds or nanoseconds, NaT where there is none."""
        try:
            return timestamps_of(self.rows[self.time_column])
        except ValueError as error:
            raise ValueError(f"Column {self.time_column!r} of the entity frame: {error}") from None

    @property
    def range(self) -> tuple[datetime | None, datetime | None]:
        """The first and the last timestamp, in UTC. None without rows."""
        timestamps = self._timestamps[~np.isnat(self._timestamps)]
        return (_to_datetime(timestamps.min()), _to_datetime(timestamps.max())) if len(timestamps) else (None, None)

    def source_range(self, ttl: timedelta | None) -> tuple[datetime | None, datetime | None]:
        """The range of event timestamps that can matter to the frame, rounded outwards. None is no limit."""
        first, last = self.range
        if first is None or last is None:
            return None, None
        start = first - ttl if ttl and first - _FIRST > ttl else None
        return start, last + _MICROSECOND if last < _LAST else None

    def join_input(self, keys: Mapping[str, str], ttl: timedelta | None, unit: str) -> pa.Table:
        """What the join needs of each row that has a timestamp.

        The columns are `row` (its position in the frame), its keys `k0`, `k1`, …, its `entity_timestamp`, and
        `oldest`, the oldest event timestamp within the TTL, both as whole `unit` (`us` or `ns`) since 1970.

        `keys` maps a column of the frame to the DuckDB type that it is compared with. Raises ValueError as
        `key_values` does.
        """
        has_timestamp = ~np.isnat(self._timestamps)
        timestamps = self._timestamps[has_timestamp]
        columns = {
            "row": np.flatnonzero(has_timestamp),
            "entity_timestamp": in_unit(timestamps, unit),
            "oldest": in_unit(_minus(timestamps, ttl), unit, rounds_up=True)
            if ttl
            else np.full(len(timestamps), FOR_EVER),
        }
        if ttl:
            columns["oldest"] = in_unit(_minus(timestamps, ttl), unit, rounds_up=True)
        columns |= {
            f"k{i}": key_values(self.rows[key][has_timestamp], dtype) for i, (key, dtype) in enumerate(keys.items())
        }
        return pa.table(columns)

    def require(self, columns: set[str]) -> None:
        """Raises Feast's FeastEntityDFMissingColumnsError if the frame lacks one of these columns."""
        missing = columns - set(self.rows.columns)
        if missing:
            raise FeastEntityDFMissingColumnsError(columns | {self.time_column}, missing)  # type: ignore[no-untyped-call]

    def to_arrow(self) -> pa.Table:
        """The rows as an Arrow table. Raises ValueError for a column that has no Arrow type."""
        try:
            return pa.Table.from_pandas(self.rows, preserve_index=False)
        except (pa.ArrowException, OverflowError):
            for name in self.rows.columns:
                _to_array(self.rows[name])
            raise


def key_values(column: pd.Series, dtype: str) -> pa.Array:
    """The values of a key, as DuckDB compares them exactly with `dtype`.

    Integers of all widths match each other, and floats that are whole numbers, as pandas makes them of integers with
    nulls. Raises ValueError for text against a number, a number against bytes and so on, or a fraction against an
    integer.
    """
    values = _to_array(column)
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    if dtype == NULL_TYPE or pa.types.is_null(values.type):
        return values  # one side holds nulls alone, which match nothing
    if any(is_kind(values.type) != dtype.startswith(names) for is_kind, names in _COMPARABLE):
        raise ValueError(
            f"Column {column.name!r} of the entity frame holds {values.type}, and the source has {dtype}. "
            "Convert the column, with astype, to the type of the source."
        )
    if pa.types.is_floating(values.type) and dtype.endswith("INT") | dtype.endswith("INTEGER"):
        try:
            return values.cast(pa.int64())
        except pa.ArrowInvalid as error:
            raise ValueError(
                f"Column {column.name!r} of the entity frame has fractions ({error}), and the source has {dtype}. "
                "Correct the rows: a fraction matches no key."
            ) from error
    return values


def _to_array(column: pd.Series) -> pa.Array:
    try:
        values = pa.array(column, from_pandas=True)
    except (pa.ArrowException, OverflowError) as error:
        raise ValueError(
            f"Column {column.name!r} of the entity frame holds values of several types, or too large ones ({error}). "
            "Convert the column, with astype, to one type."
        ) from error
    return values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values


def _run_sql(sql: str) -> pd.DataFrame:
    """The rows of a query."""
    with connect() as connection:
        return to_pandas(connection.sql(sql).to_arrow_table())


def to_pandas(table: pa.Table) -> pd.DataFrame:
    """The table as a data frame. Whole numbers with nulls stay whole numbers, in pandas' own types."""
    return table.to_pandas(types_mapper=WHOLE_NUMBERS.get)


def _minus(timestamps: np.ndarray[Any, Any], ttl: timedelta) -> np.ndarray[Any, Any]:
    """The timestamps minus a TTL, which is cut so that none overflows."""
    unit = np.datetime_data(timestamps.dtype)[0]
    length = ttl // _MICROSECOND * (1000 if unit == "ns" else 1)
    since_1970 = timestamps.astype(np.int64)
    earlier: np.ndarray[Any, Any] = since_1970 - min(length, int(since_1970.min(initial=0)) - FOR_EVER)
    return earlier.astype(timestamps.dtype)


def _to_datetime(timestamp: np.datetime64) -> datetime:
    """In UTC, within the years that Python knows."""
    try:
        return from_microseconds(int(timestamp.astype("datetime64[us]").astype(np.int64)))
    except OverflowError:
        return _FIRST if timestamp < np.datetime64(0, "us") else _LAST
