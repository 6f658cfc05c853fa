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

from exact_stores.timestamps import from_microseconds
from exact_stores.utc_duckdb import connect

#: Older than every timestamp.
FOR_EVER = -(2**63) + 1
_FIRST_YEAR = datetime(1, 1, 1, tzinfo=UTC)


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
        """The timestamps as datetime64 in UTC, NaT where there is none."""
        column = self.rows[self.time_column]
        if not pd.api.types.is_datetime64_any_dtype(column):
            column = pd.Series(pd.to_datetime(column, utc=True, format="ISO8601"))
        timestamps: np.ndarray[Any, Any] = (column.dt.tz_convert(None) if column.dt.tz else column).to_numpy()
        return timestamps

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
        start = first - ttl if ttl and first - _FIRST_YEAR > ttl else None
        return start, last + timedelta(microseconds=1)

    def join_input(self, keys: Mapping[str, str], ttl: timedelta | None, unit: str) -> pa.Table:
        """What the join needs of each row that has a timestamp.

        The columns are `row` (its position in the frame), its keys `k0`, `k1`, …, its `entity_timestamp`, and
        `oldest`, the oldest event timestamp within the TTL, both as whole `unit` (`us` or `ns`) since 1970.

        `keys` maps a column of the frame to the DuckDB type that it is compared with. Raises ValueError as
        `key_values` does.
        """
        has_timestamp = ~np.isnat(self._timestamps)
        timestamps = self._timestamps[has_timestamp]
        floor = timestamps.astype(f"datetime64[{unit}]")
        ceiling = floor.astype(np.int64) + (floor < timestamps)
        columns = {
            "row": np.flatnonzero(has_timestamp),
            "entity_timestamp": floor.astype(np.int64),
            "oldest": ceiling - _ttl_in(unit, ttl, ceiling) if ttl else np.full(len(floor), FOR_EVER),
        }
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
        """The rows as an Arrow table."""
        return pa.Table.from_pandas(self.rows, preserve_index=False)


def key_values(column: pd.Series, dtype: str) -> pa.Array:
    """The values of a key, as DuckDB compares them exactly with `dtype`.

    Integers of all widths match each other, and floats that are whole numbers, as pandas makes them of integers with
    nulls. Raises ValueError for text against a number, a number against text, or a fraction against an integer.
    """
    values = pa.array(column, from_pandas=True)
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    is_text = pa.types.is_string(values.type) or pa.types.is_large_string(values.type)
    if is_text != (dtype in ("VARCHAR", "UUID")) and not pa.types.is_null(values.type):
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


def _run_sql(sql: str) -> pd.DataFrame:
    """The rows of a query. Integers with nulls stay integers, in pandas' own type."""
    with connect() as connection:
        return connection.sql(sql).to_arrow_table().to_pandas(types_mapper={pa.int64(): pd.Int64Dtype()}.get)


def _ttl_in(unit: str, ttl: timedelta, timestamps: np.ndarray[Any, Any]) -> int:
    """A TTL in `unit`, cut so that no timestamp minus the TTL overflows."""
    length = ttl // timedelta(microseconds=1) * (1000 if unit == "ns" else 1)
    return min(length, int(timestamps.min(initial=0)) - FOR_EVER)


def _to_datetime(timestamp: np.datetime64) -> datetime:
    return from_microseconds(int(timestamp.astype("datetime64[us]").astype(np.int64)))
