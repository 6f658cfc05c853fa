"""Hive-partitioned feature tables, `features/<table>/year=2026/month=01/day=31/part.parquet`: zstd, µs, UTC."""

import os
import shutil
import tempfile
from datetime import date
from pathlib import Path

import duckdb

import settings
from errors import NoData

PART = "part.parquet"


def connect() -> duckdb.DuckDBPyConnection:
    """An in-memory DuckDB whose moments are UTC."""
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    return connection


def raw(table: str) -> Path:
    """Directory of a raw table that has events. Raises NoData."""
    directory = settings.raw_table(table)
    if not any(directory.glob("*.parquet")):
        raise NoData(f"No raw events at {directory}. Run: python generate_data.py")
    return directory


def files(directory: Path) -> str:
    """The Parquet files of a raw table, as SQL reads them."""
    return f"read_parquet({_literal(directory / '*.parquet')})"


def _literal(path: Path) -> str:
    return "'" + str(path).replace("'", "''") + "'"


def partition_day(partition: Path) -> date:
    year, month, day = (int(part.split("=")[1]) for part in partition.parts[-3:])
    return date(year, month, day)


def replace(connection: duckdb.DuckDBPyConnection, query: str, table: Path, since: date, until: date) -> int:
    """Write the rows of `query`, ordered by its columns, as the days since..until of `table`, both included.

    A row's day is that of its `event_timestamp`. Each day is one file and is swapped in whole: a reader, or a crash in
    the middle, sees a day's old rows or its new ones. Days outside the interval are not touched. Returns the number
    of rows.
    """
    table.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{table.name}-", dir=table.parent) as scratch:
        connection.execute(f"CREATE OR REPLACE TEMP TABLE result AS {query}")
        connection.execute("SET threads = 1")  # one file a partition
        connection.execute(
            "COPY (SELECT *, strftime(event_timestamp, '%Y') AS year, strftime(event_timestamp, '%m') AS month, "
            "strftime(event_timestamp, '%d') AS day FROM result ORDER BY ALL) "
            f"TO {_literal(Path(scratch))} (FORMAT parquet, COMPRESSION zstd, "
            f"PARTITION_BY (year, month, day), OVERWRITE true)"
        )
        connection.execute("RESET threads")
        made = {file.parent.relative_to(scratch): file for file in Path(scratch).rglob("*.parquet")}
        for old in list(table.glob("year=*/month=*/day=*")):
            if since <= partition_day(old) <= until and old.relative_to(table) not in made:
                shutil.rmtree(old)
        for day, file in made.items():
            (table / day).mkdir(parents=True, exist_ok=True)
            os.replace(file, table / day / PART)
    (count,) = connection.execute("SELECT count(*) FROM result").fetchone() or (0,)
    return int(count)
