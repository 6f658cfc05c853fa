"""The states of live tables in the state file.

A batch of new events changes states in memory only. They wait there for the next flush: of a busy key, a batch would
write kilobytes, of which the next batch changes some. A job that was killed computes those that waited again, from the
events of the batches since: it is the same steps, so it is the same bytes. A batch with anything else, such as a
correction, writes all states in its transaction.
"""

import json
from collections.abc import Iterable, Iterator, Sequence

from pydantic_core import to_json

from features.windows.tables import AggregationTable
from jobs.stream.state import COMMITTED, STATES, Key, StateFile, StateRow, named


class States:
    """The states of some live tables. `written` is the commit timestamp of the batch up to which they are in the file,
    all of them."""

    def __init__(self, file: StateFile, tables: Iterable[AggregationTable]) -> None:
        self._file, self._db = file, file.db
        #: Table → key → the newest row, of batches after `written`.
        self._waiting: dict[str, dict[bytes, StateRow]] = {table.name: {} for table in tables}
        self.written: int = file.meta(STATES, file.meta(COMMITTED, 0))
        file.set_meta({STATES: self.written})  # a new file, and one of an older version, did not say

    def keep(self, changed: Iterable[Sequence[StateRow]], committed: int, are_written: bool) -> None:
        """Take in what a batch has changed, for each table, once it is committed. `are_written`: with all that waited
        (`put`)."""
        for waiting, rows in zip(self._waiting.values(), changed, strict=True):
            if are_written:
                waiting.clear()
            else:
                waiting.update((row[0], row) for row in rows)
        self.written = committed if are_written else self.written

    def put(self, changed: Iterable[Sequence[StateRow]], committed: int) -> None:
        """Write all that waits, and over it what a batch has changed, in the transaction of the batch."""
        for (table, waiting), rows in zip(self._waiting.items(), changed, strict=True):
            newest = waiting | {row[0]: row for row in rows}
            self._db.executemany(f"INSERT OR REPLACE INTO {named(table)} VALUES (?, ?, ?, ?)", sorted(newest.values()))
        self._file.set_meta({STATES: committed})

    def write(self) -> None:
        """Write all that waits, in a transaction."""
        nothing: list[list[StateRow]] = [[] for _ in self._waiting]
        if any(self._waiting.values()):
            committed: int = self._file.meta(COMMITTED, 0)
            with self._file.batch():
                self.put(nothing, committed)
            self.keep(nothing, committed, are_written=True)

    def of_keys(self, table: str, keys: Iterable[Key]) -> dict[Key, bytes]:
        """The states of the keys that have one."""
        by_bytes, waiting = {to_json(key): key for key in keys}, self._waiting[table]
        states = {key: waiting[text][1] for text, key in by_bytes.items() if text in waiting}
        rows = self._db.execute(
            f"SELECT s.key, s.state FROM json_each(?) j JOIN {named(table)} s ON s.key = CAST(j.value AS BLOB)",
            (json.dumps([text.decode() for text in by_bytes if text not in waiting]),),
        )
        return states | {by_bytes[text]: state for text, state in rows}

    def since(self, table: str, committed: int) -> list[StateRow]:
        """The rows that batches after this commit timestamp wrote."""
        self.write()
        query = f"SELECT key, state, newest, stamp FROM {named(table)} WHERE stamp > ?"
        return self._db.execute(query, (committed,)).fetchall()

    def newest(self, table: str, until: int) -> int:
        """The newest commit timestamp of a state, of those up to `until`; 0 where there is none."""
        self.write()
        query = f"SELECT coalesce(max(stamp), 0) FROM {named(table)} WHERE stamp <= ?"
        (newest,) = self._db.execute(query, (until,)).fetchone()
        return int(newest)

    def pages_since(self, table: str, since: int, until: int, most: int) -> Iterator[list[StateRow]]:
        """The rows that batches after `since`, up to `until`, wrote, so many at a time."""
        self.write()
        query = (
            f"SELECT key, state, newest, stamp FROM {named(table)} "
            "WHERE stamp > ? AND stamp <= ? AND key > ? ORDER BY key LIMIT ?"
        )
        last = b""
        while rows := self._db.execute(query, (since, until, last, most)).fetchall():
            last = rows[-1][0]
            yield rows
