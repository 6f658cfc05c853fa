"""Reading the rows of one feature view, with the statements made beforehand."""

from collections.abc import Callable, Sequence
from typing import Any

from exact_stores import tables
from exact_stores.names import quoted
from exact_stores.rows import Column
from exact_stores.sqlite_file import OnlineStoreError, SqliteFile

#: Keys in one statement: enough to make the statement's own cost small, and far below what SQLite allows.
_KEYS = 1000

Kept = tuple[int, tuple[Any, ...]]


class Reader:
    """Some features of a view, for threads to share. It is compiled against the table as it is: make another after the
    view has changed. It knows no TTL: that is for whoever knows the moment that is asked about."""

    def __init__(self, file: SqliteFile, table: str, layout: Sequence[Column]) -> None:
        """Raises OnlineStoreError where there is no such table."""
        self._file = file
        with file.reading() as connection:
            there = tables.held(connection, table)
            if not there and not tables.exists(connection, table):
                raise OnlineStoreError(f"{file.path} has no table {table!r}. Run: feast apply")
        chosen = [quoted(column.name) if column.name in there else "NULL" for column in layout]
        self._select = f"SELECT {', '.join(['entity_key', 'event_timestamp', *chosen])} FROM {quoted(table)} WHERE "
        self._one = self._select + "entity_key = ?"
        to_python = [column.to_python for column in layout]
        self._decode = _decoder(to_python) if any(to_python) else None

    def read(self, keys: Sequence[bytes]) -> list[Kept | None]:
        """For each key, in order, the event time (µs since 1970) and the features as Python values, or None where
        nothing is stored. Raises OnlineStoreError."""
        rows = self.kept(keys)
        if self._decode is None:
            return rows
        return [(row[0], self._decode(row[1])) if row else None for row in rows]

    def kept(self, keys: Sequence[bytes]) -> list[Kept | None]:
        """As `read`, with the values as SQLite has them."""
        with self._file.reading() as connection:
            if len(keys) == 1:
                row = connection.execute(self._one, (keys[0],)).fetchone()
                return [(row[1], row[2:]) if row else None]
            found: dict[bytes, Kept] = {}
            for start in range(0, len(keys), _KEYS):
                some = keys[start : start + _KEYS]
                several = f"{self._select}entity_key IN ({', '.join('?' * len(some))})"
                found |= {row[0]: (row[1], row[2:]) for row in connection.execute(several, some)}
        return [found.get(key) for key in keys]


def _decoder(to_python: Sequence[Callable[[Any], Any] | None]) -> Callable[[tuple[Any, ...]], tuple[Any, ...]]:
    return lambda values: tuple(
        convert(value) if convert and value is not None else value
        for convert, value in zip(to_python, values, strict=True)
    )
