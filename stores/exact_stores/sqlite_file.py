"""One SQLite file for many threads and processes: readers never wait, writers wait for each other."""

import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal

from exact_stores import forks
from exact_stores.exact_online import NotApplied, OnlineStoreError
from exact_stores.whole_file import PRIVATE_FILE, make_folder

#: How long a writer waits for other writers before it gives up.
BUSY_SECONDS = 60
#: The cache of a thread that writes. Threads that only read are many, and keep SQLite's own 2 MiB.
_CACHE_KIB = 64 * 1024
#: The write-ahead log may be this long before a commit copies its pages into the file, which waits for the disk. Pages
#: that are written again and again, as those of a busy state are, are copied once.
_LOG_BYTES = 16 * 1024 * 1024
#: SQLite's own size of a page.
_PAGE_BYTES = 4096

_ALLOW_WRITING = "Let this user write the file and the folder that it is in."
_START_OVER = "Move it away, then run `feast apply`, and materialize all views."
_REMEDIES = {
    sqlite3.SQLITE_READONLY: _ALLOW_WRITING,
    sqlite3.SQLITE_CANTOPEN: _ALLOW_WRITING,
    sqlite3.SQLITE_PERM: _ALLOW_WRITING,
    sqlite3.SQLITE_FULL: "Free space on its disk, then write the batch again: nothing of it was kept.",
    sqlite3.SQLITE_IOERR: "Check its disk, then write the batch again: nothing of it was kept.",
    sqlite3.SQLITE_BUSY: f"Other writers kept it locked for {BUSY_SECONDS} s. Write again, in smaller batches.",
    sqlite3.SQLITE_NOTADB: _START_OVER,
    sqlite3.SQLITE_CORRUPT: _START_OVER,
}

Synchronous = Literal["full", "normal"]


class SqliteFileError(OnlineStoreError, sqlite3.OperationalError):
    """The online store's file cannot be read or written. The message names the file, the cause and the remedy."""


class SqliteFile:
    """Connections to one file, a connection for each thread.

    Durability: the file has a write-ahead log, so a killed process loses nothing that it committed. With `synchronous`
    full, a power cut loses nothing either. With `synchronous` normal, a power cut may lose the last commits, but never
    half of a commit.
    """

    def __init__(self, path: Path, synchronous: Synchronous) -> None:
        """Nothing is opened or made before the first use."""
        self.path = path
        self._synchronous = synchronous
        self._threads = threading.local()

    def reading(self) -> "Connection":
        """`with file.reading() as connection`: each statement sees the last commit.

        Raises OnlineStoreError, and NotApplied if there is no file: reading never makes one.
        """
        connection = self._thread_connection()
        if connection.is_closed and not self.path.exists():
            raise NotApplied(f"There is no {self.path}. Run: feast apply")
        return connection

    @contextmanager
    def snapshot(self) -> Iterator[sqlite3.Connection]:
        """`with file.snapshot() as connection`: all statements see the same commit. They also share its locks, which
        take as long as a small statement. Raises what `reading` raises."""
        with self.reading() as connection:
            connection.execute("BEGIN")
            try:
                yield connection
            finally:
                if connection.in_transaction:
                    connection.execute("COMMIT")

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """`with file.writing() as connection`: one transaction, committed at the end, rolled back on any error.

        Makes the file if there is none. Raises OnlineStoreError.
        """
        try:
            make_folder(self.path.parent)
        except OSError as error:
            raise SqliteFileError(f"{self.path}: its folder cannot be made ({error}). {_ALLOW_WRITING}") from error
        with self._thread_connection() as connection:
            connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")

    def _thread_connection(self) -> "Connection":
        if not hasattr(self._threads, "connection"):
            self._threads.connection = Connection(self.path, self._synchronous)
        connection: Connection = self._threads.connection
        connection.close_if_replaced()
        return connection


class Connection:
    """A connection that opens when it is first used, and again after a fork. It is used once at a time.

    An error of SQLite leaves it as a SqliteFileError that names the file and the remedy.
    """

    def __init__(self, path: Path, synchronous: Synchronous) -> None:
        self._path = path
        self._synchronous = synchronous
        self._connection: sqlite3.Connection | None = None
        self._file_id: tuple[int, int] | None = None
        self.in_use = threading.RLock()
        forks.close_before(self)

    @property
    def is_closed(self) -> bool:
        """Whether the next use has to open it."""
        return self._connection is None

    def __enter__(self) -> sqlite3.Connection:
        self.in_use.acquire()
        try:
            if self._connection is None:
                self._connection = self._open()
        except BaseException as error:
            self.__exit__(type(error), error, None)
            raise
        return self._connection

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        self.in_use.release()
        if isinstance(error, sqlite3.DatabaseError) and not isinstance(error, OnlineStoreError):
            remedy = _REMEDIES.get(getattr(error, "sqlite_errorcode", 0) & 0xFF, "Run: feast apply")
            remedy = "This is a folder: move it away." if self._path.is_dir() else remedy
            raise SqliteFileError(f"{self._path}: {error}. {remedy}") from error

    def close(self) -> None:
        """Close it, if it is open. The next use opens it again."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def close_if_replaced(self) -> None:
        """Close it if another file, or none, now lies at its path: what it wrote to the old file would be lost."""
        if self._connection is not None and self._file_id != _file_id(self._path):
            with self.in_use:
                self.close()

    def _open(self) -> sqlite3.Connection:
        with suppress(OSError):  # SQLite says better what is wrong, and gives its other files the mode of this one
            os.close(os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE_FILE))
        # Another thread may close it before a fork, but no other thread uses it. Hence no check of the thread.
        connection = sqlite3.connect(
            self._path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False, cached_statements=512
        )
        _use_write_ahead_log(connection)
        connection.execute(f"PRAGMA synchronous = {self._synchronous}")
        connection.execute(f"PRAGMA journal_size_limit = {_LOG_BYTES}")
        connection.execute(f"PRAGMA wal_autocheckpoint = {_LOG_BYTES // _PAGE_BYTES}")
        self._file_id = _file_id(self._path)
        return connection


def _file_id(path: Path) -> tuple[int, int] | None:
    """The device and inode of the file that lies there now. None if there is none."""
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino


def _use_write_ahead_log(connection: sqlite3.Connection) -> None:
    """Switch the file to a write-ahead log. SQLite's busy timeout does not cover this step, and several processes may
    open a new file at the same time, so it is tried again until `BUSY_SECONDS` have passed."""
    deadline = time.monotonic() + BUSY_SECONDS
    while connection.execute("PRAGMA journal_mode").fetchone() != ("wal",):
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
