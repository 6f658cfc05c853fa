"""The rows of a source between two timestamps, as SQL for DuckDB: all of them, or the latest row of each key.

`keys`, `event_timestamp` and `created` are columns of the source. `start` and `end` are both included.
"""

from collections.abc import Callable
from datetime import datetime

import click
import pyarrow as pa
from feast import FileSource
from feast.feature_view import DUMMY_ENTITY_ID, DUMMY_ENTITY_VAL
from feast.repo_config import RepoConfig

from exact_stores.parquet_files import ParquetFiles
from exact_stores.sql import identifier, literal
from exact_stores.utc_duckdb import connect

BATCH_ROWS = 65_536

#: The join key that Feast gives to a view without entities, and requires when it writes online.
_NO_ENTITY_KEY = f", {literal(DUMMY_ENTITY_VAL)} AS {DUMMY_ENTITY_ID}"

#: A function that returns SQL once the types of the files' columns are known.
Query = Callable[[ParquetFiles], str]


def source_columns(keys: list[str], features: list[str], event_timestamp: str, created: str | None) -> list[str]:
    """The columns to read, without repeats. Empty if there are no features: a transformation reads all columns."""
    return list(dict.fromkeys([*keys, *features, event_timestamp, *([created] if created else [])])) if features else []


def every_row(columns: list[str], event_timestamp: str, start: datetime | None, end: datetime | None) -> Query:
    """Every row from `start` to `end`. None is no limit."""
    return lambda files: f"{_select(files, columns)} WHERE {files.between(event_timestamp, start, end)}"


def latest_rows(
    columns: list[str],
    keys: list[str],
    event_timestamp: str,
    created: str | None,
    start: datetime,
    end: datetime,
    created_after: datetime | None = None,
    as_timestamps: bool = False,
) -> Query:
    """The row of each key with the latest event timestamp; of several such rows, the one created last. A row without
    a key, or without a part of it, is nobody's: standard error gets their number.

    With `created_after`, rows that were created after it count too, however long before `start` they are dated. With
    `as_timestamps`, `event_timestamp` and `created` come as timestamps, also if the files hold dates or texts.
    """
    times = [event_timestamp, *([created] if created else [])]

    def query(files: ParquetFiles) -> str:
        condition = files.between(event_timestamp, start, end)
        if created and created_after:
            is_new = f"{files.comparable(created)} > {files.timestamp_literal(created, created_after)}"
            condition = f"({condition}) OR ({is_new} AND {files.between(event_timestamp, None, end)})"
        _report_null_keys(files, keys, condition)
        condition = " AND ".join([f"({condition})", *(f"NOT {files.is_missing(key)}" for key in keys)])
        order = [f"{files.comparable(event_timestamp)} DESC"]
        order += [f"{files.comparable(created)} DESC NULLS LAST"] if created else []
        order += ["file_index DESC", "file_row_number DESC"]
        partition = f"PARTITION BY {', '.join(files.column(key) for key in keys)} " if keys else ""
        is_latest = f"row_number() OVER ({partition}ORDER BY {', '.join(order)}) = 1"
        select = _select(files, columns, times if as_timestamps else [], _NO_ENTITY_KEY if not keys else "")
        return f"{select} WHERE {condition} QUALIFY {is_latest}"

    return query


def _report_null_keys(files: ParquetFiles, keys: list[str], condition: str) -> None:
    """The files' statistics say which of their parts hold nulls, so this reads little."""
    if not keys:
        return
    is_null = " OR ".join(map(files.is_missing, keys))
    query = f"SELECT count(*) FROM {files.relation} WHERE ({is_null}) AND ({condition})"
    ((count,),) = files.connection.sql(query).fetchall()
    if count:
        click.echo(f"{count} rows of {files.path} have no {' or no '.join(keys)}, and were left out.", err=True)


def in_key_order(query: Query, keys: list[str]) -> Query:
    """The same rows, roughly in the order of their entity keys, so that SQLite fills its B-tree page after page."""
    if not keys:
        return query
    return lambda files: f"{query(files)} ORDER BY {', '.join(_serialized_order(files, key) for key in keys)}"


def _serialized_order(files: ParquetFiles, key: str) -> str:
    """Terms that sort as the serialized key does: a number by its lowest byte first, a text by its length first.

    Four bytes of a number are enough.
    """
    column, kind = files.column(key), files.type_of(key)
    if kind.endswith("INT") or kind == "INTEGER":
        return ", ".join(f"({column} >> {bits}) & 255" for bits in (0, 8, 16, 24))
    return f"strlen({column}), {column}" if kind == "VARCHAR" else column


def read_batches(config: RepoConfig, source: FileSource, query: Query) -> pa.RecordBatchReader:
    """Run the query and stream its rows. The reader holds its DuckDB connection open as long as it lives."""
    connection = connect(config.offline_store.memory_limit)
    files = ParquetFiles.from_source(source, config, connection)
    return connection.sql(query(files)).to_arrow_reader(BATCH_ROWS)


def _select(files: ParquetFiles, columns: list[str], as_timestamps: list[str] | None = None, extra: str = "") -> str:
    names = columns or [name for name in files.types if name not in files.partitions]
    terms = [f"{files.column(name)} AS {identifier(name)}" for name in names]
    for name in as_timestamps or []:
        if not files.type_of(name).startswith("TIMESTAMP"):
            terms[names.index(name)] = f"CAST({files.column(name)} AS TIMESTAMPTZ) AS {identifier(name)}"
    return f"SELECT {', '.join(terms)} {extra} FROM {files.relation}"
