"""Which hash key a root belongs to: its file `hash-key` holds a check value of the key, and of those before it."""

import hashlib
import hmac
import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from files import locked, replacing


def key_check(key: bytes) -> str:
    """A value that tells secret keys apart and does not tell the key, in hex."""
    return hmac.new(key, b"check value of the hash key of a root", hashlib.sha256).hexdigest()


class HashKey(bytes):
    """The hash key, while the root changes from an old one: what is written has the new one, and what is read may still
    have the `old` one."""

    old: bytes

    def __new__(cls, key: bytes, old: bytes) -> "HashKey":
        """Both keys."""
        made = super().__new__(cls, key)
        made.old = old
        return made


def keys_of(path: Path) -> list[tuple[str, str]]:
    """The check values in the file of a root, each with the timestamp up to which it was the root's: first the present
    one, with an empty timestamp, then those of before, newest first. Empty where there is no file, or an empty one.
    Raises OSError, and ValueError on a file that holds anything else."""
    try:
        text = path.read_text("ascii")
    except (FileNotFoundError, NotADirectoryError):
        return []
    matches = [re.fullmatch(r"([0-9a-f]{64})(?: (\S+))?", line.strip()) for line in text.splitlines() if line.strip()]
    checks = [(match[1], match[2] or "") for match in matches if match]
    if len(checks) < len(matches):
        raise ValueError("no check value")
    return checks


def accepts_key(checks: Sequence[tuple[str, str]], key: bytes) -> bool:
    """Whether a root with these check values is of the key, or of the key's old one and may become the key's. It never
    goes back to a key that it has left."""
    if not checks or checks[0][0] == key_check(key):
        return True
    is_left = any(check == key_check(key) for check, _ in checks)
    return isinstance(key, HashKey) and checks[0][0] == key_check(key.old) and not is_left


def claim_for_key(path: Path, key: bytes, log: Callable[[], object]) -> bool:
    """Write the check value of a key to the file, if there is none yet, or if it is that of the key's old one. Of two
    processes, one wins. `log` is called before an old key is replaced; if it raises, the file stays as it is. Returns
    whether an old key was replaced."""
    checks = keys_of(path)
    if checks and (checks[0][0] == key_check(key) or not accepts_key(checks, key)):
        return False
    if not checks:
        with replacing(path) as beside:
            beside.write_text(f"{key_check(key)}\n")
        return False
    with locked(path.with_name(f"{path.name}.lock")):
        checks = keys_of(path)
        if checks[0][0] == key_check(key) or not accepts_key(checks, key):
            return False
        log()
        now = datetime.now(UTC).isoformat()
        (before, _), *others = checks
        lines = [key_check(key), f"{before} {now}", *(f"{check} {until}" for check, until in others)]
        with replacing(path) as beside:
            beside.write_text("".join(f"{line}\n" for line in lines))
    return True
