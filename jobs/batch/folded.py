"""The features of one key at one timestamp, with the events that each folds: by the queries of `at_moments.py` and
`query.py`, over the raw events as they were known."""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from features.utc import EPOCH, MICROSECOND
from features.windows.aggregation import Aggregation
from features.windows.tables import AggregationTable, LastDistinctTable, Table
from features.windows.tiles import AHEAD_US
from jobs import sql
from jobs.batch import query, states
from jobs.batch.at_moments import answered, in_window, known_events, valued
from jobs.raw import places
from jobs.raw.relations import cell, open_events
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


def folded(
    root: Root, table: Table, key: tuple[Any, ...], timestamp: int, known: int, is_state: bool = False
) -> Folded:
    """The features of a key at a timestamp, from the events that were known at `known`, both in µs since 1970. With
    `is_state`, at the timestamp that a live state answers. Invalid raw rows are left out, as a quarantine does. Raises
    NoData, BadInput."""
    files = places.raw_files(root, table.source.name)
    until = EPOCH + (max(timestamp, known) + AHEAD_US) * MICROSECOND
    with sql.connect() as connection, tempfile.TemporaryDirectory() as scratch:
        aside = Path(scratch) / "invalid.parquet"
        if isinstance(table, LastDistinctTable):
            open_events(connection, table, files, EPOCH + known * MICROSECOND, quarantine=aside, only=key)
            return _sightings(connection, table, key[0], timestamp)
        open_events(connection, table, files, until, quarantine=aside, versions=True, only=key)
        # Three queries read the few events of the key.
        connection.execute("CREATE TEMP TABLE of_key AS FROM event; CREATE OR REPLACE TEMP VIEW event AS FROM of_key")
        columns = {f"k{i}": [value] for i, value in enumerate(key)}
        connection.register("requests", pa.table({"nth": [0], "t": [timestamp], "known": [known], **columns}))
        (values,) = (
            connection.sql(f"SELECT * EXCLUDE nth FROM ({valued(table, is_state)})").to_arrow_table().to_pylist()
        )
        _, answered_at, *_ = sql.row(connection, answered(table, is_state))
        return Folded(answered_at, values, _windows(connection, table, answered_at, is_state))


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
