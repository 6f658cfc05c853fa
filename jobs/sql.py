"""Python values as SQL, and a DuckDB that thinks in UTC."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb


def connect() -> duckdb.DuckDBPyConnection:
    """A DuckDB in memory, whose timestamps are UTC. Close it, or use it in a `with` statement."""
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    return connection


def identifier(name: str) -> str:
    """A name, whatever characters it holds: `a"b` becomes `"a""b"`."""
    return '"' + name.replace('"', '""') + '"'


def literal(value: bool | int | float | str | Path) -> str:
    """A number as it is; a text or a path in quotes."""
    if isinstance(value, bool | int | float):
        return str(value)
    return "'" + str(value).replace("'", "''") + "'"


def timestamp(at: datetime) -> str:
    """A timestamp with its zone, to the microsecond. `at` has a zone."""
    return f"TIMESTAMPTZ '{at.astimezone(UTC).isoformat()}'"


def row(connection: duckdb.DuckDBPyConnection, query: str, *parameters: Any) -> tuple[Any, ...]:
    """The one row of a query that always has one, such as a count."""
    values: tuple[Any, ...] | None = connection.execute(query, parameters).fetchone()
    assert values is not None, f"no row: {query}"
    return values
