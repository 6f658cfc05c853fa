"""The features of one key at one timestamp, with the events that each folds: by the queries of `at_moments.py` and
`query.py`, over the raw events as they were known."""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from features.utc import EPOCH, MICROSECOND
from features.windows.aggregation import Aggregation
from features.windows.live import is_offset
from features.windows.raw import RawTable
from features.windows.tables import AggregationTable, LastDistinctTable, Table
from features.windows.tiles import AHEAD_US
from jobs import sql
from jobs.batch import query, states
from jobs.batch.at_moments import answered, in_window, known_events, valued
from jobs.raw import keyed_log, places
from jobs.raw.relations import cell, open_events, with_versions
from root import Root

#: Of the events that a feature folds, this many are named, the newest first.
NAMED = 10


@dataclass(frozen=True)
class Window:
    """What a feature folds: events from `since` on and before `until`, µs since 1970; `since` None: all. `events`
    counts them, and `newest` names some: event time and id, None where the raw table names no events."""

    since: int | None
    until: int
    events: int
    newest: tuple[tuple[int, str | None], ...]


@dataclass(frozen=True)
class Folded:
    """The features of a table at `timestamp` (µs), and the window of each. A flag has the one of its aggregation."""

    timestamp: int
    values: Mapping[str, Any]
    windows: Mapping[str, Window]


class Folds:
    """Folds tables for some keys: column of a key → its value. It reads each raw table once, for all tables that fold
    it. Close it."""

    def __init__(self, root: Root, keys: Mapping[str, Any]) -> None:
        self._root, self._keys = root, keys
        self._connection = sql.connect()
        self._scratch = tempfile.TemporaryDirectory()
        #: The relation of all rows of a raw table → a table of those that have one of the keys.
        self._kept: dict[str, str] = {}

    def close(self) -> None:
        """Close the database and remove its files."""
        self._connection.close()
        self._scratch.cleanup()

    def folded(self, table: Table, timestamp: int, known: int, is_state: bool = False) -> Folded:
        """The features of the table's key at a timestamp, from the events that were known at `known`, both in µs since
        1970. With `is_state`, at the timestamp that a live state answers; then `known` may be an offset, of the keyed
        log. Invalid raw rows are left out, as a quarantine does. Raises NoData, BadInput."""
        key = tuple(self._keys[name] for name in table.keys)
        if is_state and isinstance(table, AggregationTable) and is_offset(table, key, known):
            keyed_log.open_rows(self._connection, self._root, table, key)
            return self._of_events(table, key, timestamp, known, is_state)
        files = places.raw_files(self._root, table.source.name)
        until = EPOCH + (max(timestamp, known) + AHEAD_US) * MICROSECOND
        connection, aside = self._connection, Path(self._scratch.name) / "invalid.parquet"
        keep = partial(self._keep, table.source)
        if isinstance(table, LastDistinctTable):
            until = EPOCH + known * MICROSECOND
            open_events(connection, table, files, until, quarantine=aside, only=key, keep=keep)
            return _sightings(connection, table, key[0], timestamp)
        open_events(connection, table, files, until, quarantine=aside, versions=True, only=key, keep=keep)
        return self._of_events(table, key, timestamp, known, is_state)

    def _of_events(
        self, table: AggregationTable, key: tuple[Any, ...], timestamp: int, known: int, is_state: bool
    ) -> Folded:
        """What the relation `event` gives. Three queries read the few events of the key."""
        connection = self._connection
        connection.execute("CREATE OR REPLACE TEMP TABLE of_key AS FROM event")
        connection.execute("CREATE OR REPLACE TEMP VIEW event AS FROM of_key")
        columns = {f"k{i}": [value] for i, value in enumerate(key)}
        connection.register("requests", pa.table({"nth": [0], "t": [timestamp], "known": [known], **columns}))
        (values,) = (
            connection.sql(f"SELECT * EXCLUDE nth FROM ({valued(table, is_state)})").to_arrow_table().to_pylist()
        )
        _, answered_at, *_ = sql.row(connection, answered(table, is_state))
        return Folded(answered_at, values, _windows(connection, table, answered_at, is_state))

    def _keep(self, source: RawTable, relation: str, values: Mapping[str, str]) -> str:
        if relation not in self._kept:
            name = f"kept_{len(self._kept)}"
            keys = [f"{values[key]} = {sql.literal(value)}" for key, value in self._keys.items() if key in values]
            self._connection.execute(f"CREATE TEMP TABLE {name} AS {with_versions(relation, source, keys)}")
            self._kept[relation] = name
        return self._kept[relation]


def _windows(
    connection: duckdb.DuckDBPyConnection, table: AggregationTable, timestamp: int, is_state: bool
) -> dict[str, Window]:
    tests = [states.of_events(a, in_window(a)) for a in table.aggregations]
    selected = ", ".join(f"count(*){test}, max(struct_pack(t := t, tie := tie), {NAMED}){test}" for test in tests)
    counts = sql.row(connection, f"SELECT {selected} FROM ({known_events(table, is_state)})")
    windows = {
        a.name: _window(a, timestamp, events, newest or [])
        for a, events, newest in zip(table.aggregations, counts[::2], counts[1::2], strict=True)
    }
    return windows | {flag.name: windows[flag.aggregation] for flag in table.flags}


def _window(a: Aggregation, timestamp: int, events: int, newest: list[dict[str, Any]]) -> Window:
    taken = events if a.n is None else min(a.n, events)
    since = None if a.window is None else a.old_edge(timestamp)
    named = tuple((event["t"], event["tie"]) for event in newest[:taken])
    return Window(since, timestamp - a.delay // MICROSECOND, taken, named)


def _sightings(connection: duckdb.DuckDBPyConnection, table: LastDistinctTable, key: Any, timestamp: int) -> Folded:
    """The newest row of the table at the timestamp: rows are dated a microsecond after their event."""
    rows = query.last_distinct(table, None)
    newest_row = connection.sql(
        f"FROM ({rows}) WHERE {sql.identifier(table.key)} = {sql.literal(key)} "
        f"AND epoch_us(event_timestamp) <= {timestamp} ORDER BY event_timestamp DESC LIMIT 1"
    ).to_arrow_table()
    values = {name: newest_row[name][0].as_py() if len(newest_row) else None for name in table.empty}
    events, newest = sql.row(
        connection,
        f"SELECT count(*), max(struct_pack(t := t, tie := tie), {NAMED}) FROM event "
        f"WHERE key = ? AND t < ? AND {cell(table.value)} IS NOT NULL",
        key, timestamp,
    )  # fmt: skip
    named = tuple((event["t"], event["tie"]) for event in newest or [])
    return Folded(timestamp, values, dict.fromkeys(table.empty, Window(None, timestamp, events, named)))
