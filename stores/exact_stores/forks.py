"""No SQLite connection crosses a fork.

A child process inherits what its parent's SQLite believes about locks, but not the locks themselves. It would wait for
a lock that nobody holds, or write under a lock that it does not have. So each fork first waits until every connection
is idle, and closes it. Parent and child open new connections when they need them.
"""

import os
import threading
from typing import Protocol
from weakref import WeakSet


class Closable(Protocol):
    """A connection that a fork closes."""

    in_use: threading.RLock

    def close(self) -> None:
        """Close the connection. It may be closed already."""


_connections: WeakSet[Closable] = WeakSet()
_registering = threading.Lock()
_locked: list[Closable] = []


def close_before(connection: Closable) -> None:
    """Close this connection before each fork. The fork waits for its `in_use`, and holds it until the fork is done."""
    with _registering:
        _connections.add(connection)


def _lock_and_close() -> None:
    _registering.acquire()
    for connection in list(_connections):
        connection.in_use.acquire()
        _locked.append(connection)
        connection.close()


def _unlock() -> None:
    while _locked:
        _locked.pop().in_use.release()
    _registering.release()


os.register_at_fork(before=_lock_and_close, after_in_parent=_unlock, after_in_child=_unlock)
