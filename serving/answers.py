"""Answers that are kept for a day, so that a caller that did not get one can send its request again.

A caller chooses a key for a request. The same key with the same body gets the same answer, byte for byte, and nothing
is decided again. The ids of the decisions are noted on disk before they are made. So if a process dies between the line
of the audit log and the kept answer, the next request with the key finds its decisions in the log.

Bodies are kept as keyed hashes only. Requests with one key take turns, across processes."""

import hashlib
import hmac
import sqlite3
import uuid
from collections.abc import Callable
from contextlib import ExitStack, closing, suppress
from datetime import datetime, timedelta
from pathlib import Path
from threading import Lock

from errors import BadRequest, KeyReused, LogUnavailable, UnknownEntity
from features.utc import EPOCH, MICROSECOND, since_1970
from files import FileFaults, explained, locked
from serving.call import Begun

KEPT_US = timedelta(hours=24) // MICROSECOND
#: Keys share this many locks. Two requests with different keys seldom wait for each other.
LOCKS = 64
#: Each new key removes at most this many answers that are too old.
REMOVED_AT_ONCE = 100
REUSED = "This Idempotency-Key was sent before with another body. Send another key with this body."
DAMAGED = "Move it away. Then no earlier key is known."

SCHEMA = """
CREATE TABLE IF NOT EXISTS answers (
    key BLOB PRIMARY KEY, body BLOB NOT NULL, begun INTEGER NOT NULL, seed TEXT NOT NULL, answer BLOB
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS answers_begun ON answers (begun);
"""


class Answers:
    """The answers that a folder keeps."""

    def __init__(self, folder: Path, hash_key: bytes) -> None:
        self._folder, self._hash_key = folder, hash_key
        self._connection: sqlite3.Connection | None = None
        self._lock = Lock()

    def once(
        self, key: tuple[str, ...], body: bytes, now: datetime, decide: Callable[[Begun], bytes]
    ) -> tuple[bytes, bool]:
        """The answer to a request, and whether it was kept. `key` is all that tells requests apart. `decide` makes the
        answer. Where it raises an error that the caller can correct, nothing is kept. Raises KeyReused, LogUnavailable,
        and what `decide` raises."""
        name, digest = self._digest("\0".join(key).encode()), self._digest(body)
        with ExitStack() as stack:
            with explained(self._folder, LogUnavailable, DAMAGED):
                stack.enter_context(locked(self._folder / f"{name[0] % LOCKS:02}.lock"))
                begun, answer = self._begin(name, digest, since_1970(now))
            if answer is not None:
                return answer, True
            try:
                answer = decide(begun)
            except (BadRequest, UnknownEntity):
                self._write("DELETE FROM answers WHERE key = ?", name)
                raise
            self._write("UPDATE answers SET answer = ? WHERE key = ?", answer, name)
            return answer, False

    def _begin(self, name: bytes, digest: bytes, now_us: int) -> tuple[Begun, bytes | None]:
        """What was begun with a key, and its answer; None if there is none yet. Once this returns, a power cut does not
        change it."""
        with self._lock, self._opened() as db:
            db.execute("PRAGMA synchronous = FULL")
            db.execute("BEGIN IMMEDIATE")
            with db:  # commits
                old = (now_us - KEPT_US, REMOVED_AT_ONCE)
                db.execute("DELETE FROM answers WHERE key IN (SELECT key FROM answers WHERE begun < ? LIMIT ?)", old)
                db.execute("DELETE FROM answers WHERE key = ? AND begun < ?", (name, now_us - KEPT_US))
                query = "SELECT body, begun, seed, answer FROM answers WHERE key = ?"
                row = db.execute(query, (name,)).fetchone()
                if row is None:
                    seed = str(uuid.uuid4())
                    db.execute("INSERT INTO answers VALUES (?, ?, ?, ?, NULL)", (name, digest, now_us, seed))
                    return Begun(seed, EPOCH + now_us * MICROSECOND, is_again=False), None
        body, begun_us, seed, answer = row
        if not hmac.compare_digest(body, digest):
            raise KeyReused(REUSED, "Idempotency-Key")
        return Begun(seed, EPOCH + begun_us * MICROSECOND, is_again=True), answer

    def _write(self, statement: str, *values: bytes) -> None:
        """Change a row, if the disk lets us. If not, the next request finds the decisions in the audit log."""
        with suppress(*FileFaults), self._lock, self._opened() as db:
            db.execute("PRAGMA synchronous = NORMAL")
            db.execute(statement, values)

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            with ExitStack() as stack:
                path = self._folder / "answers.db"
                db = sqlite3.connect(path, timeout=30, isolation_level=None, check_same_thread=False)
                stack.enter_context(closing(db))
                db.execute("PRAGMA journal_mode = WAL")
                db.executescript(SCHEMA)
                self._connection = db
                stack.pop_all()
        return self._connection

    def _digest(self, value: bytes) -> bytes:
        return hmac.new(self._hash_key, value, hashlib.sha256).digest()
