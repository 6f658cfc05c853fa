"""One SQLite file for many threads and processes: readers never wait, writers wait for each other."""

import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from exact_stores import forks

#: How long a writer waits for the others before it gives up.
BUSY_SECONDS = 60
#: Of a thread that writes; many threads read, and do with SQLite's own 2 MiB.
_CACHE_KIB = 64 * 1024
_LOG_BYTES = 16 * 1024 * 1024

_LET_WRITE = "Let this user write the file and the folder that it is in."
_BEGIN_ANEW = "Move it away, then run: feast apply, and materialize all."
_REMEDIES = {
    sqlite3.SQLITE_READONLY: _LET_WRITE,
    sqlite3.SQLITE_CANTOPEN: _LET_WRITE,
    sqlite3.SQLITE_PERM: _LET_WRITE,
    sqlite3.SQLITE_FULL: "Make room on its disk and write again: nothing of this batch was kept.",
    sqlite3.SQLITE_IOERR: "Look after its disk, then write again: nothing of this batch was kept.",
    sqlite3.SQLITE_BUSY: f"Others wrote for more than {BUSY_SECONDS} s: write again, and in smaller batches.",
    sqlite3.SQLITE_NOTADB: _BEGIN_ANEW,
    sqlite3.SQLITE_CORRUPT: _BEGIN_ANEW,
}

Synchronous = Literal["full", "normal"]


class OnlineStoreError(sqlite3.OperationalError):
    """The online store's file cannot be read or written; the message says what to do."""


class SqliteFile:
    """Connections to a file, one a thread.

    Durability: a write-ahead log, so that killing a process loses nothing that was committed. With `synchronous` full,
    neither does a power cut; with normal, that may take the last commits, though it never leaves half of one.
    """

    def __init__(self, path: Path, synchronous: Synchronous) -> None:
        self.path = path
        self._synchronous = synchronous
        self._threads = threading.local()

    def reading(self) -> "Connection":
        """`with file.reading() as connection`: each statement sees the last commit. Raises OnlineStoreError, also
        where there is no file: none is made."""
        connection = self._of_this_thread()
        if connection.is_closed and not self.path.exists():
            raise OnlineStoreError(f"There is no {self.path}. Run: feast apply")
        return connection

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """A transaction: all of it is kept, or on any error nothing. Makes the file. Raises OnlineStoreError."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OnlineStoreError(f"{self.path}: its folder cannot be made, {error}. {_LET_WRITE}") from error
        with self._of_this_thread() as connection:
            connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")

    def _of_this_thread(self) -> "Connection":
        if not hasattr(self._threads, "connection"):
            self._threads.connection = Connection(self.path, self._synchronous)
        connection: Connection = self._threads.connection
        connection.close_if_replaced()
        return connection


class Connection:
    """A connection that is opened when it is used first, and again after a fork; never two uses of it at once. An
    error of SQLite leaves it as an OnlineStoreError, which names the file and the remedy."""

    def __init__(self, path: Path, synchronous: Synchronous) -> None:
        self._path = path
        self._synchronous = synchronous
        self._connection: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None
        self.in_use = threading.RLock()
        forks.close_before(self)

    @property
    def is_closed(self) -> bool:
        return self._connection is None

    def __enter__(self) -> sqlite3.Connection:
        self.in_use.acquire()
        try:
            if self._connection is None:
                self._connection = self._opened()
        except BaseException as error:
            self.__exit__(type(error), error, None)
            raise
        return self._connection

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        self.in_use.release()
        if isinstance(error, sqlite3.DatabaseError) and not isinstance(error, OnlineStoreError):
            remedy = _REMEDIES.get(getattr(error, "sqlite_errorcode", 0) & 0xFF, "Run: feast apply")
            raise OnlineStoreError(f"{self._path}: {error}. {remedy}") from error

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def close_if_replaced(self) -> None:
        """A file that no longer lies under its name is nobody's: what is written to it would be lost."""
        if self._connection is not None and self._file != _identity(self._path):
            with self.in_use:
                self.close()

    def _opened(self) -> sqlite3.Connection:
        # Another thread may close it, but none uses it: hence no check of the thread.
        opened = sqlite3.connect(
            self._path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False, cached_statements=512
        )
        _use_a_log(opened)
        opened.execute(f"PRAGMA synchronous = {self._synchronous}")
        opened.execute(f"PRAGMA journal_size_limit = {_LOG_BYTES}")
        self._file = _identity(self._path)
        return opened


def _identity(path: Path) -> tuple[int, int] | None:
    """Which file lies there now, None if there is none."""
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


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
