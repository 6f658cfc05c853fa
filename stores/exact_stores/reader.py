"""Fast reads of feature views: the SQL is written once, and runs for each read."""

import sqlite3
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from exact_stores import tables
from exact_stores.exact_online import NotApplied, Row
from exact_stores.rows import Column
from exact_stores.sql import identifier
from exact_stores.sqlite_file import SqliteFile

#: So many keys are read by one statement, which has a SELECT for each. SQLite makes a table of a list of keys, and that
#: takes several times as long as to read a few.
FEW_KEYS = 32
#: Keys in one statement. A statement's own cost is then small, and SQLite's limit of parameters is far away.
_KEYS_PER_STATEMENT = 1000


class _Table(NamedTuple):
    """A table and some of its columns, as SQL."""

    name: str
    columns: tuple[str, ...]


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
        self.table = _Table(identifier(table), ("event_timestamp", *features))
        self._select = f"SELECT entity_key, {', '.join(self.table.columns)} FROM {self.table.name} WHERE entity_key IN "
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
        return self.decoded(self._stored(connection, keys))

    def decoded(self, rows: list[Row | None]) -> list[Row | None]:
        """Rows with the features as Python values, from those that SQLite stores."""
        if self._decode is None:
            return rows
        return [(row[0], self._decode(row[1])) if row else None for row in rows]

    def read_stored(self, keys: Sequence[bytes]) -> list[Row | None]:
        """As `read`, with the features as SQLite stores them."""
        with self.file.reading() as connection:
            return self._stored(connection, keys)

    def _stored(self, connection: sqlite3.Connection, keys: Sequence[bytes]) -> list[Row | None]:
        if len(keys) <= FEW_KEYS:
            return _few(connection, [(self.table, keys)])[0]
        rows: dict[bytes, Row] = {}
        for start in range(0, len(keys), _KEYS_PER_STATEMENT):
            batch = keys[start : start + _KEYS_PER_STATEMENT]
            query = f"{self._select}({', '.join('?' * len(batch))})"
            rows |= {row[0]: (row[1], row[2:]) for row in connection.execute(query, batch)}
        return [rows.get(key) for key in keys]


def read_few(
    connection: sqlite3.Connection, requests: Sequence[tuple[Reader, Sequence[bytes]]]
) -> list[list[Row | None]]:
    """What each reader reads of its keys, of which there are `FEW_KEYS` at most together. All of it is from one commit,
    as one statement reads it."""
    stored = _few(connection, [(reader.table, keys) for reader, keys in requests])
    return [reader.decoded(rows) for (reader, _), rows in zip(requests, stored, strict=True)]


def _few(connection: sqlite3.Connection, requests: Sequence[tuple[_Table, Sequence[bytes]]]) -> list[list[Row | None]]:
    statement = _statement(tuple((table, len(keys)) for table, keys in requests))
    rows: dict[int, tuple[Any, ...]] = {}
    if statement:
        rows = {row[0]: row for row in connection.execute(statement, [key for _, keys in requests for key in keys])}
    answers, number = list[list[Row | None]](), 0
    for table, keys in requests:
        places, end = range(number, number + len(keys)), 1 + len(table.columns)
        answers.append([(row[1], row[2:end]) if (row := rows.get(place)) else None for place in places])
        number += len(keys)
    return answers


@lru_cache(maxsize=512)
def _statement(reads: tuple[tuple[_Table, int], ...]) -> str:
    """One that reads so many keys of each table, "" for no key. A row begins with the number of its key, and ends with
    nulls where another table has more columns."""
    of_keys = [table for table, keys in reads for _ in range(keys)]
    width = max((len(table.columns) for table in of_keys), default=0)
    return " UNION ALL ".join(
        f"SELECT {', '.join([str(number), *table.columns, *['NULL'] * (width - len(table.columns))])} "
        f"FROM {table.name} WHERE entity_key = ?"
        for number, table in enumerate(of_keys)
    )


def _decoder(to_python: Sequence[Callable[[Any], Any] | None]) -> Callable[[tuple[Any, ...]], tuple[Any, ...]]:
    return lambda values: tuple(
        convert(value) if convert and value is not None else value
        for convert, value in zip(to_python, values, strict=True)
    )
