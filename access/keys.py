"""API keys, for machines. A key is random, shown once, and stored as its SHA-256.

A password needs a slow hash, because people choose passwords that can be guessed. Nobody guesses 32 random bytes, so a
fast hash is as safe, and a request is not slowed down.
"""

import hashlib
import re
import secrets
from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path

from access import accounts
from access.scopes import checked, written
from choices import unknown
from errors import SHOWN_CHARACTERS, BadParameter

#: What every key begins with, so that a key is recognised in a log or a repository.
MARK = "rk_"
SHOWN_PREFIX = len(MARK) + 6
RANDOM_BYTES = 32
_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")


def digest(key: str) -> bytes:
    """What is stored of a random secret.

    >>> len(digest("rk_x"))
    32
    """
    return hashlib.sha256(key.encode()).digest()


def add(path: Path, name: str, scopes: Iterable[str], lasts: timedelta, now: datetime, log: accounts.Log) -> str:
    """A new key; nobody can read it later. Raises BadParameter on a name that is wrong or taken, and an unknown
    scope; and what `log` raises. Then there is no key."""
    allowed = checked(scopes)
    if not _NAME.fullmatch(name):
        raise BadParameter(
            f"{name[:SHOWN_CHARACTERS]!r} is not a name for a key. Write up to 64 letters, digits, dots, dashes and _."
        )
    key = MARK + secrets.token_urlsafe(RANDOM_BYTES)
    with accounts.changing(path) as database:
        if database.execute("SELECT 1 FROM keys WHERE name = ?", (name,)).fetchone():
            raise BadParameter(
                f"There is a key {name} already. Choose another name: the audit log has it, and one name is one key."
            )
        log()
        created, expires = int(now.timestamp()), int((now + lasts).timestamp())
        database.execute(
            "INSERT INTO keys VALUES (?, ?, ?, ?, ?, ?, 0)",
            (name, digest(key), key[:SHOWN_PREFIX], written(allowed), created, expires),
        )
    return key


def revoke(path: Path, name: str, log: accounts.Log) -> None:
    """Raises BadParameter on an unknown name, with the nearest one, and what `log` raises; then the key holds on."""
    names = [key.name for key in accounts.read(path).keys.values()]
    if name not in names:
        raise unknown("key", name, names, "Add one: python -m jobs key add")
    with accounts.changing(path) as database:
        log()
        database.execute("UPDATE keys SET is_revoked = 1 WHERE name = ?", (name,))
