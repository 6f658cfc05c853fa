"""Rows of a source between two times, as SQL for DuckDB: all of them, or the latest of each key."""

from collections.abc import Callable
from datetime import datetime

import pyarrow as pa
from feast import FileSource
from feast.feature_view import DUMMY_ENTITY_ID, DUMMY_ENTITY_VAL
from feast.repo_config import RepoConfig

from exact_stores.parquet_files import ParquetFiles, open_connection

BATCH_ROWS = 65_536

#: The key that Feast gives a view without entities, and looks for when it writes online.
_NOBODY = f", '{DUMMY_ENTITY_VAL}' AS {DUMMY_ENTITY_ID}"

#: SQL, written when the types of the files' columns are known.
Query = Callable[[ParquetFiles], str]


def source_columns(keys: list[str], features: list[str], event: str, created: str | None) -> list[str]:
    """The columns to read, each once. Without features, none: every column of the files, for a transformation."""
    return list(dict.fromkeys([*keys, *features, event, *([created] if created else [])])) if features else []


def every_row(columns: list[str], event: str, start: datetime | None, end: datetime | None) -> Query:
    return lambda files: f"{_select(files, columns)} WHERE {files.between(event, start, end)}"


def latest_rows(
    columns: list[str], keys: list[str], event: str, created: str | None, start: datetime, end: datetime
) -> Query:
    """Of each key the row of the latest event; of its versions the last one written."""
    return changed_rows(columns, keys, event, created, start, end, None)


def changed_rows(
    columns: list[str],
    keys: list[str],
    event: str,
    created: str | None,
    start: datetime,
    end: datetime,
    created_after: datetime | None,
) -> Query:
    """As `latest_rows`, of the rows between the times and of those up to `end` written after `created_after`."""

    def query(files: ParquetFiles) -> str:
        wanted = files.between(event, start, end)
        if created and created_after:
            is_late = f"{files.comparable(created)} > {files.moment(created, created_after)}"
            wanted = f"({wanted}) OR ({is_late} AND {files.between(event, None, end)})"
        order = [f"{files.comparable(event)} DESC"]
        order += [f"{files.comparable(created)} DESC NULLS LAST"] if created else []
        order += ["file_index DESC", "file_row_number DESC"]
        partition = f"PARTITION BY {', '.join(files.column(key) for key in keys)} " if keys else ""
        first = f"row_number() OVER ({partition}ORDER BY {', '.join(order)}) = 1"
        return f"{_select(files, columns, _NOBODY if not keys else '')} WHERE {wanted} QUALIFY {first}"

    return query


def in_key_order(query: Query, keys: list[str]) -> Query:
    """The same rows, roughly in the order of their entity keys: a B-tree of these is then filled page after page."""
    if not keys:
        return query
    return lambda files: f"{query(files)} ORDER BY {', '.join(_serialized(files, key) for key in keys)}"


def as_moments(query: Query, times: list[str]) -> Query:
    """The same rows, with these columns as moments, though the files have dates or texts."""

    def cast(files: ParquetFiles) -> str:
        others = [files.column(name) for name in times if not files.type_of(name).startswith("TIMESTAMP")]
        moments = ", ".join(f"CAST({column} AS TIMESTAMPTZ) AS {column}" for column in others)
        return f"SELECT * REPLACE ({moments}) FROM ({query(files)})" if moments else query(files)

    return cast


def _serialized(files: ParquetFiles, key: str) -> str:
    """What sorts as the serialized key does: a number by its lowest byte first (four are enough), a text by its length
    first."""
    column, kind = files.column(key), files.type_of(key)
    if kind.endswith("INT") or kind == "INTEGER":
        return ", ".join(f"({column} >> {bits}) & 255" for bits in (0, 8, 16, 24))
    return f"strlen({column}), {column}" if kind == "VARCHAR" else column


def read_batches(config: RepoConfig, source: FileSource, query: Query) -> pa.RecordBatchReader:
    """The answer as a stream. It holds its connection open until it is gone."""
    connection = open_connection(config)
    files = ParquetFiles.of(source, config, connection)
    return connection.sql(query(files)).to_arrow_reader(BATCH_ROWS)


def _select(files: ParquetFiles, columns: list[str], also: str = "") -> str:
    wanted = columns or [name for name in files.types if name not in files.partitions]
    return f"SELECT {', '.join(files.column(name) for name in wanted)} {also} FROM {files.relation}"
