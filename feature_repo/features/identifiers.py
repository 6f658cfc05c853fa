"""Social security numbers and driving licence numbers: which are valid, and the keyed hash that is stored instead of
them, and of other secrets.

There are a billion possible SSNs. Somebody who has a table of plain hashes can try them all, so the hash needs a secret
key. A message never repeats a number.
"""

import hashlib
import hmac
import re
from collections.abc import Callable, Mapping
from typing import Any

from errors import BadLicence, BadSsn

#: How many characters a keyed hash has, and its pattern.
HASH_LENGTH = 32
HASH = f"[0-9a-f]{{{HASH_LENGTH}}}"
#: What SHA-256 hashes at a time.
_BLOCK_BYTES = 64
_LIKE_AN_SSN = re.compile(r"\b\d{3}[- ]?\d{2}[- ]?\d{4}\b")
_SSN = re.compile(r"(\d{3})-?(\d{2})-?(\d{4})")
_LICENCE = re.compile(r"(?=.*\d)[A-Z0-9]{4,20}")


def normal_ssn(text: str) -> str:
    """The nine digits of an SSN. Raises BadSsn if the Social Security Administration never issues the number.

    >>> normal_ssn(" 123-45-6789")
    '123456789'
    """
    match = _SSN.fullmatch(text.strip(), endpos=64) if text.isascii() else None
    if not match:
        raise BadSsn("ssn does not have nine digits. Write it as 123-45-6789 or 123456789.", "ssn")
    area, group, serial = match.groups()
    if area in ("000", "666") or area >= "900":
        raise BadSsn("ssn does not exist: none begins with 000, 666 or 900 to 999. Check the number.", "ssn")
    if group == "00" or serial == "0000":
        raise BadSsn("ssn does not exist: no part of an SSN is all zeros. Check the number.", "ssn")
    return area + group + serial


def normal_licence(text: str) -> str:
    """The licence number in upper case without spaces and dashes. Raises BadLicence if no state prints such a number.

    >>> normal_licence("d123-4567")
    'D1234567'
    """
    compact = re.sub(r"[\s-]", "", text).upper()
    if not text.isascii() or not _LICENCE.fullmatch(compact):
        raise BadLicence(
            "dl is not a licence number: it has 4 to 20 letters and digits, at least one of them a digit. "
            "Copy it from the licence; spaces and dashes do not matter.",
            "dl",
        )
    return compact


def holds_ssn(text: str) -> bool:
    """Whether nine digits stand in a text as an SSN has them.

    >>> holds_ssn("She is 123-45-6789."), holds_ssn("Order 1234567890")
    (True, False)
    """
    return _LIKE_AN_SSN.search(text) is not None


def shape(text: str) -> str:
    """A text for a message: its first 20 characters, with 9 for each digit. Somebody may have put an SSN into the wrong
    field.

    >>> shape("12-3456 Main")
    '99-9999 Main'
    """
    return masked(text[:20])


def masked(text: str) -> str:
    """A text with 9 for each digit, of whatever script."""
    return re.sub(r"\d", "9", text)


def is_hash(text: str) -> bool:
    """Whether a text may be a keyed hash, and is no SSN and no licence number."""
    return re.fullmatch(HASH, text) is not None


class KeyedHash(str):
    """A keyed hash, while the key changes: `old` is the hash of the same under the key of before. It is a text like any
    other, so what is written has the new key; who reads may ask for the old one, too."""

    __slots__ = ("old",)
    old: str


def keyed_hash(kind: str, number: str, key: bytes) -> str:
    """HMAC-SHA256 as 32 hex digits. With `kind`, an SSN and a licence with the same digits have different hashes.
    With a key that has an `old` one, the hash is a `KeyedHash`."""
    digest = hmac.new(key, f"{kind}:{number}".encode(), hashlib.sha256).hexdigest()[:HASH_LENGTH]
    old = getattr(key, "old", None)
    if old is None:
        return digest
    made = KeyedHash(digest)
    made.old = keyed_hash(kind, number, old)
    return made


def keyed_hasher(kind: str, key: bytes) -> Callable[[str], str]:
    """`keyed_hash` of many numbers. What is the same for all of them is computed once.

    >>> keyed_hasher("ssn", b"key")("123456789") == keyed_hash("ssn", "123456789", b"key")
    True
    """
    if getattr(key, "old", None) is not None:
        return lambda number: keyed_hash(kind, number, key)
    # RFC 2104. `hmac` takes twice as long, as it begins with the key each time.
    block = (key if len(key) <= _BLOCK_BYTES else hashlib.sha256(key).digest()).ljust(_BLOCK_BYTES, b"\0")
    inner, outer = (hashlib.sha256(bytes(byte ^ pad for byte in block)) for pad in (0x36, 0x5C))
    inner.update(f"{kind}:".encode())

    def hashed(number: str) -> str:
        within, around = inner.copy(), outer.copy()
        within.update(number.encode())
        around.update(within.digest())
        return around.hexdigest()[:HASH_LENGTH]

    return hashed


def old_hashes(row: Mapping[str, Any]) -> dict[str, str]:
    """The hashes under the key of before, by their names in a row. Empty unless the key changes."""
    return {name: value.old for name, value in row.items() if isinstance(value, KeyedHash)}


def sealed(kind: str, text: str, cut: int, key: bytes) -> str:
    """A text as a file may hold it: its keyed hash in place of its last `cut` characters.

    >>> sealed("code", "1234-5678", 4, b"key")
    '1234-46a67e042ebe613beadea667c55504a3'
    """
    return text[:-cut] + keyed_hash(kind, text, key)
