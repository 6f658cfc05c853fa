"""Python values as SQL, and a DuckDB in UTC."""

from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime
from glob import escape
from pathlib import Path
from typing import Any

import duckdb


def connect() -> duckdb.DuckDBPyConnection:
    """A DuckDB in memory, in the time zone UTC. The caller closes it: `with sql.connect() as connection:`."""
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    with suppress(duckdb.InvalidInputException):  # in a notebook without ipywidgets, which shows no bar anyway
        connection.execute("SET enable_progress_bar = false")
    return connection


def identifier(name: str) -> str:
    """A name of a table or a column, in quotes: `a"b` becomes `"a""b"`. DuckDB and SQLite read it."""
    return '"' + name.replace('"', '""') + '"'


def literal(value: bool | int | float | str | Path) -> str:
    """A number as it is; a text or a path in quotes: `it's` becomes `'it''s'`."""
    if isinstance(value, bool | int | float):
        return str(value)
    return "'" + str(value).replace("'", "''") + "'"


def parquet(files: Iterable[Path], options: str = "") -> str:
    """The rows of exactly these Parquet files. A name of a file may hold `*`, `?` and `[`, which DuckDB takes for a
    pattern. The keys in a path, such as year=2026, are no columns: they would hide the file's own."""
    names = ", ".join(literal(escape(str(file))) for file in files)
    return f"read_parquet([{names}], hive_partitioning = false{options})"


def timestamp(value: datetime) -> str:
    """A timestamp with its time zone, to the microsecond. `value` must have a zone."""
    return f"TIMESTAMPTZ {literal(value.astimezone(UTC).isoformat())}"


def row(connection: duckdb.DuckDBPyConnection, query: str, *parameters: Any) -> tuple[Any, ...]:
    """The row of a query that always has exactly one, such as a count."""
    values: tuple[Any, ...] | None = connection.execute(query, parameters).fetchone()
    assert values is not None, f"no row: {query}"
    return values
