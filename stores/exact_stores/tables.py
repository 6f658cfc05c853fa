"""The tables: one for each feature view, a row for each entity key; and beside them, when a view was materialized."""

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any

from exact_stores.names import quoted
from exact_stores.rows import Column

#: What SQLite's limit of columns leaves.
MOST_FEATURES = 1997
MATERIALIZED = "materialized"
_OF_THE_ROW = ("entity_key", "event_timestamp", "created")


def held(connection: sqlite3.Connection, table: str) -> dict[str, str]:
    """Name → affinity of the feature columns that a table has, empty if there is no such table."""
    found = connection.execute("SELECT name, type FROM pragma_table_info(?)", (table,)).fetchall()
    return {name: affinity for name, affinity in found if name not in _OF_THE_ROW}


def exists(connection: sqlite3.Connection, table: str) -> bool:
    return connection.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (table,)).fetchone() is not None


def prepare(connection: sqlite3.Connection, table: str, layout: Iterable[Column]) -> dict[str, str]:
    """Make the table, or the columns that it lacks; all its feature columns, as `held`. One that the view has lost
    stays: whoever still runs with the old view may write it, and no row need be rewritten."""
    there, layout = held(connection, table), list(layout)
    if len(layout) > MOST_FEATURES:
        raise ValueError(f"A view has {len(layout)} features, and SQLite holds {MOST_FEATURES}. Make two views of it.")
    if not there:
        connection.execute(
            f"CREATE TABLE IF NOT EXISTS {quoted(table)} (entity_key BLOB PRIMARY KEY NOT NULL, "
            "event_timestamp INTEGER NOT NULL, created INTEGER) WITHOUT ROWID"
        )
    for column in layout:
        if column.name not in there:
            connection.execute(f"ALTER TABLE {quoted(table)} ADD COLUMN {quoted(column.name)} {column.affinity}")
            there[column.name] = column.affinity
    return there


def upsert(connection: sqlite3.Connection, table: str, layout: Sequence[Column], rows: Iterable[Sequence[Any]]) -> None:
    """Write whole rows: key, event time and created (µs since 1970), and the features of the layout.

    A row stands where another has its key and is newer: by event time, then by `created`, where none is the oldest,
    then by the values themselves. That is a total order, hence it does not matter in which order rows arrive.
    """
    there = prepare(connection, table, layout)
    given = ", ".join(map(quoted, (*_OF_THE_ROW, *(column.name for column in layout))))
    marks = ", ".join("?" * (len(_OF_THE_ROW) + len(layout)))
    features = sorted(there)
    every = list(map(quoted, ("event_timestamp", "created", *features)))
    connection.executemany(
        f"INSERT INTO {quoted(table)} ({given}) VALUES ({marks}) ON CONFLICT DO UPDATE SET "
        + ", ".join(f"{name} = excluded.{name}" for name in every)
        + f" WHERE ({_order(there, features, 'excluded.')}) > ({_order(there, features, '')})",
        rows,
    )


def _order(affinities: dict[str, str], features: Iterable[str], of: str) -> str:
    """What makes a row newer. A null compares with nothing, so there it is a value of a type that the column never
    holds; SQLite orders values of different types too."""
    nulls = {name: "0" if affinities[name] == "BLOB" else "x''" for name in features}
    compared = [f"{of}event_timestamp", f"ifnull({of}created, -9e999)"]
    return ", ".join([*compared, *(f"ifnull({of}{quoted(name)}, {null})" for name, null in nulls.items())])


def drop(connection: sqlite3.Connection, table: str) -> None:
    connection.execute(f"DROP TABLE IF EXISTS {quoted(table)}")
    if exists(connection, MATERIALIZED):
        connection.execute(f"DELETE FROM {MATERIALIZED} WHERE rows = ?", (table,))


def of_project(connection: sqlite3.Connection, prefix: str) -> list[str]:
    """The tables whose names begin so."""
    found = connection.execute("SELECT name FROM sqlite_master WHERE substr(name, 1, ?) = ?", (len(prefix), prefix))
    return [name for (name,) in found]


def last_run(connection: sqlite3.Connection, table: str) -> int | None:
    if not exists(connection, MATERIALIZED):
        return None
    found = connection.execute(f"SELECT moment FROM {MATERIALIZED} WHERE rows = ?", (table,)).fetchone()
    return found[0] if found else None


def set_last_run(connection: sqlite3.Connection, table: str, moment: int) -> None:
    connection.execute(
        f"CREATE TABLE IF NOT EXISTS {MATERIALIZED} (rows TEXT PRIMARY KEY, moment INTEGER NOT NULL) WITHOUT ROWID"
    )
    connection.execute(f"INSERT OR REPLACE INTO {MATERIALIZED} VALUES (?, ?)", (table, moment))
