"""Users, keys, tokens and sessions: what lets somebody in, and what ends it."""

import base64
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
from fake import NOW, unlogged
from gates import ANN, PASSWORD, SECRET, add_user, gate

from access import tokens, users
from access.gate import Gate
from errors import NotSignedIn

ANNS_SCOPES = ("features:read", "audit:read")


@pytest.fixture
def own(tmp_path: Path) -> Gate:
    """A gate that knows one user."""
    add_user(tmp_path, *ANNS_SCOPES)
    return gate(tmp_path)


@pytest.fixture
def claims(own: Gate) -> dict[str, Any]:
    """What a good token says."""
    token = own.login(ANN, PASSWORD, NOW).access_token
    fields: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    return fields


def test_a_token_names_its_user_and_the_scopes_of_the_user(own: Gate):
    caller = own.bearer(own.login(" Ann@Example.com ", PASSWORD, NOW).access_token, NOW)
    assert (caller.name, caller.scopes) == (f"user:{ANN}", frozenset(ANNS_SCOPES))


def unsigned(fields: dict[str, Any], algorithm: str) -> str:
    parts = (json.dumps(part).encode() for part in ({"alg": algorithm, "typ": "JWT"}, fields))
    return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts) + "."


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "nOnE", "HS256"])
def test_a_token_without_a_signature_is_refused(own: Gate, claims: dict[str, Any], algorithm: str):
    with pytest.raises(NotSignedIn):
        own.bearer(unsigned(claims, algorithm), NOW)


@pytest.mark.parametrize("algorithm", ["HS384", "HS512"])
def test_a_token_of_another_algorithm_is_refused(own: Gate, claims: dict[str, Any], algorithm: str):
    with pytest.raises(NotSignedIn):
        own.bearer(jwt.encode(claims, SECRET, algorithm), NOW)


def test_a_token_of_a_foreign_secret_is_refused(own: Gate, claims: dict[str, Any]):
    assert own.bearer(jwt.encode(claims, SECRET), NOW).name == f"user:{ANN}"
    with pytest.raises(NotSignedIn):
        own.bearer(jwt.encode(claims, b"another secret of more than 32 bytes"), NOW)


@pytest.mark.parametrize(
    "change",
    [{"aud": "another-service"}, {"iss": "somebody"}, {"sub": "nobody"}, {"gen": 0}, {"gen": "x"}, {"exp": "x"},
     {"sub": 7}, {"aud": None}, {"jti": None}, {"exp": None}, {"scope": None}],
    ids=str,
)  # fmt: skip
def test_a_token_with_another_claim_is_refused(own: Gate, claims: dict[str, Any], change: dict[str, Any]):
    changed = {name: value for name, value in (claims | change).items() if value is not None}
    with pytest.raises(NotSignedIn):
        own.bearer(jwt.encode(changed, SECRET), NOW)


def test_a_token_cannot_have_more_scopes_than_its_user(own: Gate, claims: dict[str, Any]):
    token = jwt.encode(claims | {"scope": "admin features:read"}, SECRET)
    assert own.bearer(token, NOW).scopes == {"features:read"}


def test_a_token_ends_to_the_second_though_it_was_verified_before(own: Gate):
    token = own.login(ANN, PASSWORD, NOW).access_token
    assert own.bearer(token, NOW + tokens.LIFETIME - timedelta(seconds=1))
    with pytest.raises(NotSignedIn, match="has expired"):
        own.bearer(token, NOW + tokens.LIFETIME)


@pytest.mark.parametrize("garbage", ["", "x", "a.b.c", "é", "rk_", "rk_" + "a" * 43, "." * 10_000], ids=repr)
def test_garbage_is_no_credential(own: Gate, garbage: str):
    with pytest.raises(NotSignedIn):
        own.bearer(garbage, NOW)


# What ends what was issued before


def disable(path: Path) -> None:
    users.set_disabled(path, ANN, True, unlogged)


def change_password(path: Path) -> None:
    users.set_password(path, ANN, "another good password", unlogged)


def change_scopes(path: Path) -> None:
    users.set_scopes(path, ANN, ["events:write"], unlogged)


@pytest.mark.parametrize("change", [disable, change_password, change_scopes])
def test_a_change_of_a_user_ends_tokens_refresh_tokens_and_sessions(own: Gate, tmp_path: Path, change: Any):
    add_user(tmp_path, "admin", email="bob@example.com")
    pair, session = own.login(ANN, PASSWORD, NOW), own.sign_in(ANN, PASSWORD, NOW)
    others = own.login("bob@example.com", PASSWORD, NOW)
    assert own.bearer(pair.access_token, NOW)
    assert own.session(session, NOW)
    change(tmp_path / "access.db")
    for attempt in (
        lambda: own.bearer(pair.access_token, NOW),
        lambda: own.refresh(pair.refresh_token, NOW),
        lambda: own.session(session, NOW),
    ):
        with pytest.raises(NotSignedIn):
            attempt()
    assert own.bearer(others.access_token, NOW).name == "user:bob@example.com"


def test_a_disabled_user_is_answered_as_a_wrong_one_and_can_be_enabled(own: Gate, tmp_path: Path):
    disable(tmp_path / "access.db")
    with pytest.raises(NotSignedIn) as of_disabled:
        own.login(ANN, PASSWORD, NOW)
    with pytest.raises(NotSignedIn) as of_nobody:
        own.login("nobody@example.com", PASSWORD, NOW)
    assert of_disabled.value.message == of_nobody.value.message
    users.set_disabled(tmp_path / "access.db", ANN, False, unlogged)
    assert own.login(ANN, PASSWORD, NOW)


def test_the_new_password_is_right_and_the_old_one_is_not(own: Gate, tmp_path: Path):
    change_password(tmp_path / "access.db")
    assert own.login(ANN, "another good password", NOW)
    with pytest.raises(NotSignedIn):
        own.login(ANN, PASSWORD, NOW)
