"""What a stream job knows, in one SQLite file: the state of each key, the events that it has seen, what it has still to
write elsewhere, and how far it has read. A batch changes all of it in one transaction, or nothing of it."""

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic_core import to_json

from features.windows.aggregation import AggregationTable
from features.windows.state import LiveTable
from jobs.stream.sources import Position
from serving.intake import META, POSITION, RECEIVED

_SCHEMA = f"""
CREATE TABLE IF NOT EXISTS {META} (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS seen (id TEXT, moment TEXT, time INTEGER, PRIMARY KEY (id, moment)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS {RECEIVED} (producer TEXT PRIMARY KEY, ranges TEXT) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS to_log (kind TEXT, stamp INTEGER, rows INTEGER, packed BLOB);
"""
#: Names in `meta`: counters, stamps, and the positions of sources.
STAMP, ONLINE, LOGGED, HISTORY, WATERMARK = "stamp", "online", "logged", "history", "watermark"
DEFINITIONS = "definitions"

Key = tuple[Any, ...]
#: Key, state, the newest moment in it, and the stamp of the batch that wrote it.
StateRow = tuple[bytes, bytes, int, int]


class StateFile:
    """Of one domain. One process holds it at a time (`jobs/stream/loop.py` locks it)."""

    def __init__(self, path: Path, tables: Iterable[AggregationTable]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(path, isolation_level=None)
        # State and position are in one file: a power cut takes the same last batches of both, and they are read again.
        self._db.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA cache_size = -65536")
        self._db.executescript(_SCHEMA)
        with self.batch():
            self._make_tables(tuple(tables))

    def _make_tables(self, tables: Sequence[AggregationTable]) -> None:
        """States of other definitions than today's mean nothing: they go, and with them that anything was seen."""
        now = json.dumps({live.table.name: live.version for live in map(LiveTable, tables)})
        if (before := self.meta(DEFINITIONS)) not in (None, now):
            for name in json.loads(before).keys() | {table.name for table in tables}:
                self._db.execute(f'DROP TABLE IF EXISTS "{name}"')
            self._db.execute("DELETE FROM seen")
            self._db.execute(f"DELETE FROM {META} WHERE name = ?", (HISTORY,))
        for table in tables:
            self._db.execute(
                f'CREATE TABLE IF NOT EXISTS "{table.name}" '
                "(key BLOB PRIMARY KEY, state BLOB, newest INTEGER, stamp INTEGER) WITHOUT ROWID"
            )
        self.set_meta({DEFINITIONS: now})

    def close(self) -> None:
        self._db.close()

    @contextmanager
    def batch(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        finally:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")

    def meta(self, name: str, default: Any = None) -> Any:
        found = self._db.execute(f"SELECT value FROM {META} WHERE name = ?", (name,)).fetchone()
        return default if found is None else found[0]

    def set_meta(self, values: Mapping[str, Any]) -> None:
        self._db.executemany(f"INSERT OR REPLACE INTO {META} VALUES (?, ?)", values.items())

    def position(self, source: str) -> Position:
        position: Position = json.loads(self.meta(POSITION.format(source=source), "{}"))
        return position

    def set_position(self, source: str, position: Position) -> None:
        self.set_meta({POSITION.format(source=source): json.dumps(position)})

    def states(self, table: str, keys: list[Key]) -> dict[Key, bytes]:
        """Of the keys that have one."""
        by_bytes = {to_json(key): key for key in keys}
        found = self._db.execute(
            f'SELECT s.key, s.state FROM json_each(?) j JOIN "{table}" s ON s.key = CAST(j.value AS BLOB)',
            (json.dumps([key.decode() for key in by_bytes]),),
        )
        return {by_bytes[key]: state for key, state in found}

    def put_states(self, table: str, rows: list[StateRow]) -> None:
        self._db.executemany(f'INSERT OR REPLACE INTO "{table}" VALUES (?, ?, ?, ?)', rows)

    def states_since(self, table: str, stamp: int) -> list[StateRow]:
        """Rows that were written by batches after this one."""
        return self._db.execute(f'SELECT key, state, newest, stamp FROM "{table}" WHERE stamp > ?', (stamp,)).fetchall()

    def seen(self, ids: list[str]) -> set[tuple[str, str]]:
        """The ids that were seen, each with its moments that were."""
        return set(
            self._db.execute(
                "SELECT seen.id, seen.moment FROM json_each(?) JOIN seen ON seen.id = value", (json.dumps(ids),)
            )
        )

    def add_seen(self, rows: list[tuple[str, str, int]]) -> None:
        self._db.executemany("INSERT INTO seen VALUES (?, ?, ?)", rows)

    def forget_seen_before(self, time: int) -> None:
        self._db.execute("DELETE FROM seen WHERE time < ?", (time,))

    def received(self) -> dict[str, list[list[int]]]:
        """Producer → the numbers that came from it, as ranges with both ends."""
        return {name: json.loads(ranges) for name, ranges in self._db.execute(f"SELECT * FROM {RECEIVED}")}

    def set_received(self, ranges: Mapping[str, list[list[int]]]) -> None:
        rows = [(producer, json.dumps(of)) for producer, of in ranges.items()]
        self._db.executemany(f"INSERT OR REPLACE INTO {RECEIVED} VALUES (?, ?)", rows)

    def add_to_log(self, kind: str, stamp: int, rows: int, packed: bytes) -> None:
        """Keep what a batch has for a log, until it is in a file there."""
        if rows:
            self._db.execute("INSERT INTO to_log VALUES (?, ?, ?, ?)", (kind, stamp, rows, packed))

    def to_log(self, kind: str) -> list[tuple[int, bytes]]:
        return self._db.execute("SELECT stamp, packed FROM to_log WHERE kind = ? ORDER BY stamp", (kind,)).fetchall()

    def waiting(self) -> int:
        """So many rows."""
        (count,) = self._db.execute("SELECT coalesce(sum(rows), 0) FROM to_log").fetchone()
        return int(count)

    def logged(self, kind: str, until: int) -> None:
        with self.batch():
            self._db.execute("DELETE FROM to_log WHERE kind = ? AND stamp <= ?", (kind, until))
