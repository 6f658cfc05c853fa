"""What a stream job keeps, in one SQLite file: the state of each key, the events that a window still reaches, what it
still has to write to the offline log, and how far it has read. A batch changes all of it in one transaction, or nothing
of it.

The names of tables and columns are those of files that exist. A `stamp` is the commit timestamp of a batch, in µs since
1970; it grows from batch to batch. `event` has the events that are already processed: when their values were known, the
newest of their timestamps, and a column for each of the raw table, whose name is its place, as SQLite takes `A` and `a`
for one name. A live table's states are in `state of <its name>`. Files of older versions have one of `_OLDER` as well,
or do not say in `meta` which columns `event` has.
"""

import json
import sqlite3
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import takewhile
from pathlib import Path
from typing import Any

from features.windows.state import LiveTable
from features.windows.tables import AggregationTable
from jobs.sql import identifier
from jobs.stream.sources import Position
from serving.intake import META, POSITION, RECEIVED

_SCHEMA = f"""
CREATE TABLE IF NOT EXISTS {META} (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS {RECEIVED} (producer TEXT PRIMARY KEY, ranges TEXT) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS to_log (kind TEXT, stamp INTEGER, rows INTEGER, packed BLOB);
"""
_OLDER = ("seen", "event_key")
#: Names in `meta`. Commit timestamps: of the last batch, of the last whose states are online, and of the last whose
#: states are in the offline log.
COMMITTED, ONLINE, LOGGED = "stamp", "online", "logged"
#: The commit timestamp of the last batch that is safe from a power cut, and that of the last whose states are in their
#: tables here. A file of an older version does not say the second: there, it is each batch.
SYNCED, STATES = "synced", "states"
#: More names in `meta`: counts of all runs as JSON, the fingerprint of the history that is processed, the timestamp of
#: the newest event in µs, the version of each table's definition, and the columns of `event`.
COUNTS, HISTORY, WATERMARK, DEFINITIONS, EVENT = "counts", "history", "watermark", "definitions", "event columns"
#: And the name of the file, which no other file has.
ID = "id"

Key = tuple[Any, ...]
#: Key and state as JSON, the newest timestamp in the state, and the commit timestamp of the batch that wrote it.
StateRow = tuple[bytes, bytes, int, int]


def named(table: str) -> str:
    """The SQL name of the table with the states of a live table, which may be called as one of the others here."""
    return identifier(f"state of {table}")


class StateFile:
    """The file of one domain. Only one process may have it open (`jobs/stream/loop.py` locks it)."""

    def __init__(self, path: Path, tables: Iterable[AggregationTable]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        #: `States` has the tables of the states.
        self.db = sqlite3.connect(path, isolation_level=None)
        # NORMAL: a power cut may take the last transactions. That loses nothing: a transaction has both the states and
        # the position, so the job reads those events again.
        self.db.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA cache_size = -65536")
        self.db.executescript(_SCHEMA)
        with self.batch():
            self._make_tables(tuple(tables))

    def _make_tables(self, tables: Sequence[AggregationTable]) -> None:
        """Make a table for each live table, and that of the events. Where a definition has changed, the old states mean
        nothing: they are removed, and all events count as not processed, so that the job computes the states from the
        raw events. It does so, too, with a file of an older version, and where the raw table has other columns."""
        versions = json.dumps({live.table.name: live.version for live in map(LiveTable, tables)})
        columns = tables[0].source.stored_columns if tables else ()
        stored, before = json.dumps(columns), self.meta(DEFINITIONS)
        exist = {name for (name,) in self.db.execute("SELECT name FROM sqlite_master")}
        is_other = before != versions or self.meta(EVENT) != stored or bool(exist & {*_OLDER})
        if before is not None and is_other:
            names = json.loads(before).keys() | {table.name for table in tables}
            older = () if self.meta(EVENT) else map(identifier, names)
            for name in ("event", *_OLDER, *map(named, names), *older):
                self.db.execute(f"DROP TABLE IF EXISTS {name}")
            self.db.execute(f"DELETE FROM {META} WHERE name = ?", (HISTORY,))
        for table in tables:
            self.db.execute(
                f"CREATE TABLE IF NOT EXISTS {named(table.name)} "
                "(key BLOB PRIMARY KEY, state BLOB, newest INTEGER, stamp INTEGER) WITHOUT ROWID"
            )
        self._places = {column: f"c{n}" for n, column in enumerate(columns)}
        if tables:
            self._make_event_table(tables[0].source.id_column)
        self.set_meta({DEFINITIONS: versions, EVENT: stored, ID: self.meta(ID) or uuid.uuid4().hex})

    def _make_event_table(self, id_column: str) -> None:
        self._id = self._places[id_column]
        self.db.execute(f"CREATE TABLE IF NOT EXISTS event (known, newest INTEGER, {', '.join(self._places.values())})")
        self.db.execute(f"CREATE UNIQUE INDEX IF NOT EXISTS event_id ON event ({self._id})")
        self.db.execute("CREATE INDEX IF NOT EXISTS event_newest ON event (newest)")

    def close(self) -> None:
        """Close the file."""
        self.db.close()

    def shrink(self) -> None:
        """Write the file again without the bytes of what was removed."""
        self.db.execute("VACUUM")

    @contextmanager
    def batch(self) -> Iterator[None]:
        """A transaction, which an exception rolls back."""
        self.db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self.db.execute("COMMIT")
        finally:
            if self.db.in_transaction:
                self.db.execute("ROLLBACK")

    def sync(self) -> None:
        """Wait until the disk holds every batch. What is written to other files afterwards never knows more than this
        file does, also after a power cut."""
        self.db.execute("PRAGMA synchronous = FULL")
        try:
            with self.batch():
                self.set_meta({SYNCED: self.meta(COMMITTED, 0)})
        finally:
            self.db.execute("PRAGMA synchronous = NORMAL")

    def meta(self, name: str, default: Any = None) -> Any:
        """The value under a name, or `default`."""
        row = self.db.execute(f"SELECT value FROM {META} WHERE name = ?", (name,)).fetchone()
        return default if row is None else row[0]

    def set_meta(self, values: Mapping[str, Any]) -> None:
        """Set values under their names."""
        self.db.executemany(f"INSERT OR REPLACE INTO {META} VALUES (?, ?)", values.items())

    def position(self, source: str) -> Position:
        """How far the job has read this source."""
        position: Position = json.loads(self.meta(POSITION.format(source=source), "{}"))
        return position

    def set_position(self, source: str, position: Position) -> None:
        """Note how far the job has read this source."""
        self.set_meta({POSITION.format(source=source): json.dumps(position)})

    def id(self) -> str:
        """The name of this file among all, which the online store keeps beside the states."""
        return str(self.meta(ID))

    def events(self, ids: Sequence[Any]) -> list[tuple[Any, ...]]:
        """When it was known, and the values of its columns, of each event that is already processed, of those with
        these ids."""
        selected = ", ".join(self._places.values())
        query = f"SELECT known, {selected} FROM json_each(?) JOIN event ON event.{self._id} = value"
        return self.db.execute(query, (json.dumps(ids),)).fetchall()

    def events_since(self, committed: int) -> list[tuple[Any, ...]]:
        """As `events`, of the new events of the batches after a commit timestamp, if these batches had nothing else; in
        the order of their batches."""
        rows = self.db.execute(f"SELECT known, {', '.join(self._places.values())} FROM event ORDER BY rowid DESC")
        return [*takewhile(lambda row: isinstance(row[0], int) and row[0] > committed, rows)][::-1]

    def put_events(self, rows: Sequence[tuple[Any, ...]]) -> None:
        """Rows of when an event was known, its newest timestamp in µs since 1970, and the values of its columns. They
        replace those of the same ids."""
        values = ", ".join("?" * (2 + len(self._places)))
        self.db.executemany(f"INSERT OR REPLACE INTO event VALUES ({values})", rows)

    def events_of(self, keys: Sequence[str], key: Key) -> list[tuple[Any, ...]]:
        """As `events`, of the events that have these values in the columns of a key. The first call for these columns
        makes an index: most streams correct nothing, and three indexes would take as long as all else here."""
        places = [self._places[name] for name in keys]
        self.db.execute(f"CREATE INDEX IF NOT EXISTS event_{'_'.join(places)} ON event ({', '.join(places)})")
        selected = ", ".join(self._places.values())
        where = " AND ".join(f"{place} = ?" for place in places)
        return self.db.execute(f"SELECT known, {selected} FROM event WHERE {where}", key).fetchall()

    def forget_events_before(self, timestamp: int) -> None:
        """Remove the events whose newest timestamp is before this one."""
        self.db.execute("DELETE FROM event WHERE newest < ?", (timestamp,))

    def received(self) -> dict[str, list[list[int]]]:
        """Producer → the numbers received from it, as ranges with both ends."""
        return {name: json.loads(ranges) for name, ranges in self.db.execute(f"SELECT * FROM {RECEIVED}")}

    def set_received(self, by_producer: Mapping[str, list[list[int]]]) -> None:
        """Set the ranges of numbers received, by producer."""
        rows = [(producer, json.dumps(ranges)) for producer, ranges in by_producer.items()]
        self.db.executemany(f"INSERT OR REPLACE INTO {RECEIVED} VALUES (?, ?)", rows)

    def add_to_log(self, kind: str, committed: int, rows: int, packed: bytes) -> None:
        """Keep what a batch has for a log, until it is in a file there."""
        if rows:
            self.db.execute("INSERT INTO to_log VALUES (?, ?, ?, ?)", (kind, committed, rows, packed))

    def to_log(self, kind: str, until: int) -> list[tuple[int, bytes]]:
        """Commit timestamp and content of each batch up to a commit timestamp that is not in a file yet, oldest
        first."""
        query = "SELECT stamp, packed FROM to_log WHERE kind = ? AND stamp <= ? ORDER BY stamp"
        return self.db.execute(query, (kind, until)).fetchall()

    def waiting(self) -> int:
        """How many events and dead letters are not in a file yet."""
        (count,) = self.db.execute("SELECT coalesce(sum(rows), 0) FROM to_log").fetchone()
        return int(count)

    def remove_logged(self, until: int) -> None:
        """Remove what is in files now: the batches up to a commit timestamp."""
        self.db.execute("DELETE FROM to_log WHERE stamp <= ?", (until,))
