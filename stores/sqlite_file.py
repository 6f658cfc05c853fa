"""One SQLite file for many threads and processes: readers never wait, writers wait for each other."""

import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal
from weakref import WeakSet

#: How long a writer waits for the others before it gives up.
BUSY_SECONDS = 60
_CACHE_KIB = 64 * 1024
_LOG_BYTES = 16 * 1024 * 1024

_REMEDIES = {
    sqlite3.SQLITE_READONLY: "Let this user write the file and the folder it is in.",
    sqlite3.SQLITE_CANTOPEN: "Let this user write the file and the folder it is in.",
    sqlite3.SQLITE_PERM: "Let this user write the file and the folder it is in.",
    sqlite3.SQLITE_FULL: "Make room on its disk and write again: nothing of this batch was kept.",
    sqlite3.SQLITE_IOERR: "Look after its disk, then write again: nothing of this batch was kept.",
    sqlite3.SQLITE_BUSY: f"Others wrote for more than {BUSY_SECONDS} s: write again, and in smaller batches.",
    sqlite3.SQLITE_NOTADB: "Move it away, then run: feast apply, and materialize.",
    sqlite3.SQLITE_CORRUPT: "Move it away, then run: feast apply, and materialize.",
}
_NO_REMEDY = "Run: feast apply"


class OnlineStoreError(sqlite3.OperationalError):
    """The online store's file cannot be read or written; the message says what to do."""


class SqliteFile:
    """Connections to a file, one a thread and never one that crossed a fork.

    Durability: a write-ahead log, so that killing a process loses nothing that was committed. With `synchronous` full,
    neither does a power cut; with normal, that may take the last commits, though it never leaves half of one.
    """

    def __init__(self, path: Path, synchronous: Literal["full", "normal"]) -> None:
        self.path = path
        self._synchronous = synchronous
        self._thread = threading.local()
        _open_files.add(self)

    def reading(self) -> sqlite3.Connection:
        """This thread's connection; a statement on it sees the last commit. Raises OnlineStoreError without a file."""
        connection: sqlite3.Connection | None = getattr(self._thread, "connection", None)
        if connection is None:
            if not self.path.exists():
                raise OnlineStoreError(f"There is no {self.path}. Run: feast apply")
            connection = self._connect()
        return connection

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """A transaction: all of it is kept, or on any error nothing. Raises OnlineStoreError."""
        with self.explained():
            connection = getattr(self._thread, "connection", None) or self._connect()
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")

    @contextmanager
    def explained(self) -> Iterator[None]:
        """An error of SQLite becomes one that names the file and the remedy."""
        try:
            yield
        except OnlineStoreError:
            raise
        except sqlite3.DatabaseError as error:
            remedy = _REMEDIES.get(getattr(error, "sqlite_errorcode", 0) & 0xFF, _NO_REMEDY)
            raise OnlineStoreError(f"{self.path}: {error}. {remedy}") from error

    def close(self) -> None:
        """Close the connection of this thread; the next use opens another."""
        connection = getattr(self._thread, "connection", None)
        if connection is not None:
            self._thread.connection = None
            connection.close()

    def _connect(self) -> sqlite3.Connection:
        with self.explained():
            self._make_folder()
            connection = sqlite3.connect(self.path, timeout=BUSY_SECONDS, isolation_level=None, cached_statements=512)
            _use_a_log(connection)
            connection.execute(f"PRAGMA synchronous = {self._synchronous}")
            connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
            connection.execute(f"PRAGMA journal_size_limit = {_LOG_BYTES}")
        self._thread.connection = connection
        return connection

    def _make_folder(self) -> None:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OnlineStoreError(
                f"The folder of {self.path} cannot be made: {error}. Let this user write there."
            ) from error


def _use_a_log(connection: sqlite3.Connection) -> None:
    """SQLite does not wait for others here as it does elsewhere, and a new file may be opened by many at once."""
    deadline = time.monotonic() + BUSY_SECONDS
    while connection.execute("PRAGMA journal_mode").fetchone() != ("wal",):
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.01)


_open_files: WeakSet[SqliteFile] = WeakSet()


def _close_all() -> None:
    for file in list(_open_files):
        file.close()


# SQLite's locks belong to a process: a connection that two of them hold corrupts the file.
os.register_at_fork(before=_close_all)
