"""Social security and driving licence numbers: what can be one, and the keyed hash that stands for it.

An SSN has a billion possible values, so a plain hash of one is no secret: whoever has the table tries them all.
The key makes the difference. Messages here never repeat the number.
"""

import hashlib
import hmac
import re

from errors import BadLicence, BadSsn

_SSN = re.compile(r"(\d{3})-?(\d{2})-?(\d{4})")
_LICENCE = re.compile(r"(?=.*\d)[A-Z0-9]{4,20}")


def normal_ssn(text: str) -> str:
    """Nine digits. Raises BadSsn on a number that the Social Security Administration never issues."""
    match = _SSN.fullmatch(text.strip(), endpos=64) if text.isascii() else None
    if not match:
        raise BadSsn("ssn does not have nine digits. Write it as 123-45-6789 or 123456789.", "ssn")
    area, group, serial = match.groups()
    if area in ("000", "666") or area >= "900":
        raise BadSsn("ssn cannot exist: none begins with 000, 666 or 900 to 999. Check the number.", "ssn")
    if group == "00" or serial == "0000":
        raise BadSsn("ssn cannot exist: no part of it is all zeros. Check the number.", "ssn")
    return area + group + serial


def normal_licence(text: str) -> str:
    """Upper case, no spaces or dashes. Raises BadLicence on what no state prints on a licence."""
    squeezed = re.sub(r"[\s-]", "", text).upper()
    if not text.isascii() or not _LICENCE.fullmatch(squeezed):
        raise BadLicence(
            "dl is not a licence number: 4 to 20 letters and digits, at least one digit, are expected. "
            "Copy it from the licence; spaces and dashes do not matter.",
            "dl",
        )
    return squeezed


def shape(text: str) -> str:
    """What somebody wrote, for a message, each digit as 9: a number may have been put into the wrong field."""
    return re.sub(r"\d", "9", text[:20])


def keyed_hash(kind: str, number: str, key: bytes) -> str:
    """HMAC-SHA256, 32 hex digits. `kind` keeps an SSN and a licence with the same digits apart."""
    return hmac.new(key, f"{kind}:{number}".encode(), hashlib.sha256).hexdigest()[:32]
