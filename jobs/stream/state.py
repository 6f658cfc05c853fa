"""What a stream job keeps, in one SQLite file: the state of each key, the events that a window still reaches, what it
still has to write to the offline log, and how far it has read. A batch changes all of it in one transaction, or nothing
of it.

The names of tables and columns are those of files that exist. A `stamp` is the commit timestamp of a batch, in µs since
1970; it grows from batch to batch. `event` has the events that are already processed, as `jobs/stream/memory.py` packs
them; `newest` is the newest of an event's timestamps. `event_key` finds the events of a key of a live table. A file of
an older version has a table `seen` instead, with the ids alone.
"""

import json
import sqlite3
import uuid
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
CREATE TABLE IF NOT EXISTS event (id TEXT PRIMARY KEY, newest INTEGER, packed BLOB) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS event_key (columns TEXT, key BLOB, id TEXT, PRIMARY KEY (columns, key, id)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS {RECEIVED} (producer TEXT PRIMARY KEY, ranges TEXT) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS to_log (kind TEXT, stamp INTEGER, rows INTEGER, packed BLOB);
"""
#: Names in `meta`. Commit timestamps: of the last batch, of the last whose states are online, and of the last whose
#: states are in the offline log.
COMMITTED, ONLINE, LOGGED = "stamp", "online", "logged"
#: The commit timestamp of the last batch that is safe from a power cut.
SYNCED = "synced"
#: More names in `meta`: counts of all runs as JSON, the fingerprint of the history that is processed, the timestamp of
#: the newest event in µs, and the version of each table's definition.
COUNTS, HISTORY, WATERMARK, DEFINITIONS = "counts", "history", "watermark", "definitions"
#: And the name of the file, which no other file has.
ID = "id"

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
        removed, and all events count as not processed, so that the job computes the states from the raw events. It does
        so, too, with a file of an older version."""
        versions = json.dumps({live.table.name: live.version for live in map(LiveTable, tables)})
        is_old = self._db.execute("SELECT count(*) FROM sqlite_master WHERE name = 'seen'").fetchone() != (0,)
        if (before := self.meta(DEFINITIONS)) is not None and (is_old or before != versions):
            for name in json.loads(before).keys() | {table.name for table in tables}:
                self._db.execute(f"DROP TABLE IF EXISTS {identifier(name)}")
            self._db.execute("DELETE FROM event")
            self._db.execute("DELETE FROM event_key")
            self._db.execute("DROP TABLE IF EXISTS seen")
            self._db.execute(f"DELETE FROM {META} WHERE name = ?", (HISTORY,))
        for table in tables:
            self._db.execute(
                f"CREATE TABLE IF NOT EXISTS {identifier(table.name)} "
                "(key BLOB PRIMARY KEY, state BLOB, newest INTEGER, stamp INTEGER) WITHOUT ROWID"
            )
        self.set_meta({DEFINITIONS: versions, ID: self.meta(ID) or uuid.uuid4().hex})

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

    def sync(self) -> None:
        """Wait until the disk holds every batch. What is written to other files afterwards never knows more than this
        file does, also after a power cut."""
        self._db.execute("PRAGMA synchronous = FULL")
        try:
            with self.batch():
                self.set_meta({SYNCED: self.meta(COMMITTED, 0)})
        finally:
            self._db.execute("PRAGMA synchronous = NORMAL")

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

    def newest_state(self, table: str, until: int) -> int:
        """The newest commit timestamp of a state, of those up to `until`; 0 where there is none."""
        query = f"SELECT coalesce(max(stamp), 0) FROM {identifier(table)} WHERE stamp <= ?"
        (newest,) = self._db.execute(query, (until,)).fetchone()
        return int(newest)

    def pages_since(self, table: str, since: int, until: int, most: int) -> Iterator[list[StateRow]]:
        """The rows that batches after `since`, up to `until`, wrote, so many at a time."""
        query = (
            f"SELECT key, state, newest, stamp FROM {identifier(table)} "
            "WHERE stamp > ? AND stamp <= ? AND key > ? ORDER BY key LIMIT ?"
        )
        last = b""
        while rows := self._db.execute(query, (since, until, last, most)).fetchall():
            last = rows[-1][0]
            yield rows

    def id(self) -> str:
        """The name of this file among all, which the online store keeps beside the states."""
        return str(self.meta(ID))

    def events(self, ids: list[str]) -> list[tuple[str, bytes]]:
        """Id and content of each event that is already processed, of those with these ids."""
        query = "SELECT event.id, packed FROM json_each(?) JOIN event ON event.id = value"
        return self._db.execute(query, (json.dumps(ids),)).fetchall()

    def put_events(self, rows: list[tuple[str, int, bytes]]) -> None:
        """Rows of id, newest timestamp in µs since 1970, and content. They replace those of the same ids."""
        self._db.executemany("INSERT OR REPLACE INTO event VALUES (?, ?, ?)", rows)

    def events_of(self, columns: str, key: bytes) -> list[bytes]:
        """The contents of the events with a key, a JSON list of the values of these columns."""
        query = "SELECT packed FROM event_key JOIN event USING (id) WHERE columns = ? AND key = ?"
        return [packed for (packed,) in self._db.execute(query, (columns, key))]

    def put_event_keys(self, rows: list[tuple[str, bytes, str]]) -> None:
        """Rows of key columns, key and id."""
        self._db.executemany("INSERT OR IGNORE INTO event_key VALUES (?, ?, ?)", rows)

    def remove_event_keys(self, rows: Iterable[tuple[str, bytes, str]]) -> None:
        """Remove rows of key columns, key and id."""
        self._db.executemany("DELETE FROM event_key WHERE columns = ? AND key = ? AND id = ?", rows)

    def forget_events_before(self, timestamp: int) -> list[tuple[str, bytes]]:
        """Remove the events whose newest timestamp is before this one. Returns the id and the content of each."""
        query = "DELETE FROM event WHERE newest < ? RETURNING id, packed"
        return self._db.execute(query, (timestamp,)).fetchall()

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
