"""Fast reads of one feature view: the SQL is written once, and runs for each read."""

import sqlite3
from collections.abc import Callable, Sequence
from typing import Any

from exact_stores import tables
from exact_stores.exact_online import NotApplied, Row
from exact_stores.rows import Column
from exact_stores.sql import identifier
from exact_stores.sqlite_file import SqliteFile

#: Keys in one statement. A statement's own cost is then small, and SQLite's limit of parameters is far away.
_KEYS_PER_STATEMENT = 1000


class Reader:
    """Reads some features of a view by entity key. Threads may share it.

    It is made for the table's columns of that time: make a new one when the view has changed. It ignores the view's
    TTL. The caller compares the event timestamps, as only the caller knows the timestamp to compare with.
    """

    def __init__(self, file: SqliteFile, table: str, layout: Sequence[Column]) -> None:
        """`layout` names the features, in the order of the values. Raises NotApplied if the table is missing."""
        self.file = file
        with file.reading() as connection:
            existing = tables.feature_columns(connection, table)
            if not existing and not tables.exists(connection, table):
                raise NotApplied(f"{file.path} has no table {table!r}. Run: feast apply")
        features = [identifier(column.name) if column.name in existing else "NULL" for column in layout]
        columns = ", ".join(["entity_key", "event_timestamp", *features])
        self._select = f"SELECT {columns} FROM {identifier(table)} WHERE "
        self._select_by_key = self._select + "entity_key = ?"
        to_python = [column.to_python for column in layout]
        self._decode = _decoder(to_python) if any(to_python) else None

    def read(self, keys: Sequence[bytes]) -> list[Row | None]:
        """For each key, in order: its row with the features as Python values, or None if no row is stored.

        Raises OnlineStoreError.
        """
        with self.file.reading() as connection:
            return self.read_by(connection, keys)

    def read_by(self, connection: sqlite3.Connection, keys: Sequence[bytes]) -> list[Row | None]:
        """The same, by an open connection to the file."""
        rows = self._stored(connection, keys)
        if self._decode is None:
            return rows
        return [(row[0], self._decode(row[1])) if row else None for row in rows]

    def read_stored(self, keys: Sequence[bytes]) -> list[Row | None]:
        """As `read`, with the features as SQLite stores them."""
        with self.file.reading() as connection:
            return self._stored(connection, keys)

    def _stored(self, connection: sqlite3.Connection, keys: Sequence[bytes]) -> list[Row | None]:
        if len(keys) == 1:
            row = connection.execute(self._select_by_key, (keys[0],)).fetchone()
            return [(row[1], row[2:]) if row else None]
        rows: dict[bytes, Row] = {}
        for start in range(0, len(keys), _KEYS_PER_STATEMENT):
            batch = keys[start : start + _KEYS_PER_STATEMENT]
            query = f"{self._select}entity_key IN ({', '.join('?' * len(batch))})"
            rows |= {row[0]: (row[1], row[2:]) for row in connection.execute(query, batch)}
        return [rows.get(key) for key in keys]


def _decoder(to_python: Sequence[Callable[[Any], Any] | None]) -> Callable[[tuple[Any, ...]], tuple[Any, ...]]:
    return lambda values: tuple(
        convert(value) if convert and value is not None else value
        for convert, value in zip(to_python, values, strict=True)
    )
