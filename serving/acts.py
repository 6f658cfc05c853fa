"""Acts that change who may ask, what decides, or what is kept. Each is a record of the log that has the acts on cases,
a chain of its own. The record is on the disk before the act takes effect, so nothing changes without a trace."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from pwd import getpwuid
from typing import Any

from errors import AuditUnavailable
from hash_keys import claim_for_key, key_check
from root import Root
from serving import audit

#: So many characters of the check value of a hash key name it in a record. They do not tell the key.
SHOWN_CHECK = 12
#: Logs an act, with what else is to be said of it.
Log = Callable[..., None]


@dataclass(frozen=True)
class Actor:
    """Who acts, when, and with which request: `user:<e-mail>`, `key:<name>`, or `cli:<user of the system>`."""

    caller: str
    at: datetime
    request_id: str = ""


def operator(at: datetime) -> Actor:
    """The user of the system who runs this process. A container may have no name for it."""
    try:
        name = getpwuid(os.getuid()).pw_name
    except KeyError:
        name = str(os.getuid())
    return Actor(f"cli:{name}", at)


@contextmanager
def logged(folder: Path, actor: Actor, kind: str, name: str, act: str) -> Iterator[Log]:
    """Yield a function that logs the act. Call it once the act is checked, and before it takes effect; it returns when
    the disk has the record. It raises AuditUnavailable: then do nothing. If the block raises after the call, a second
    record says that the act failed.

    `kind` is what is changed, such as user, key, model or policy, and `name` says which one.
    """
    begun: dict[str, Any] = {}

    def log(**more: object) -> None:
        line = {
            kind: name, "act": act, **more, "caller": actor.caller, "request_id": actor.request_id,
            "at": actor.at.isoformat(),
        }  # fmt: skip
        on_disk = audit.append(folder, actor.at, [line])
        begun.update(line)
        on_disk()

    try:
        yield log
    except BaseException as error:
        if begun:
            with suppress(AuditUnavailable):
                audit.append(folder, actor.at, [{**begun, "failed": type(error).__name__}])()
        raise


def claim_hash_key(root: Root, key: bytes, actor: Actor) -> bool:
    """Let the root belong to a key, as `claim_for_key`. That it leaves its old key is an act. Raises AuditUnavailable,
    OSError."""
    with logged(root.cases, actor, "hash_key", key_check(key)[:SHOWN_CHECK], "rotate") as log:
        return claim_for_key(root.hash_key, key, log)
