"""Access tokens: JSON Web Tokens (RFC 7519) that we sign ourselves, by HMAC-SHA-256 alone."""

import uuid
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import jwt
from jwt.types import Options

from access.accounts import User
from access.scopes import written
from errors import NotSignedIn

ISSUER, AUDIENCE = "risk-service", "risk-service-api"
#: The one algorithm. A token that names another one, or none, is refused whatever its signature is.
ALGORITHM = "HS256"
LIFETIME = timedelta(minutes=10)
REQUIRED = ["iss", "aud", "sub", "iat", "exp", "jti", "scope", "gen"]
#: PyJWT would ask the clock. We compare with the time that we are given.
_CHECKS: Options = {"require": REQUIRED, "verify_exp": False, "verify_iat": False, "verify_nbf": False}
NOT_VALID = "The token is not valid. Get another one: POST /api/v1/auth/login"
EXPIRED = "The token has expired. Get another one: POST /api/v1/auth/refresh"


@dataclass(frozen=True)
class Claims:
    """What a token says: the user, by id, the scopes and the generation of the user when it was issued. `expires` is in
    seconds since 1970."""

    user: str
    scopes: frozenset[str]
    generation: int
    expires: float


def issued(secret: bytes, user: User, now: datetime) -> str:
    """A new token for a user."""
    claims = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": user.id,
        "iat": int(now.timestamp()),
        "exp": int((now + LIFETIME).timestamp()),
        "jti": uuid.uuid4().hex,
        "scope": written(user.scopes),
        "gen": user.generation,
    }
    return jwt.encode(claims, secret, ALGORITHM)


def read(secrets: Sequence[bytes], token: str, now: datetime) -> Claims:
    """What a token of ours says. It is signed with one of the secrets. Raises NotSignedIn if it is not one, or has
    expired."""
    try:
        fields = _fields(secrets, token)
        claims = Claims(
            str(fields["sub"]),
            frozenset(str(fields["scope"]).split()),
            int(fields["gen"]),
            float(fields["exp"]),
        )
    except (jwt.PyJWTError, ValueError, TypeError):
        raise NotSignedIn(NOT_VALID) from None
    if claims.expires <= now.timestamp():
        raise NotSignedIn(EXPIRED)
    return claims


def _fields(secrets: Sequence[bytes], token: str) -> dict[str, Any]:
    """The fields of a token. Raises PyJWTError."""
    *first, last = secrets
    for secret in first:
        with suppress(jwt.InvalidSignatureError):
            return _signed(secret, token)
    return _signed(last, token)


def _signed(secret: bytes, token: str) -> dict[str, Any]:
    fields: dict[str, Any] = jwt.decode(
        token, secret, algorithms=[ALGORITHM], audience=AUDIENCE, issuer=ISSUER, options=_CHECKS
    )
    return fields
