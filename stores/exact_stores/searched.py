"""The point-in-time join of one feature view by a sort and a binary search, for a source that fits in memory.

DuckDB reads the source once, with a number in the place of its keys. NumPy sorts the rows by key and timestamp, and
searches the row of each row of the frame. `point_in_time.py` has the join of all other sources, with the same rows.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

#: Types whose values have 8 bytes at most, beside timestamps.
_NARROW_TYPES = {
    "BOOLEAN", "TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "FLOAT",
    "DOUBLE", "DATE",
}  # fmt: skip
#: The columns of a source row beside its features: number of its keys, event time, created, file, row in the file.
_OWN_COLUMNS = 5
#: A source may take 1/4 of the memory that DuckDB may hold: two are read at a time.
_SHARE = 4

_Numbers = np.ndarray[Any, Any]


def fits(connection: duckdb.DuckDBPyConnection, row_count: int, feature_types: Iterable[str]) -> bool:
    """Whether a source of `row_count` rows may be held in memory. How large texts and lists are is not known before."""
    types = list(feature_types)
    is_narrow = all(name in _NARROW_TYPES or name.startswith("TIMESTAMP") for name in types)
    ((limit,),) = connection.sql("SELECT parse_formatted_bytes(current_setting('memory_limit'))").fetchall()
    return is_narrow and 8 * (_OWN_COLUMNS + len(types)) * row_count <= limit // _SHARE


def latest_versions(connection: duckdb.DuckDBPyConnection, versions: str, key_names: Sequence[str]) -> pa.Table:
    """The latest source row of each row of the relation `entity_rows`, which is that of `EntityFrame.join_input`, in
    all its versions, as `point_in_time.py` joins them.

    `versions` is a query of source rows: the keys `key_names`, `event_time`, and the columns that the result has beside
    `row` and `entity_timestamp`.
    """
    source, entities, key_count = _numbered(connection, versions, key_names)
    keys, times = _sort_key(source["number"].to_numpy(), key_count), source["event_time"].to_numpy()
    order = np.lexsort((times, keys))
    sorted_times = times[order]
    begins = np.searchsorted(keys[order], np.arange(key_count + 1))
    numbers, timestamps = entities["number"].to_numpy(), entities["entity_timestamp"].to_numpy()
    ends = _first_after(sorted_times, begins[numbers], begins[numbers + 1], timestamps)
    is_there = ends > begins[numbers]
    latest = sorted_times[ends[is_there] - 1]
    is_there[is_there] = latest >= entities["oldest"].to_numpy()[is_there]
    ends, begin = ends[is_there], begins[numbers[is_there]]
    starts = ends - 1  # the first of the versions; few rows have several
    several = np.flatnonzero((starts > begin) & (sorted_times[starts - 1] == sorted_times[starts]))
    starts[several] = _first_after(sorted_times, begin[several], ends[several], sorted_times[starts[several]] - 1)
    counts = ends - starts
    places = np.repeat(ends - np.cumsum(counts), counts) + np.arange(counts.sum())
    rows = np.repeat(np.flatnonzero(is_there), counts)
    chosen = source.drop_columns(["number", "event_time"]).take(pa.array(order[places]))
    for name in ("row", "entity_timestamp"):
        chosen = chosen.append_column(name, entities[name].take(pa.array(rows)))
    return chosen


def _numbered(
    connection: duckdb.DuckDBPyConnection, versions: str, key_names: Sequence[str]
) -> tuple[pa.Table, pa.Table, int]:
    """The source rows and `entity_rows`, both with the `number` of their keys, from 0 on, and how many numbers there
    are. Only rows with keys of both are there. DuckDB compares the keys, as in the other join."""
    keys = ", ".join(key_names)
    distinct = f"SELECT DISTINCT {keys} FROM entity_rows" if key_names else "SELECT 1"
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE numbered AS SELECT *, row_number() OVER () - 1 AS number FROM ({distinct})"
    )
    ((key_count,),) = connection.sql("SELECT count(*) FROM numbered").fetchall()

    def with_number(columns: str, relation: str) -> pa.Table:
        on = " AND ".join(f"rows_of.{name} = numbered.{name}" for name in key_names) or "true"
        return connection.sql(
            f"SELECT number, {columns} FROM {relation} rows_of JOIN numbered ON {on}"
        ).to_arrow_table()

    exclude = f"EXCLUDE ({keys})" if key_names else ""
    source = with_number(f"rows_of.* {exclude}", f"(SELECT * FROM ({versions}) WHERE event_time IS NOT NULL)")
    return source, with_number('"row", entity_timestamp, oldest', "entity_rows"), key_count


def _sort_key(numbers: _Numbers, key_count: int) -> _Numbers:
    """In their smallest type: NumPy sorts numbers of 16 bits ten times faster."""
    return numbers.astype(np.min_scalar_type(key_count))


def _first_after(values: _Numbers, begins: _Numbers, ends: _Numbers, limits: _Numbers) -> _Numbers:
    """For each range of positions, from begin to end, in which `values` are sorted: the position of the first value
    over its limit, or the end."""
    low, high = begins.copy(), ends.copy()
    while len(open_ := np.flatnonzero(low < high)):
        middle = (low[open_] + high[open_]) // 2
        is_over = values[middle] > limits[open_]
        high[open_[is_over]] = middle[is_over]
        low[open_[~is_over]] = middle[~is_over] + 1
    return low
