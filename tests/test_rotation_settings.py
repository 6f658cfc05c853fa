"""A second hash key and a second token secret: what they may be, and what they open."""

from dataclasses import dataclass

import pytest
from fake import NOW

import settings
from access import tokens
from errors import BadSetting, NotSignedIn
from features.domains import risks
from features.identifiers import KeyedHash, keyed_hash, old_hashes
from hash_keys import HashKey

OLD, NEW, OTHER = (letter * 32 for letter in (b"o", b"n", b"x"))


@dataclass
class User:
    id: str = "u1"
    scopes: frozenset[str] = frozenset({"features:read"})
    generation: int = 1


def test_a_token_of_the_secret_before_counts_and_one_of_another_does_not():
    token = tokens.issued(OLD, User(), NOW)
    assert tokens.read((NEW, OLD), token, NOW).user == "u1"
    assert tokens.read((NEW, OLD), tokens.issued(NEW, User(), NOW), NOW).user == "u1"
    for secrets in ((NEW,), (NEW, OTHER)):
        with pytest.raises(NotSignedIn, match="not valid"):
            tokens.read(secrets, token, NOW)
    with pytest.raises(NotSignedIn, match="expired"):
        tokens.read((NEW, OLD), token, NOW + tokens.LIFETIME)


@pytest.mark.parametrize("name", ["RISK_HASH_KEY_OLD", "RISK_JWT_SECRET_OLD"])
def test_a_wrong_second_key_is_named(monkeypatch, name):
    read = {"RISK_HASH_KEY_OLD": settings.hash_key, "RISK_JWT_SECRET_OLD": settings.old_jwt_secret}[name]
    monkeypatch.setenv("RISK_HASH_KEY", "short")
    for value in ("", "short"):
        monkeypatch.setenv(name, value)
        with pytest.raises(BadSetting, match=name):
            read()


def test_a_hash_is_that_of_the_new_key_and_knows_that_of_the_old():
    both = HashKey(b"new", b"old")
    made = keyed_hash("ssn", "1", both)
    assert made == keyed_hash("ssn", "1", b"new")
    assert isinstance(made, KeyedHash)
    assert made.old == keyed_hash("ssn", "1", b"old")
    assert not isinstance(keyed_hash("ssn", "1", b"new"), KeyedHash)


def test_every_secret_of_a_row_knows_its_old_hash():
    values = {"ssn": "512-34-8765", "dl": "D1234567", "state": "CA", "dob": "1990-05-17"}
    row = risks()["onboarding"].request(**values).row(NOW, HashKey(b"new", b"old"))
    before = risks()["onboarding"].request(**values).row(NOW, b"old")
    assert old_hashes(row) == {name: before[name] for name in ("ssn", "dl")}
