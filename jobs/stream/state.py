"""What a stream job keeps, in one SQLite file: the state of each key, the ids of the events that are already processed,
what it still has to write to the offline log, and how far it has read. A batch changes all of it in one transaction, or
nothing of it.

The names of tables and columns are those of files that exist. A `stamp` is the commit timestamp of a batch, in µs since
1970; it grows from batch to batch. `seen` has the events that are already processed: an id counts once for each of its
timestamp columns, `moment`, whose value is `time`.
"""

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic_core import to_json

from features.windows.state import LiveTable
from features.windows.tables import AggregationTable
from jobs.sql import identifier
from jobs.stream.sources import Position
from serving.intake import META, POSITION, RECEIVED

_SCHEMA = f"""
CREATE TABLE IF NOT EXISTS {META} (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS seen (id TEXT, moment TEXT, time INTEGER, PRIMARY KEY (id, moment)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS {RECEIVED} (producer TEXT PRIMARY KEY, ranges TEXT) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS to_log (kind TEXT, stamp INTEGER, rows INTEGER, packed BLOB);
"""
#: Names in `meta`. Commit timestamps: of the last batch, of the last whose states are online, and of the last whose
#: states are in the offline log.
COMMITTED, ONLINE, LOGGED = "stamp", "online", "logged"
#: More names in `meta`: counts of all runs as JSON, the fingerprint of the history that is processed, the timestamp of
#: the newest event in µs, and the version of each table's definition.
COUNTS, HISTORY, WATERMARK, DEFINITIONS = "counts", "history", "watermark", "definitions"

Key = tuple[Any, ...]
#: Key and state as JSON, the newest timestamp in the state, and the commit timestamp of the batch that wrote it.
StateRow = tuple[bytes, bytes, int, int]


class StateFile:
    """The file of one domain. Only one process may have it open (`jobs/stream/loop.py` locks it)."""

    def __init__(self, path: Path, tables: Iterable[AggregationTable]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(path, isolation_level=None)
        # NORMAL: a power cut may take the last transactions. That loses nothing: a transaction has both the states and
        # the position, so the job reads those events again.
        self._db.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA cache_size = -65536")
        self._db.executescript(_SCHEMA)
        with self.batch():
            self._make_tables(tuple(tables))

    def _make_tables(self, tables: Sequence[AggregationTable]) -> None:
        """Make a table for each live table. Where a definition has changed, the old states mean nothing: they are
        removed, and all events count as not processed, so that the job computes the states from the raw events."""
        versions = json.dumps({live.table.name: live.version for live in map(LiveTable, tables)})
        if (before := self.meta(DEFINITIONS)) not in (None, versions):
            for name in json.loads(before).keys() | {table.name for table in tables}:
                self._db.execute(f"DROP TABLE IF EXISTS {identifier(name)}")
            self._db.execute("DELETE FROM seen")
            self._db.execute(f"DELETE FROM {META} WHERE name = ?", (HISTORY,))
        for table in tables:
            self._db.execute(
                f"CREATE TABLE IF NOT EXISTS {identifier(table.name)} "
                "(key BLOB PRIMARY KEY, state BLOB, newest INTEGER, stamp INTEGER) WITHOUT ROWID"
            )
        self.set_meta({DEFINITIONS: versions})

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    @contextmanager
    def batch(self) -> Iterator[None]:
        """A transaction, which an exception rolls back."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        finally:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")

    def meta(self, name: str, default: Any = None) -> Any:
        """The value under a name, or `default`."""
        row = self._db.execute(f"SELECT value FROM {META} WHERE name = ?", (name,)).fetchone()
        return default if row is None else row[0]

    def set_meta(self, values: Mapping[str, Any]) -> None:
        """Set values under their names."""
        self._db.executemany(f"INSERT OR REPLACE INTO {META} VALUES (?, ?)", values.items())

    def position(self, source: str) -> Position:
        """How far the job has read this source."""
        position: Position = json.loads(self.meta(POSITION.format(source=source), "{}"))
        return position

    def set_position(self, source: str, position: Position) -> None:
        """Note how far the job has read this source."""
        self.set_meta({POSITION.format(source=source): json.dumps(position)})

    def states(self, table: str, keys: list[Key]) -> dict[Key, bytes]:
        """The states of the keys that have one."""
        by_bytes = {to_json(key): key for key in keys}
        rows = self._db.execute(
            f"SELECT s.key, s.state FROM json_each(?) j JOIN {identifier(table)} s ON s.key = CAST(j.value AS BLOB)",
            (json.dumps([key.decode() for key in by_bytes]),),
        )
        return {by_bytes[key]: state for key, state in rows}

    def put_states(self, table: str, rows: list[StateRow]) -> None:
        """Insert states, or replace those of the same keys."""
        self._db.executemany(f"INSERT OR REPLACE INTO {identifier(table)} VALUES (?, ?, ?, ?)", rows)

    def states_since(self, table: str, committed: int) -> list[StateRow]:
        """The rows that batches after this commit timestamp wrote."""
        query = f"SELECT key, state, newest, stamp FROM {identifier(table)} WHERE stamp > ?"
        return self._db.execute(query, (committed,)).fetchall()

    def processed(self, ids: list[str]) -> set[tuple[str, str]]:
        """Which of the ids are already processed: pairs of an id and a timestamp column that an event with the id
        filled."""
        query = "SELECT seen.id, seen.moment FROM json_each(?) JOIN seen ON seen.id = value"
        return set(self._db.execute(query, (json.dumps(ids),)))

    def add_processed(self, rows: list[tuple[str, str, int]]) -> None:
        """Rows of id, timestamp column, and its value in µs since 1970."""
        self._db.executemany("INSERT INTO seen VALUES (?, ?, ?)", rows)

    def forget_processed_before(self, timestamp: int) -> None:
        """Drop the ids of events that happened before a timestamp, in µs since 1970."""
        self._db.execute("DELETE FROM seen WHERE time < ?", (timestamp,))

    def received(self) -> dict[str, list[list[int]]]:
        """Producer → the numbers received from it, as ranges with both ends."""
        return {name: json.loads(ranges) for name, ranges in self._db.execute(f"SELECT * FROM {RECEIVED}")}

    def set_received(self, by_producer: Mapping[str, list[list[int]]]) -> None:
        """Set the ranges of numbers received, by producer."""
        rows = [(producer, json.dumps(ranges)) for producer, ranges in by_producer.items()]
        self._db.executemany(f"INSERT OR REPLACE INTO {RECEIVED} VALUES (?, ?)", rows)

    def add_to_log(self, kind: str, committed: int, rows: int, packed: bytes) -> None:
        """Keep what a batch has for a log, until it is in a file there."""
        if rows:
            self._db.execute("INSERT INTO to_log VALUES (?, ?, ?, ?)", (kind, committed, rows, packed))

    def to_log(self, kind: str) -> list[tuple[int, bytes]]:
        """Commit timestamp and content of each batch that is not in a file yet, oldest first."""
        return self._db.execute("SELECT stamp, packed FROM to_log WHERE kind = ? ORDER BY stamp", (kind,)).fetchall()

    def waiting(self) -> int:
        """How many events and dead letters are not in a file yet."""
        (count,) = self._db.execute("SELECT coalesce(sum(rows), 0) FROM to_log").fetchone()
        return int(count)

    def remove_logged(self, kind: str, until: int) -> None:
        """Remove what is in a file now: the batches up to a commit timestamp."""
        with self.batch():
            self._db.execute("DELETE FROM to_log WHERE kind = ? AND stamp <= ?", (kind, until))
