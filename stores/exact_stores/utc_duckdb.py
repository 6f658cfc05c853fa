"""DuckDB in UTC: a timestamp means the same whatever the machine's time zone is."""

import tempfile
import uuid
from contextlib import suppress
from pathlib import Path

import duckdb

#: DuckDB's name for the type of a column that holds nulls alone.
NULL_TYPE = '"NULL"'


def connect(memory_limit: str | None = None) -> duckdb.DuckDBPyConnection:
    """A new in-memory DuckDB in UTC. Its cursors are in UTC too.

    Beyond `memory_limit` (such as `1GB`; DuckDB's own default is 80 % of the machine's memory) it spills to the folder
    for temporary files. Close the connection, or use it in a `with` statement.
    """
    settings: dict[str, str | bool | int | float | list[str]] = {}
    if memory_limit is not None:
        spill = Path(tempfile.gettempdir()) / f"feast-duckdb-{uuid.uuid4().hex}"
        settings = {"memory_limit": memory_limit, "temp_directory": str(spill)}
    connection = duckdb.connect(config=settings)
    connection.execute("SET GLOBAL TimeZone = 'UTC'")
    with suppress(duckdb.InvalidInputException):  # in a notebook without ipywidgets, which shows no bar anyway
        connection.execute("SET enable_progress_bar = false")
    return connection


def require_memory_limit(memory_limit: str) -> None:
    """Raises ValueError for what DuckDB does not take as a size of memory."""
    try:
        with duckdb.connect(config={"memory_limit": memory_limit}):
            pass
    except duckdb.Error as error:
        raise ValueError(f"{memory_limit!r} is no size of memory ({error}). Write one such as 500MB or 4GB.") from error
