"""The rows that features are asked for: who, and at which moment."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
from feast.errors import FeastEntityDFMissingColumnsError
from feast.infra.offline_stores.offline_utils import infer_event_timestamp_from_entity_df

FOR_EVER = -(2**63) + 1
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_BEGIN = datetime(1, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class EntityFrame:
    """The entity frame as it was given, with the column that holds its moments (UTC where they have no zone)."""

    rows: pd.DataFrame
    time_column: str

    @staticmethod
    def of(given: pd.DataFrame | str) -> "EntityFrame":
        """A frame, or SQL that DuckDB runs. Its index means nothing here. Raises Feast's error where no column, or
        more than one, may be the moment."""
        rows = _queried(given) if isinstance(given, str) else given.reset_index(drop=True)
        if unnamed := [name for name in rows.columns if not isinstance(name, str)]:
            raise ValueError(f"The entity frame has columns that are not named by text: {unnamed}. Rename them.")
        time_column = infer_event_timestamp_from_entity_df(dict(zip(rows.columns, rows.dtypes, strict=True)))
        return EntityFrame(rows, time_column)

    @cached_property
    def _stamps(self) -> np.ndarray:
        """The moments as datetime64, UTC, NaT where there is none."""
        column = self.rows[self.time_column]
        if not pd.api.types.is_datetime64_any_dtype(column):
            column = pd.Series(pd.to_datetime(column, utc=True, format="ISO8601"))
        return column.dt.tz_convert(None).to_numpy() if column.dt.tz else column.to_numpy()

    @property
    def range(self) -> tuple[datetime | None, datetime | None]:
        """The first and the last moment, UTC; None without rows."""
        stamps = self._stamps[~np.isnat(self._stamps)]
        return (_moment(stamps.min()), _moment(stamps.max())) if len(stamps) else (None, None)

    def span(self, ttl: timedelta | None) -> tuple[datetime | None, datetime | None]:
        """Between what times rows can be of use, roundly; None where that is any time."""
        first, last = self.range
        if first is None or last is None:
            return None, None
        start = first - ttl if ttl and first - _BEGIN > ttl else None
        return start, last + timedelta(microseconds=1)

    def moments(self, keys: Mapping[str, str], ttl: timedelta | None, unit: str) -> pa.Table:
        """What the join needs: `row`, its keys `k0`, `k1`, …, its `moment`, and the `oldest` time that still counts,
        both as whole `unit` since 1970. Rows without a moment are left out.

        `keys` maps a column of the frame to the DuckDB type that it is compared with. Raises ValueError.
        """
        there = ~np.isnat(self._stamps)
        stamps = self._stamps[there]
        floor = stamps.astype(f"datetime64[{unit}]")
        ceiling = floor.astype(np.int64) + (floor < stamps)
        columns = {
            "row": np.flatnonzero(there),
            "moment": floor.astype(np.int64),
            "oldest": ceiling - _age(ttl, ceiling, unit) if ttl else np.full(len(floor), FOR_EVER),
        }
        columns |= {f"k{i}": key_values(self.rows[key][there], dtype) for i, (key, dtype) in enumerate(keys.items())}
        return pa.table(columns)

    def require(self, columns: set[str]) -> None:
        """Raises Feast's error where the frame lacks one of them."""
        missing = columns - set(self.rows.columns)
        if missing:
            raise FeastEntityDFMissingColumnsError(columns | {self.time_column}, missing)

    def to_arrow(self) -> pa.Table:
        return pa.Table.from_pandas(self.rows, preserve_index=False)


def key_values(column: pd.Series, dtype: str) -> pa.Array:
    """Keys as values that DuckDB compares with `dtype` exactly. Integers of any width are alike, and floats of whole
    numbers, as pandas makes them of integers with nulls. Raises ValueError for text against numbers, or fractions."""
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
                "Correct the rows: such a key can match nothing."
            ) from error
    return values


def _queried(sql: str) -> pd.DataFrame:
    """Integers with nulls stay integers: as pandas' own."""
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        return connection.sql(sql).to_arrow_table().to_pandas(types_mapper={pa.int64(): pd.Int64Dtype()}.get)


def _age(ttl: timedelta, ceiling: np.ndarray, unit: str) -> int:
    """A TTL in `unit`, cut where a time so old could not be told."""
    age = ttl // timedelta(microseconds=1) * (1000 if unit == "ns" else 1)
    return min(age, int(ceiling.min(initial=0)) - FOR_EVER)


def _moment(stamp: np.datetime64) -> datetime:
    return _EPOCH + timedelta(microseconds=int(stamp.astype("datetime64[us]").astype(np.int64)))
