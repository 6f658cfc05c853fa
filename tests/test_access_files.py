"""What the gate keeps: password hashes, refresh tokens, sessions and API keys, and the files that they are in."""

import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from constants import override
from fake import NOW, unlogged
from gates import ANN, PASSWORD, add_user, gate, key

from access import accounts, keys, passwords, sessions, users
from access.gate import Gate
from errors import AccessUnavailable, BadParameter, NotSignedIn


@pytest.fixture
def own(tmp_path: Path) -> Gate:
    """A gate that knows one user."""
    add_user(tmp_path, "features:read")
    return gate(tmp_path)


# Passwords


@pytest.fixture
def verified(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The hashes that were verified."""
    hashes: list[str] = []

    class Counting(passwords.PasswordHasher):
        def verify(self, hash: str | bytes, password: str | bytes) -> Any:
            hashes.append(str(hash))
            return super().verify(hash, password)

    override(monkeypatch, passwords, _HASHER=Counting(time_cost=2, memory_cost=19 * 1024, parallelism=1))
    return hashes


@pytest.mark.parametrize(
    ("email", "password"),
    [(ANN, "a wrong password"), ("nobody@example.com", PASSWORD), ("", ""), (ANN, "x" * 100_000)],
)
def test_whatever_is_wrong_takes_the_work_of_one_hash(own: Gate, verified: list[str], email: str, password: str):
    with pytest.raises(NotSignedIn, match="The e-mail address or the password is wrong"):
        own.login(email, password, NOW)
    (seen,) = verified
    assert seen.startswith("$argon2id$v=19$m=19456,t=2,p=1$")


def test_nobody_signs_in_with_the_password_of_the_hash_of_nobody(own: Gate):
    with pytest.raises(NotSignedIn):
        own.login("nobody@example.com", "a password that nobody has, because no user has this hash", NOW)


def test_a_password_is_stored_as_argon2id_with_a_salt_of_its_own(tmp_path: Path):
    add_user(tmp_path, "admin")
    add_user(tmp_path, "admin", email="bob@example.com")
    hashes = {user.password_hash for user in accounts.read(tmp_path / "access.db").users.values()}
    assert len(hashes) == 2
    assert all(text.startswith("$argon2id$") for text in hashes)
    assert PASSWORD.encode() not in (tmp_path / "access.db").read_bytes()


def test_an_accent_typed_in_two_ways_is_the_same_password(tmp_path: Path):
    assert passwords.verify(passwords.hashed("caf\u00e9 caf\u00e9 caf\u00e9"), "cafe\u0301 cafe\u0301 cafe\u0301")


@pytest.mark.parametrize("password", ["", "elevenchars", "x" * 1001, "\udcff" * 20])
def test_a_bad_password_is_refused(tmp_path: Path, password: str):
    with pytest.raises(BadParameter, match="The password"):
        users.add(tmp_path / "access.db", ANN, password, ["admin"], NOW, unlogged)
    assert not (tmp_path / "access.db").exists() or not accounts.read(tmp_path / "access.db").users


# Refresh tokens


def test_a_refresh_token_gives_the_next_pair_once(own: Gate):
    first = own.login(ANN, PASSWORD, NOW)
    second = own.refresh(first.refresh_token, NOW + timedelta(minutes=9))
    assert own.bearer(second.access_token, NOW + timedelta(minutes=18))
    assert own.refresh(second.refresh_token, NOW + timedelta(minutes=18))


def test_a_refresh_token_that_is_sent_twice_ends_its_family(own: Gate):
    first, others = own.login(ANN, PASSWORD, NOW), own.login(ANN, PASSWORD, NOW)
    second = own.refresh(first.refresh_token, NOW)
    for token in (first.refresh_token, second.refresh_token):
        with pytest.raises(NotSignedIn):
            own.refresh(token, NOW)
    assert own.refresh(others.refresh_token, NOW)


def test_of_many_who_send_a_refresh_token_at_once_one_gets_the_next(own: Gate):
    token = own.login(ANN, PASSWORD, NOW).refresh_token

    def refreshed(_: int) -> str:
        try:
            return own.refresh(token, NOW).refresh_token
        except NotSignedIn:
            return ""

    with ThreadPoolExecutor(8) as pool:
        (following,) = filter(None, pool.map(refreshed, range(8)))
    with pytest.raises(NotSignedIn):
        own.refresh(following, NOW)


def test_a_logout_ends_its_family_and_no_other(own: Gate):
    first, others = own.login(ANN, PASSWORD, NOW), own.login(ANN, PASSWORD, NOW)
    second = own.refresh(first.refresh_token, NOW)
    own.logout(second.refresh_token)
    own.logout("unknown")
    with pytest.raises(NotSignedIn):
        own.refresh(second.refresh_token, NOW)
    assert own.refresh(others.refresh_token, NOW)


def test_a_family_ends_however_often_it_was_refreshed(own: Gate):
    token = own.login(ANN, PASSWORD, NOW).refresh_token
    end = NOW + sessions.REFRESH_LIFETIME
    token = own.refresh(token, end - timedelta(days=1)).refresh_token
    token = own.refresh(token, end - timedelta(seconds=1)).refresh_token
    with pytest.raises(NotSignedIn):
        own.refresh(token, end)


def test_what_has_expired_is_removed_from_the_file(own: Gate, tmp_path: Path):
    def rows() -> int:
        with sqlite3.connect(tmp_path / "sessions.db") as database:
            return int(
                database.execute("SELECT (SELECT count(*) FROM refresh_tokens) + count(*) FROM sessions").fetchone()[0]
            )

    for _ in range(3):
        own.login(ANN, PASSWORD, NOW)
        own.sign_in(ANN, PASSWORD, NOW)
    assert rows() == 6
    own.sign_in(ANN, PASSWORD, NOW + sessions.REFRESH_LIFETIME)
    assert rows() == 1


def test_no_secret_is_in_a_file(own: Gate, tmp_path: Path):
    pair, session = own.login(ANN, PASSWORD, NOW), own.sign_in(ANN, PASSWORD, NOW)
    secret = key(tmp_path, "admin")["Authorization"].removeprefix("Bearer ")
    stored = (tmp_path / "access.db").read_bytes() + (tmp_path / "sessions.db").read_bytes()
    assert secret[: keys.SHOWN_PREFIX].encode() in stored
    for text in (pair.refresh_token, pair.access_token, session, secret, secret[keys.SHOWN_PREFIX + 2 :]):
        assert text.encode() not in stored


def test_a_session_ends_by_itself_and_by_a_sign_out(own: Gate):
    session, other = own.sign_in(ANN, PASSWORD, NOW), own.sign_in(ANN, PASSWORD, NOW)
    own.sign_out(session)
    with pytest.raises(NotSignedIn):
        own.session(session, NOW)
    assert own.session(other, NOW + sessions.SESSION_LIFETIME - timedelta(seconds=1))
    with pytest.raises(NotSignedIn):
        own.session(other, NOW + sessions.SESSION_LIFETIME)


# API keys


def secret_of(root: Path, *scopes: str, name: str = "till") -> str:
    return key(root, *scopes, name=name)["Authorization"].removeprefix("Bearer ")


def test_a_key_has_its_name_and_scopes_until_it_is_revoked(own: Gate, tmp_path: Path):
    secret = secret_of(tmp_path, "events:write")
    caller = own.bearer(secret, NOW)
    assert (caller.name, caller.scopes) == ("key:till", frozenset({"events:write"}))
    keys.revoke(tmp_path / "access.db", "till", unlogged)
    with pytest.raises(NotSignedIn):
        own.bearer(secret, NOW)


@pytest.mark.parametrize(("after", "holds"), [(timedelta(days=90, seconds=-1), True), (timedelta(days=90), False)])
def test_a_key_ends_to_the_second(own: Gate, tmp_path: Path, after: timedelta, holds: bool):
    secret = secret_of(tmp_path, "events:write")
    assert is_in(own, secret, NOW + after) == holds


def is_in(own: Gate, credential: str, now: datetime) -> bool:
    try:
        return bool(own.bearer(credential, now))
    except NotSignedIn:
        return False


def test_a_name_is_the_name_of_one_key_also_after_it_was_revoked(tmp_path: Path):
    secret_of(tmp_path, "events:write")
    keys.revoke(tmp_path / "access.db", "till", unlogged)
    with pytest.raises(BadParameter, match="There is a key till already"):
        secret_of(tmp_path, "events:write")


# The file


def test_without_a_file_nobody_is_known(tmp_path: Path):
    with pytest.raises(NotSignedIn):
        gate(tmp_path).login(ANN, PASSWORD, NOW)
    with pytest.raises(NotSignedIn):
        gate(tmp_path).session("x", NOW)
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_file_lets_nobody_in_and_names_no_folder(own: Gate, tmp_path: Path):
    token = own.login(ANN, PASSWORD, NOW).access_token
    (tmp_path / "access.db").write_bytes(b"garbage" * 1000)
    with pytest.raises(AccessUnavailable, match=r"^access\.db: file is not a database\. Put a backup") as error:
        own.bearer(token, NOW)
    assert str(tmp_path) not in error.value.message


def test_a_file_that_was_put_back_counts_from_the_next_request_on(own: Gate, tmp_path: Path):
    token = own.login(ANN, PASSWORD, NOW).access_token
    backup = (tmp_path / "access.db").read_bytes()
    users.set_disabled(tmp_path / "access.db", ANN, True, unlogged)
    assert not is_in(own, token, NOW)
    (tmp_path / "restored").write_bytes(backup)
    (tmp_path / "restored").replace(tmp_path / "access.db")
    assert is_in(own, token, NOW)


def test_a_request_reads_no_file_once_the_file_has_settled(own: Gate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    token = own.login(ANN, PASSWORD, NOW).access_token
    monkeypatch.setattr("files.is_settled", lambda signature: True)
    own.bearer(token, NOW)
    monkeypatch.setattr(accounts, "read", lambda path: pytest.fail("The file was read again."))
    own.bearer(token, NOW)


def test_a_change_of_a_file_that_had_settled_is_seen(own: Gate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    token = own.login(ANN, PASSWORD, NOW).access_token
    monkeypatch.setattr("files.is_settled", lambda signature: True)
    assert is_in(own, token, NOW)
    users.set_disabled(tmp_path / "access.db", ANN, True, unlogged)
    assert not is_in(own, token, NOW)
