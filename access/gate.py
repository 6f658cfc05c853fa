"""The gate: who sends a request, by what it carries, and how somebody signs in."""

import hmac
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from access import passwords, sessions, tokens
from access.accounts import Accounts, User, Watch
from access.keys import MARK, digest
from access.sessions import Grant
from access.tokens import Claims
from errors import NotSignedIn

#: One answer for a wrong user, a wrong password and a disabled user.
WRONG = "The e-mail address or the password is wrong. Check both."
ENDED = "The session has ended. Sign in again."
KEY_NOT_VALID = "The API key is not valid, or not any more. Get another one: python -m jobs key add"
#: So many tokens that were verified are remembered.
MOST_VERIFIED = 2000


@dataclass(frozen=True)
class Caller:
    """Who sends a request: `user:<e-mail>` or `key:<name>`, and what the caller may do."""

    name: str
    scopes: frozenset[str]


class Pair(NamedTuple):
    """What a program gets when it signs in."""

    access_token: str
    refresh_token: str
    user: User


class Gate:
    """`accounts_db` holds users and keys, `sessions_db` what sign-ins leave. `secret` signs the access tokens,
    and those of the secret before, `old_secret`, still count."""

    def __init__(self, accounts_db: Path, sessions_db: Path, secret: bytes, old_secret: bytes | None = None) -> None:
        self._watch, self._sessions, self._secret = Watch(accounts_db), sessions_db, secret
        self._secrets = (secret, old_secret) if old_secret else (secret,)
        self._verified: dict[bytes, Claims] = {}

    def bearer(self, credential: str, now: datetime) -> Caller:
        """The caller that an access token or an API key stands for. Raises NotSignedIn, AccessUnavailable."""
        accounts, known_by = self._watch.current(), digest(credential)
        if credential.startswith(MARK):
            key = accounts.keys.get(known_by)
            if key is None or key.is_revoked or key.expires <= now:
                raise NotSignedIn(KEY_NOT_VALID)
            return Caller(f"key:{key.name}", key.scopes)
        claims = self._verified.get(known_by)
        if claims is None or claims.expires <= now.timestamp():
            claims = tokens.read(self._secrets, credential, now)
            if len(self._verified) >= MOST_VERIFIED:
                self._verified.clear()
            self._verified[known_by] = claims
        user = _valid(accounts, Grant(claims.user, claims.generation), tokens.NOT_VALID)
        return Caller(f"user:{user.email}", claims.scopes & user.scopes)

    def session(self, secret: str, now: datetime) -> Caller:
        """The caller whose browser sends the secret of a session. Raises NotSignedIn, AccessUnavailable."""
        grant = sessions.session(self._sessions, secret, now)
        if grant is None:
            raise NotSignedIn(ENDED)
        user = _valid(self._watch.current(), grant, ENDED)
        return Caller(f"user:{user.email}", user.scopes)

    def login(self, email: str, password: str, now: datetime) -> Pair:
        """Tokens for a program. Raises NotSignedIn, AccessUnavailable."""
        user = self._checked(email, password)
        return Pair(self._token(user, now), sessions.begin_family(self._sessions, user, now), user)

    def refresh(self, token: str, now: datetime) -> Pair:
        """Both tokens anew. The old refresh token does not work any more. Raises NotSignedIn, AccessUnavailable."""
        following, grant = sessions.rotate(self._sessions, token, now)
        user = _valid(self._watch.current(), grant, sessions.NOT_VALID)
        return Pair(self._token(user, now), following, user)

    def logout(self, token: str) -> None:
        """End the refresh tokens of a sign-in. Raises AccessUnavailable."""
        sessions.end_family(self._sessions, token)

    def sign_in(self, email: str, password: str, now: datetime) -> str:
        """The secret of a new session, for the cookie of a browser. Raises NotSignedIn, AccessUnavailable."""
        return sessions.begin_session(self._sessions, self._checked(email, password), now)

    def sign_out(self, secret: str) -> None:
        """End a session. Raises AccessUnavailable."""
        sessions.end_session(self._sessions, secret)

    def _token(self, user: User, now: datetime) -> str:
        return tokens.issued(self._secret, user, now)

    def _checked(self, email: str, password: str) -> User:
        """The user of an address and a password. The work is the same, whatever is wrong."""
        user = self._watch.current().by_email.get(email.strip().lower())
        is_right = passwords.verify(user.password_hash if user else None, password)
        if user is None or user.is_disabled or not is_right:
            raise NotSignedIn(WRONG)
        return user


def _valid(accounts: Accounts, grant: Grant, message: str) -> User:
    """The user that something was issued to, if it is valid still. Raises NotSignedIn."""
    user = accounts.users.get(grant.user)
    if user is None or user.is_disabled or user.generation != grant.generation:
        raise NotSignedIn(message)
    return user


def csrf_token(session: str) -> str:
    """What a page of ours sends beside the cookie, and what no other site can know.

    >>> len(csrf_token("a secret"))
    64
    """
    return hmac.new(session.encode(), b"csrf", sha256).hexdigest()
