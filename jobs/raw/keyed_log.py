"""The keyed log: the rows of a keyed topic with their offsets, as an engine on Kafka has processed them. From it,
parity and `/why` know which events a state of some version had: those with offsets up to it.

The version of a state is the offset of its newest row; on Flink, which gives a job no offset there, the number of that
row among those of its key. Either is the `row_offset` of the row: it grows for a key.

Each partition of a topic has a folder of its own, as the offline log has, by the day on which a row was processed. A
writer that begins again after a crash writes the same rows, and may cut its files in other places: a row that lies in
two files counts once.
"""

from collections.abc import Sequence
from typing import NamedTuple

import duckdb
import pyarrow as pa

from errors import NoData
from features.windows.events import Change
from features.windows.keyed import KeyedTables
from features.windows.raw import CREATED, RawTable
from features.windows.tables import AggregationTable
from jobs import sql
from jobs.raw import offline_log
from jobs.raw.relations import cells, key_of
from root import Root

#: Columns beside those of a row: its partition, its version, and whether it takes the event away from its key.
PARTITION, OFFSET, IS_REMOVED = "row_partition", "row_offset", "is_removed"


class KeyedRow(NamedTuple):
    """A row of a keyed topic: its offset there, the version of states that have it (the offset, or what an engine has
    instead), µs since 1970 when the broker appended it, and the event of the key before and after."""

    offset: int
    version: int
    created: int
    change: Change


def schema(raw: RawTable, columns: Sequence[str]) -> pa.Schema:
    """The columns of the log, `columns` being those of the topic's rows."""
    types = offline_log.ARROW_TYPES
    fields = [(name, types[raw.column(name).dtype]) for name in columns]
    own = [(CREATED, types["timestamp"]), (PARTITION, pa.int32()), (OFFSET, pa.int64()), (IS_REMOVED, pa.bool_())]
    return pa.schema([*fields, *own])


def write(root: Root, raw: RawTable, tables: KeyedTables, partition: int, rows: Sequence[KeyedRow]) -> None:
    """Write rows of a partition, in the order of their offsets. An engine does so before it commits that it has
    processed them. Raises OSError."""
    if not rows:
        return
    fields = schema(raw, tables.columns)
    values = [
        {**(after or before or {}), CREATED: created, PARTITION: partition, OFFSET: version, IS_REMOVED: after is None}
        for _, version, created, (before, after) in rows
    ]
    table = pa.table({field.name: pa.array([row[field.name] for row in values], field.type) for field in fields})
    folder = root.keyed_log(raw.name, tables.keys) / f"partition={partition}"
    offline_log.write(folder, table, CREATED, rows[0].offset, rows[-1].offset)


def open_rows(
    connection: duckdb.DuckDBPyConnection,
    root: Root,
    table: AggregationTable,
    only: tuple[str | int | float, ...] | None = None,
) -> None:
    """Make the view `event` of `relations.open_events` from the log of the key: all events, with their versions.
    `created` and `superseded` are offsets. With `only`, the events of that key. Raises NoData."""
    place, source = root.keyed_log(table.source.name, table.keys), table.source
    files = [str(file) for folder in sorted(place.glob("partition=*")) for file in offline_log.files(folder)]
    if not files:
        raise NoData(f"No rows at {place}. Copy the keyed log of the stream job there.")
    names = [*table.keys, source.id_column, table.event_time, *table.folded_columns]
    values = {name: sql.identifier(name) for name in names}
    keys = [values[name] for name in table.keys]
    is_key = [f"{key} = {sql.literal(value)}" for key, value in zip(keys, only, strict=True)] if only else []
    read = f"read_parquet([{', '.join(map(sql.literal, files))}], union_by_name = true, hive_partitioning = false)"
    place_of_row = ", ".join([PARTITION, OFFSET, *keys])
    rows = f"SELECT DISTINCT ON ({place_of_row}) * FROM {read} WHERE {' AND '.join(is_key) or 'true'}"
    event = f"PARTITION BY {', '.join(keys)}, {values[source.id_column]} ORDER BY {OFFSET}"
    columns = "".join(f", {value} AS {name}" for name, value in cells(table, values))
    connection.execute(
        f"CREATE OR REPLACE TEMP VIEW event AS SELECT {key_of(keys)} AS key, "
        f"epoch_us({values[table.event_time]}) AS t, {OFFSET} AS created, {values[source.id_column]} AS tie{columns}, "
        f"superseded FROM (SELECT *, lead({OFFSET}) OVER ({event}) AS superseded FROM ({rows})) "
        f"WHERE NOT {IS_REMOVED} AND {values[table.event_time]} IS NOT NULL"
    )
