"""Changes of users, as the operator makes them. A change of a user ends all that was issued to the user before. Each is
logged before it takes effect: what `log` raises is raised, and then nothing has changed."""

import re
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from sqlite3 import Connection

from access import accounts, passwords
from access.accounts import User
from access.scopes import checked, written
from choices import unknown
from errors import SHOWN_CHARACTERS, BadParameter

MOST_CHARACTERS = 254
_EMAIL = re.compile(r"[!-?A-~]+@[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?")
TAKEN = "{} is a user already. Choose another address, or change that user: python -m jobs user --help"
NONE = "Add one: python -m jobs user add"


def normal(email: str) -> str:
    """The e-mail address in small letters, without spaces around it. Raises BadParameter."""
    address = email.strip().lower()
    if not _EMAIL.fullmatch(address) or len(address) > MOST_CHARACTERS:
        raise BadParameter(f"{email[:SHOWN_CHARACTERS]!r} is no e-mail address. Write one, such as ann@example.com.")
    return address


def check_new(path: Path, email: str) -> str:
    """The address of a user who is not there yet, as `normal`. Raises BadParameter."""
    address = normal(email)
    if address in accounts.read(path).by_email:
        raise BadParameter(TAKEN.format(address))
    return address


def add(path: Path, email: str, password: str, scopes: Iterable[str], now: datetime, log: accounts.Log) -> None:
    """Raises BadParameter on an address that is wrong or known already, a short password and an unknown scope."""
    address, allowed = check_new(path, email), checked(scopes)
    password_hash = passwords.hashed(password)
    with accounts.changing(path) as database:
        if database.execute("SELECT 1 FROM users WHERE email = ?", (address,)).fetchone():
            raise BadParameter(TAKEN.format(address))
        log()
        database.execute(
            "INSERT INTO users VALUES (?, ?, ?, ?, 1, 0, ?)",
            (uuid.uuid4().hex, address, password_hash, written(allowed), int(now.timestamp())),
        )


def set_password(path: Path, email: str, password: str, log: accounts.Log) -> None:
    """Raises BadParameter on an unknown user and a short password."""
    named(path, email)  # before the hash, which takes a while
    password_hash = passwords.hashed(password)
    with _changed(path, email, log) as (database, user):
        database.execute("UPDATE users SET password_hash = ? WHERE id = ?", (password_hash, user.id))


def set_scopes(path: Path, email: str, scopes: Iterable[str], log: accounts.Log) -> None:
    """Raises BadParameter on an unknown user or scope."""
    allowed = checked(scopes)
    with _changed(path, email, log) as (database, user):
        database.execute("UPDATE users SET scopes = ? WHERE id = ?", (written(allowed), user.id))


def set_disabled(path: Path, email: str, is_disabled: bool, log: accounts.Log) -> None:
    """Raises BadParameter on an unknown user."""
    with _changed(path, email, log) as (database, user):
        database.execute("UPDATE users SET is_disabled = ? WHERE id = ?", (int(is_disabled), user.id))


def named(path: Path, email: str) -> User:
    """The user of an address. Raises BadParameter, with the nearest address."""
    users = accounts.read(path).by_email
    address = email.strip().lower()
    if address not in users:
        raise unknown("user", address, users, NONE)
    return users[address]


@contextmanager
def _changed(path: Path, email: str, log: accounts.Log) -> Iterator[tuple[Connection, User]]:
    user = named(path, email)
    with accounts.changing(path) as database:
        log()
        database.execute("UPDATE users SET generation = generation + 1 WHERE id = ?", (user.id,))
        yield database, user
