"""The point-in-time join of one feature view by a sort and a binary search, for a source that fits in memory.

DuckDB reads the source once, and Arrow puts a number in the place of its keys. NumPy sorts the rows by key and
timestamp, and searches the row of each row of the frame. `point_in_time.py` has the join of all other sources, with the
same rows.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

_WHOLE_NUMBERS = {"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER"}
#: Types whose values have 8 bytes at most, beside timestamps.
_NARROW_TYPES = {*_WHOLE_NUMBERS, "BOOLEAN", "UBIGINT", "FLOAT", "DOUBLE", "DATE"}
#: The columns of a source row beside its features: number of its keys, event time, created, file, row in the file.
_OWN_COLUMNS = 5
#: A source may take 1/4 of the memory that DuckDB may hold: two are read at a time.
_SHARE = 4
#: Rows of the source that are held with their keys.
_BATCH_ROWS = 131_072
#: More than the numbers of one key.
_RADIX = 2**31

_Numbers = np.ndarray[Any, Any]


def fits(connection: duckdb.DuckDBPyConnection, row_count: int, feature_types: Iterable[str]) -> bool:
    """Whether a source of `row_count` rows may be held in memory. How large texts and lists are is not known before."""
    types = list(feature_types)
    is_narrow = all(name in _NARROW_TYPES or name.startswith("TIMESTAMP") for name in types)
    ((limit,),) = connection.sql("SELECT parse_formatted_bytes(current_setting('memory_limit'))").fetchall()
    return is_narrow and 8 * (_OWN_COLUMNS + len(types)) * row_count <= limit // _SHARE


def has_numbered_keys(entity_rows: pa.Table, key_types: Mapping[str, str]) -> bool:
    """Whether all keys are whole numbers of at most 63 bits, or texts, in both tables. Arrow and DuckDB compare those
    alike. `key_types` maps a key's name in `entity_rows` to its DuckDB type in the source."""
    return all(
        (dtype in _WHOLE_NUMBERS and pa.types.is_integer(kind) and kind != pa.uint64())
        or (dtype == "VARCHAR" and _is_text(kind))
        for kind, dtype in ((entity_rows[name].type, dtype) for name, dtype in key_types.items())
    )


def latest_versions(versions: duckdb.DuckDBPyRelation, entity_rows: pa.Table, key_names: Sequence[str]) -> pa.Table:
    """The latest source row of each row of `entity_rows`, which is that of `EntityFrame.join_input`, in all its
    versions, as `point_in_time.py` joins them.

    `versions` are source rows: the keys `key_names`, `event_time` without nulls, and the columns that the result has
    beside `row` and `entity_timestamp`.
    """
    numbering = _Numbering(_keys(entity_rows, key_names))
    source = _numbered(versions.to_arrow_reader(_BATCH_ROWS), key_names, numbering)
    keys, times = source["number"].to_numpy(), source["event_time"].to_numpy()
    # In their smallest type: NumPy sorts numbers of 16 bits ten times faster.
    order = np.lexsort((times, keys.astype(np.min_scalar_type(numbering.count))))
    sorted_times = times[order]
    edges = np.append(0, np.cumsum(np.bincount(keys, minlength=numbering.count + 1)))
    numbers = numbering.numbers.fill_null(numbering.count).to_numpy()  # the source has no row of that number
    begins, timestamps = edges[numbers], entity_rows["entity_timestamp"].to_numpy()
    ends = _first_after(sorted_times, begins, edges[numbers + 1], timestamps)
    is_there = ends > begins
    latest = sorted_times[ends[is_there] - 1]
    is_there[is_there] = latest >= entity_rows["oldest"].to_numpy()[is_there]
    begins, ends = begins[is_there], ends[is_there]
    starts = ends - 1  # the first of the versions; few rows have several
    several = np.flatnonzero((starts > begins) & (sorted_times[starts - 1] == sorted_times[starts]))
    starts[several] = _first_after(sorted_times, begins[several], ends[several], sorted_times[starts[several]] - 1)
    counts = ends - starts
    places = np.repeat(ends - np.cumsum(counts), counts) + np.arange(counts.sum())
    rows = pa.array(np.repeat(np.flatnonzero(is_there), counts))
    chosen = source.drop_columns(["number", "event_time"]).take(pa.array(order[places]))
    for name in ("row", "entity_timestamp"):
        chosen = chosen.append_column(name, entity_rows[name].take(rows))
    return chosen


class _Numbering:
    """The distinct keys of a table, numbered from 0 on. `numbers` are those of the table's rows, null for a null key;
    `count` is how many there are."""

    def __init__(self, keys: Sequence[pa.Array]) -> None:
        """`keys` has a column for each part of a key."""
        self._sets: list[pa.Array] = []
        self.numbers = _numbers(keys, self._distinct)
        self.count = len(self._sets[-1])

    def numbers_of(self, keys: Sequence[pa.Array]) -> pa.Array:
        """The numbers of other rows' keys, null for a key that the table does not have."""
        sets = iter(self._sets)
        return _numbers(keys, lambda _: next(sets))

    def _distinct(self, values: pa.Array) -> pa.Array:
        self._sets.append(values.unique().drop_null())
        return self._sets[-1]


def _numbers(keys: Sequence[pa.Array], value_set: Callable[[pa.Array], pa.Array]) -> pa.Array:
    """The numbers of keys, part by part: of the first, of the second, of pairs of both, of the third, …"""

    def number(values: pa.Array) -> pa.Array:
        return pc.index_in(values, value_set(values), skip_nulls=True)

    numbers = number(keys[0])
    for values in keys[1:]:
        numbers = number(pc.add(pc.multiply(numbers.cast(pa.int64()), _RADIX), number(values)))
    return numbers


def _keys(rows: pa.Table | pa.RecordBatch, names: Sequence[str]) -> list[pa.Array]:
    """The parts of the keys, in the one type that whole numbers have here, and texts. Without a key, all rows have the
    same."""
    columns = [rows[name] for name in names]
    return [values.cast(pa.large_string() if _is_text(values.type) else pa.int64()) for values in columns] or [
        pa.repeat(0, rows.num_rows)
    ]


def _numbered(reader: pa.RecordBatchReader, key_names: Sequence[str], numbering: _Numbering) -> pa.Table:
    """The rows with a key that has a number, with the `number` in the place of the keys."""
    batches, names = [], [name for name in reader.schema.names if name not in key_names]
    for batch in reader:
        numbers = numbering.numbers_of(_keys(batch, key_names))
        own = batch.select(names).append_column("number", numbers)
        batches.append(own.filter(numbers.is_valid()) if numbers.null_count else own)
    schema = pa.schema([reader.schema.field(name) for name in names])
    return pa.Table.from_batches(batches, schema.append(pa.field("number", pa.int32())))


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _first_after(values: _Numbers, begins: _Numbers, ends: _Numbers, limits: _Numbers) -> _Numbers:
    """For each range of positions, from begin to end, in which `values` are sorted: the position of the first value
    over its limit, or the end."""
    positions = begins.copy()
    step = 1 << int((ends - begins).max(initial=0)).bit_length()
    while step := step >> 1:
        ahead = positions + step
        is_before = ahead <= ends
        is_before &= values.take(ahead - 1, mode="clip") <= limits
        positions += step * is_before
    return positions
