"""Users and API keys as `access.db` holds them: read as a whole, and changed one at a time by the commands."""

import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import files
from errors import AccessUnavailable

#: Logs a change, before it is made.
Log = Callable[[], object]
SCHEMA = """
CREATE TABLE IF NOT EXISTS users (
    id TEXT PRIMARY KEY,            -- random, and never used again: a session of another user's time is nobody's
    email TEXT NOT NULL UNIQUE,     -- in small letters
    password_hash TEXT NOT NULL,
    scopes TEXT NOT NULL,
    generation INTEGER NOT NULL,    -- changes with password, scopes and disabling; sessions and tokens carry it
    is_disabled INTEGER NOT NULL,
    created INTEGER NOT NULL        -- seconds since 1970
) STRICT;
CREATE TABLE IF NOT EXISTS keys (
    name TEXT PRIMARY KEY,
    digest BLOB NOT NULL UNIQUE,    -- SHA-256 of the key
    prefix TEXT NOT NULL,           -- the first characters of the key, to recognise it
    scopes TEXT NOT NULL,
    created INTEGER NOT NULL,
    expires INTEGER NOT NULL,
    is_revoked INTEGER NOT NULL
) STRICT;
"""
WAIT_SECONDS = 30
DAMAGED = "Put a backup of the file back, or move it away and add the users again."


@dataclass(frozen=True)
class User:
    """A person who signs in. What was issued under another `generation` is not valid any more."""

    id: str
    email: str
    password_hash: str = field(repr=False)
    scopes: frozenset[str]
    generation: int
    is_disabled: bool
    created: datetime


@dataclass(frozen=True)
class Key:
    """An API key of a machine. The key itself is stored nowhere."""

    name: str
    prefix: str
    scopes: frozenset[str]
    created: datetime
    expires: datetime
    is_revoked: bool


@dataclass(frozen=True)
class Accounts:
    """All users and keys, as they were at one time."""

    users: Mapping[str, User] = field(default_factory=dict)
    """By id."""
    by_email: Mapping[str, User] = field(default_factory=dict)
    keys: Mapping[bytes, Key] = field(default_factory=dict)
    """By the SHA-256 of the key."""


@dataclass(frozen=True)
class _Seen:
    signature: files.Signature
    is_settled: bool
    accounts: Accounts


class Watch:
    """The users and keys of a file, as they are now. A look at the file from outside tells whether it has changed, so
    a request costs no read of it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: _Seen | None = None

    def current(self) -> Accounts:
        """Nobody, if there is no file. Raises AccessUnavailable."""
        seen = self._seen
        try:
            signature = files.signature(self._path)
        except FileNotFoundError:
            return Accounts()
        except OSError as error:
            raise broken(self._path, error) from error
        if seen and seen.is_settled and seen.signature == signature:
            return seen.accounts
        is_settled = files.is_settled(signature)  # before it is read: a change in between gives another signature
        accounts = read(self._path)
        self._seen = _Seen(signature, is_settled, accounts)
        return accounts


def read(path: Path) -> Accounts:
    """All users and keys of a file; nobody, if there is none. Raises AccessUnavailable."""
    if not path.exists():
        return Accounts()
    with opened(path) as database:
        users = [
            User(row[0], row[1], row[2], frozenset(row[3].split()), row[4], bool(row[5]), _time(row[6]))
            for row in database.execute(
                "SELECT id, email, password_hash, scopes, generation, is_disabled, created FROM users ORDER BY email"
            )
        ]
        keys = {
            row[0]: Key(row[1], row[2], frozenset(row[3].split()), _time(row[4]), _time(row[5]), bool(row[6]))
            for row in database.execute(
                "SELECT digest, name, prefix, scopes, created, expires, is_revoked FROM keys ORDER BY name"
            )
        }
    return Accounts({user.id: user for user in users}, {user.email: user for user in users}, keys)


@contextmanager
def opened(path: Path, schema: str = SCHEMA) -> Iterator[sqlite3.Connection]:
    """The database, with its tables. Each change is one transaction, on disk when the block ends. Raises
    AccessUnavailable.

    It has a rollback journal and no WAL: then each change is one of the file itself, which `Watch` sees.
    """
    try:
        is_new = not path.exists()
        files.make_folder(path.parent)
        with closing(sqlite3.connect(path, timeout=WAIT_SECONDS, isolation_level=None)) as database:
            database.executescript(schema)
            if is_new:
                files.hide(path)
            yield database
    except files.FileFaults as error:
        raise broken(path, error) from error


@contextmanager
def changing(path: Path, schema: str = SCHEMA) -> Iterator[sqlite3.Connection]:
    """As `opened`, for a change that first reads: no other process changes anything meanwhile. An error inside changes
    nothing."""
    with opened(path, schema) as database:
        database.execute("BEGIN IMMEDIATE")
        try:
            yield database
        except BaseException:
            database.execute("ROLLBACK")
            raise
        database.execute("COMMIT")


def broken(path: Path, error: Exception) -> AccessUnavailable:
    """The error for a fault of the file. It names the file and not its folder: whoever signs in reads it."""
    words = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return AccessUnavailable(f"{path.name}: {words.rstrip('.')}. {DAMAGED}")


def _time(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
