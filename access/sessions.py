"""What sign-ins leave in `sessions.db`: refresh tokens of programs, sessions of browsers. Both are random secrets, and
stored as their SHA-256. If the file is lost, everybody signs in again, and nothing else.

The service writes this file at each sign-in. The users and keys are in a file of their own, which stays the same for
weeks, so that each request can tell by a look from outside that nothing has changed.
"""

import secrets
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from access.accounts import User, changing, opened
from access.keys import RANDOM_BYTES, digest
from errors import NotSignedIn

SCHEMA = """
CREATE TABLE IF NOT EXISTS refresh_tokens (
    digest BLOB PRIMARY KEY,
    family TEXT NOT NULL,       -- those that followed one from another since a sign-in
    user TEXT NOT NULL,
    generation INTEGER NOT NULL,
    expires INTEGER NOT NULL,   -- of the whole family, in seconds since 1970
    is_used INTEGER NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS by_family ON refresh_tokens (family);
CREATE TABLE IF NOT EXISTS sessions (
    digest BLOB PRIMARY KEY,
    user TEXT NOT NULL,
    generation INTEGER NOT NULL,
    expires INTEGER NOT NULL
) STRICT;
"""
#: How long a program may refresh its tokens before it sends the password again.
REFRESH_LIFETIME = timedelta(days=30)
#: How long a browser stays signed in.
SESSION_LIFETIME = timedelta(hours=12)
NOT_VALID = "The refresh token is not valid any more. Sign in again: POST /api/v1/auth/login"


@dataclass(frozen=True)
class Grant:
    """To whom something was issued: a user, by id, with the generation that the user had."""

    user: str
    generation: int


def begin_family(path: Path, user: User, now: datetime) -> str:
    """The first refresh token of a sign-in."""
    expires = int((now + REFRESH_LIFETIME).timestamp())
    return _add(path, "refresh_tokens", (uuid.uuid4().hex, user.id, user.generation, expires, 0), now)


def rotate(path: Path, token: str, now: datetime) -> tuple[str, Grant]:
    """The refresh token that follows this one, and to whom it belongs. A token works once. If one is sent a second
    time, somebody has stolen it, or had it stolen: its whole family ends. Raises NotSignedIn."""
    following = secrets.token_urlsafe(RANDOM_BYTES)
    with changing(path, SCHEMA) as database:
        row = database.execute(
            "SELECT family, user, generation, expires, is_used FROM refresh_tokens WHERE digest = ?", (digest(token),)
        ).fetchone()
        is_valid = row is not None and row[3] > now.timestamp() and not row[4]
        if row is not None and row[4]:
            database.execute("DELETE FROM refresh_tokens WHERE family = ?", (row[0],))
        if is_valid:
            database.execute("UPDATE refresh_tokens SET is_used = 1 WHERE digest = ?", (digest(token),))
            database.execute("INSERT INTO refresh_tokens VALUES (?, ?, ?, ?, ?, 0)", (digest(following), *row[:4]))
    if not is_valid:
        raise NotSignedIn(NOT_VALID)
    return following, Grant(row[1], row[2])


def end_family(path: Path, token: str) -> None:
    """End all refresh tokens of the sign-in that this one comes from. An unknown token ends nothing."""
    with changing(path, SCHEMA) as database:
        database.execute(
            "DELETE FROM refresh_tokens WHERE family IN (SELECT family FROM refresh_tokens WHERE digest = ?)",
            (digest(token),),
        )


def begin_session(path: Path, user: User, now: datetime) -> str:
    """The secret of a new session, for a cookie."""
    return _add(path, "sessions", (user.id, user.generation, int((now + SESSION_LIFETIME).timestamp())), now)


def session(path: Path, secret: str, now: datetime) -> Grant | None:
    """To whom a session belongs; None if it has ended."""
    if not path.exists():
        return None
    with opened(path, SCHEMA) as database:
        row = database.execute(
            "SELECT user, generation FROM sessions WHERE digest = ? AND expires > ?", (digest(secret), now.timestamp())
        ).fetchone()
    return None if row is None else Grant(*row)


def end_session(path: Path, secret: str) -> None:
    """End a session. An unknown one stays unknown."""
    with changing(path, SCHEMA) as database:
        database.execute("DELETE FROM sessions WHERE digest = ?", (digest(secret),))


def _add(path: Path, table: str, row: tuple[object, ...], now: datetime) -> str:
    """A new secret with its row. What has expired is removed."""
    secret = secrets.token_urlsafe(RANDOM_BYTES)
    with changing(path, SCHEMA) as database:
        for name in ("refresh_tokens", "sessions"):
            database.execute(f"DELETE FROM {name} WHERE expires <= ?", (now.timestamp(),))
        database.execute(f"INSERT INTO {table} VALUES ({', '.join('?' * (1 + len(row)))})", (digest(secret), *row))
    return secret
