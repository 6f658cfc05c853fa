"""Passwords, and their hashes by argon2id."""

import unicodedata
from threading import BoundedSemaphore

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from errors import BadParameter

FEWEST_CHARACTERS, MOST_CHARACTERS = 12, 1000
#: The first set of parameters that OWASP names for argon2id: 19 MiB, two passes, one thread. A hash takes about 30 ms.
#: The parameters are a part of each hash, so a hash with others is still verified.
_HASHER = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
#: So many hashes are computed at a time in a process. It bounds the memory and the cores that sign-ins take.
_AT_A_TIME = BoundedSemaphore(2)
#: The hash of a password that nobody has: what is verified where there is no user of the name.
_NOBODYS = _HASHER.hash("a password that nobody has, because no user has this hash")


def hashed(password: str) -> str:
    """The hash of a new password, with its salt and its parameters. Raises BadParameter."""
    if len(password) < FEWEST_CHARACTERS:
        raise BadParameter(f"The password has fewer than {FEWEST_CHARACTERS} characters. Choose a longer one.")
    if len(password) > MOST_CHARACTERS:
        raise BadParameter(f"The password has more than {MOST_CHARACTERS:,} characters. Choose a shorter one.")
    try:
        password.encode()
    except UnicodeEncodeError:
        raise BadParameter("The password is not UTF-8. Set the terminal to UTF-8, and type it again.") from None
    with _AT_A_TIME:
        return _HASHER.hash(_normal(password))


def verify(password_hash: str | None, password: str) -> bool:
    """Whether it is the password of the hash. Without a hash the answer is no, after as much work."""
    with _AT_A_TIME:
        try:
            # A text that is too long for a password is cut: hashing it costs no more, and it is no password.
            is_right = _HASHER.verify(password_hash or _NOBODYS, _normal(password[: MOST_CHARACTERS + 1]))
        except (VerificationError, InvalidHashError):
            return False
    return is_right and password_hash is not None


def _normal(password: str) -> str:
    """A letter with its accent may be typed as one character or as two: both are the same password."""
    return unicodedata.normalize("NFKC", password)
