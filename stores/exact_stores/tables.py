"""The SQLite tables: one for each feature view, with a row for each entity key, and one for the last materializations.

A table has the columns `entity_key`, `event_timestamp` and `created` (microseconds since 1970), and one column for each
feature. The functions take an open connection, and the table's name without quotes.
"""

import sqlite3
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any

from exact_stores.rows import Column
from exact_stores.sql import identifier
from exact_stores.timestamps import SLACK

#: SQLite's limit is 2,000 columns.
MAX_FEATURES = 1997
MATERIALIZED = "materialized"
#: Now, and the slack, in microseconds since 1970.
_NEWEST = f"(strftime('%s', 'now') + {SLACK // timedelta(seconds=1)}) * 1000000"
_ROW_COLUMNS = ("entity_key", "event_timestamp", "created")


def feature_columns(connection: sqlite3.Connection, table: str) -> dict[str, str]:
    """The table's feature columns: name → affinity. Empty if there is no such table."""
    columns = connection.execute("SELECT name, type FROM pragma_table_info(?)", (table,)).fetchall()
    return {name: affinity for name, affinity in columns if name not in _ROW_COLUMNS}


def exists(connection: sqlite3.Connection, table: str) -> bool:
    """Whether the file has this table."""
    return connection.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (table,)).fetchone() is not None


def prepare(connection: sqlite3.Connection, table: str, layout: Iterable[Column]) -> dict[str, str]:
    """Create the table, or the columns that it lacks, and return all its feature columns as `feature_columns` does.

    A column that the view no longer has stays. A process that still runs with the old view may write it, and no row
    has to be rewritten. Raises ValueError for more than `MAX_FEATURES` features.
    """
    columns, layout = feature_columns(connection, table), list(layout)
    if len(layout) > MAX_FEATURES:
        raise ValueError(
            f"A view has {len(layout)} features, and SQLite holds {MAX_FEATURES}. Divide it into two views."
        )
    if not columns:
        connection.execute(
            f"CREATE TABLE IF NOT EXISTS {identifier(table)} (entity_key BLOB PRIMARY KEY NOT NULL, "
            "event_timestamp INTEGER NOT NULL, created INTEGER) WITHOUT ROWID"
        )
    for column in layout:
        if column.name not in columns:
            connection.execute(
                f"ALTER TABLE {identifier(table)} ADD COLUMN {identifier(column.name)} {column.affinity}"
            )
            columns[column.name] = column.affinity
    return columns


def upsert(connection: sqlite3.Connection, table: str, layout: Sequence[Column], rows: Iterable[Sequence[Any]]) -> None:
    """Write whole rows: entity key, event timestamp, created (microseconds since 1970), and the features of `layout`.

    A row replaces the stored row of its key only if it is newer: by event timestamp, then by `created`, where null is
    oldest, then by the values themselves. That is a total order, so the order in which rows arrive does not matter.
    Only a row that is dated later than now, by a wrong clock, is replaced by any that is not.
    """
    affinities = prepare(connection, table, layout)
    written = ", ".join(map(identifier, (*_ROW_COLUMNS, *(column.name for column in layout))))
    placeholders = ", ".join("?" * (len(_ROW_COLUMNS) + len(layout)))
    features = sorted(affinities)
    updates = map(identifier, ("event_timestamp", "created", *features))
    connection.executemany(
        f"INSERT INTO {identifier(table)} ({written}) VALUES ({placeholders}) ON CONFLICT DO UPDATE SET "
        + ", ".join(f"{name} = excluded.{name}" for name in updates)
        + f" WHERE ({_age_terms(affinities, features, 'excluded.')}) > ({_age_terms(affinities, features, '')})"
        + f" OR event_timestamp > {_NEWEST} AND excluded.event_timestamp <= {_NEWEST}",
        rows,
    )


def _age_terms(affinities: dict[str, str], features: Iterable[str], prefix: str) -> str:
    """The terms that say which row is newer, of the row that `prefix` names.

    A comparison with null is null, so a null is replaced by a value of a type that its column never holds. SQLite
    orders values of different types too.
    """
    nulls = {name: "0" if affinities[name] == "BLOB" else "x''" for name in features}
    terms = [f"{prefix}event_timestamp", f"ifnull({prefix}created, -9e999)"]
    return ", ".join([*terms, *(f"ifnull({prefix}{identifier(name)}, {null})" for name, null in nulls.items())])


def drop(connection: sqlite3.Connection, table: str) -> None:
    """Drop the table, if there is one, and forget its last materialization."""
    connection.execute(f"DROP TABLE IF EXISTS {identifier(table)}")
    if exists(connection, MATERIALIZED):
        connection.execute(f"DELETE FROM {MATERIALIZED} WHERE rows = ?", (table,))


def names_with_prefix(connection: sqlite3.Connection, prefix: str) -> list[str]:
    """The tables whose names begin with `prefix`."""
    query = "SELECT name FROM sqlite_master WHERE substr(name, 1, ?) = ?"
    return [name for (name,) in connection.execute(query, (len(prefix), prefix))]


def last_run(connection: sqlite3.Connection, table: str) -> int | None:
    """When the view of this table was last materialized, in microseconds since 1970. None if never."""
    if not exists(connection, MATERIALIZED):
        return None
    row = connection.execute(f"SELECT moment FROM {MATERIALIZED} WHERE rows = ?", (table,)).fetchone()
    return row[0] if row else None


def set_last_run(connection: sqlite3.Connection, table: str, since_1970: int) -> None:
    """Store when the view of this table was materialized, in microseconds since 1970."""
    connection.execute(
        f"CREATE TABLE IF NOT EXISTS {MATERIALIZED} (rows TEXT PRIMARY KEY, moment INTEGER NOT NULL) WITHOUT ROWID"
    )
    connection.execute(f"INSERT OR REPLACE INTO {MATERIALIZED} VALUES (?, ?)", (table, since_1970))
