"""No SQLite connection crosses a fork. A child would inherit what its parent's SQLite believes about locks, but not
the locks: it would wait for one that nobody holds, or write under one that it has not. So before a fork all
connections are closed, as soon as they are idle, and each side opens its own when it needs one."""

import os
import threading
from typing import Protocol
from weakref import WeakSet


class Closable(Protocol):
    in_use: threading.RLock

    def close(self) -> None: ...


_connections: WeakSet[Closable] = WeakSet()
_registering = threading.Lock()
_held: list[Closable] = []


def close_before(connection: Closable) -> None:
    """Close it before each fork. Its `in_use` is waited for, and held until the fork is done."""
    with _registering:
        _connections.add(connection)


def _hold_and_close() -> None:
    _registering.acquire()
    for connection in list(_connections):
        connection.in_use.acquire()
        _held.append(connection)
        connection.close()


def _let_go() -> None:
    while _held:
        _held.pop().in_use.release()
    _registering.release()


os.register_at_fork(before=_hold_and_close, after_in_parent=_let_go, after_in_child=_let_go)
