"""Where each decision is in the audit log, and each outcome in its own: one SQLite file, `decisions.index/search.db`.
It may be removed at any time: the next use builds it from the logs. It reads on from where it stopped, whenever
somebody asks, whichever process that is."""

import logging
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from datetime import date
from pathlib import Path
from threading import Thread
from typing import TypeVar

from errors import IndexBehind, RootBroken
from files import explained, fault, locked, replacing
from serving.audit import log_files, tables

logger = logging.getLogger(__name__)

#: So many bytes of the logs are read while a caller waits: some seconds. Of more, a thread takes care.
INLINE_BYTES = 96 * 1024 * 1024
_REMEDY = "Remove it: the next use builds it again from the audit log."
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT}
_IN_BULK = "PRAGMA {0}.journal_mode = OFF; PRAGMA {0}.synchronous = OFF;"

Answer = TypeVar("Answer")


class Moved(Exception):
    """The line at a position is another one: its file was replaced or edited."""

    def __init__(self, log: str, day: date) -> None:
        super().__init__(f"{log} of {day}")
        self.log, self.day = log, day


class Positions:
    """The index of the decisions in the folder `decisions` and of the outcomes in the folder `outcomes`."""

    def __init__(self, decisions: Path, outcomes: Path) -> None:
        self.logs: Mapping[str, Path] = {"decisions": decisions, "outcomes": outcomes}
        self.path = decisions.with_name(f"{decisions.name}.index") / "search.db"
        self._lock = self.path.with_suffix(".lock")

    def ask(self, question: Callable[[sqlite3.Connection], Answer], waits: bool = False) -> Answer:
        """The answer of an index that has all that is in the logs now. A damaged index is built again, and a file of
        the log that was replaced is read again; then the question is asked once more. Where more than INLINE_BYTES are
        to be read first, a thread reads them and this raises IndexBehind, unless the caller `waits`. Raises
        RootBroken."""
        with explained(self.path, RootBroken, _REMEDY):
            try:
                return self._asked(question, waits)
            except sqlite3.DatabaseError as error:
                if getattr(error, "sqlite_errorcode", 0) & 0xFF not in _DAMAGED:
                    raise
                logger.warning("%s", fault(error, self.path, "It is built again."))
                with locked(self._lock):
                    self._remove()
            except Moved as moved:
                logger.warning("%s is not as it was. It is indexed again.", moved)
                with locked(self._lock), closing(self._connect()) as db, db:
                    db.execute("BEGIN IMMEDIATE")
                    tables.forget(db, moved.log, moved.day)
            try:
                return self._asked(question, waits)
            except Moved as moved:
                raise RootBroken(f"{moved} has lines that change while they are read. {_REMEDY}") from moved

    def _asked(self, question: Callable[[sqlite3.Connection], Answer], waits: bool) -> Answer:
        behind = self._bytes_behind()
        if behind > INLINE_BYTES and not waits:
            Thread(target=self._in_background, daemon=True).start()
            raise IndexBehind(
                f"{behind / 1e6:,.0f} MB of the audit log are not in the index yet, and are being read. Try again in a "
                "minute."
            )
        if behind:
            self.catch_up()
        with closing(self._connect()) as db:
            return question(db)

    def catch_up(self) -> None:
        """Read all that is in the logs, a chunk in a transaction. Raises OSError, sqlite3.DatabaseError."""
        is_done = False
        while not is_done:
            with locked(self._lock):
                if not self._is_there():
                    self._build()
                with closing(self._connect()) as db, db:
                    is_done = self._read_chunk(db)

    def _in_background(self) -> None:
        busy = BlockingIOError("Another thread or process reads it.")
        try:
            with locked(self.path.with_suffix(".background"), busy):
                self.catch_up()
        except (OSError, sqlite3.DatabaseError) as error:
            if error is not busy:
                logger.error("%s", fault(error, self.path, _REMEDY))

    def _bytes_behind(self) -> int:
        """How many bytes of the logs are not in the index; at least one where a file has changed."""
        if not self._is_there():
            return 1 + sum(file.size for file in log_files.listed(self.logs, {}))
        with closing(self._connect()) as db:
            known = log_files.known(db)
        files = list(log_files.listed(self.logs, known))
        is_gone = known.keys() - {(file.log, file.day) for file in files}
        return bool(is_gone) + sum(max(1, file.size - file.read_to) for file in files if not file.is_read)

    def _read_chunk(self, db: sqlite3.Connection) -> bool:
        """Read one chunk. Returns whether there was nothing to read. The caller holds the lock."""
        db.execute("BEGIN IMMEDIATE")
        known = log_files.known(db)
        files = list(log_files.listed(self.logs, known))
        gone = known.keys() - {(file.log, file.day) for file in files}
        for log, day in gone:
            tables.forget(db, log, day)
        if gone and tables.is_worn(db):
            self._remove()
            return False
        unread = next((file for file in files if not file.is_read), None)
        if unread:
            log_files.read_on(db, unread, "main.posting")
        return unread is None

    def _build(self) -> None:
        """Write the whole file. The postings are sorted once, and written in their order. The caller holds the lock."""
        scratch = self.path.with_name(".search.postings.tmp")
        with replacing(self.path) as beside:
            for leftover in (beside, scratch):
                leftover.unlink(missing_ok=True)
            with closing(sqlite3.connect(beside, isolation_level=None)) as db:
                db.executescript(f"{_IN_BULK.format('main')} PRAGMA cache_size = -65536; {tables.SCHEMA}")
                db.execute(f"PRAGMA user_version = {tables.VERSION}")
                db.execute("ATTACH ? AS scratch", (str(scratch),))
                db.executescript(f"{_IN_BULK.format('scratch')} CREATE TABLE scratch.posting (term, as_of, offset)")
                for file in log_files.listed(self.logs, {}):
                    while not file.is_read:
                        with db:
                            db.execute("BEGIN")
                            file = log_files.read_on(db, file, "scratch.posting")
                db.execute("INSERT OR IGNORE INTO main.posting SELECT * FROM scratch.posting ORDER BY 1, 2, 3")
            scratch.unlink()
            self._remove()  # also what belongs to a removed file: SQLite would replay it into the new one

    def _remove(self) -> None:
        for suffix in ("", "-wal", "-shm"):
            self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)

    def _is_there(self) -> bool:
        """Whether there is a file of today's version."""
        if not self.path.exists():
            return False
        with closing(self._connect()) as db:
            return bool(db.execute("PRAGMA user_version").fetchone() == (tables.VERSION,))

    def _connect(self) -> sqlite3.Connection:
        db = sqlite3.connect(f"{self.path.absolute().as_uri()}?mode=rw", uri=True, timeout=30, isolation_level=None)
        db.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA cache_size = -16384")
        return db
