"""A real Redis for the tests, in a temporary folder and on a free port. A session has one, of which each store takes a
database of its own; a test that kills or stops one starts another."""

import atexit
import socket
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from engines.need import need
from processes import Child, started, wait_until
from servers import free_port

PROGRAM = "redis-server"
DATABASES = 4096
_databases = iter(range(DATABASES))
_session = ExitStack()
atexit.register(_session.close)


@cache
def database(root: Path) -> str:
    """The `connection_string` of an empty database of the session's Redis: for the same folder, the same one."""
    return f"127.0.0.1:{_port()},db={next(_databases)}"


def ask(connection_string: str, *command: str | bytes | int) -> Any:
    """The reply of a Redis to one command, by a connection of its own."""
    from redis import Redis

    address, _, options = connection_string.partition(",")
    host, port = address.split(":")
    with Redis(host, int(port), db=int(options.removeprefix("db=") or 0)) as client:
        return client.execute_command(*command)


def flush(root: Path) -> None:
    """Remove all that lies in the database for this folder."""
    ask(database(root), "FLUSHDB")


@contextmanager
def running(folder: Path, port: int, *options: str) -> Iterator[Child]:
    """A Redis of its own, from when it answers. It keeps what it has in `folder`, if `options` say so."""
    need(PROGRAM, modules=("redis", "msgpack"))
    command = [PROGRAM, "--bind", "127.0.0.1", "--port", str(port), "--dir", str(folder), "--save", "", *options]
    with started(command) as child:
        wait_until(lambda: answers(port), what="Redis answers", child=child)
        yield child


@cache
def _port() -> int:
    port = free_port()
    folder = Path(_session.enter_context(tempfile.TemporaryDirectory(prefix="redis-")))
    _session.enter_context(running(folder, port, "--databases", str(DATABASES)))
    return port


def answers(port: int) -> bool:
    """Whether a Redis, or a Sentinel, answers at this port."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(64).startswith((b"+PONG", b"-NOAUTH"))
    except OSError:
        return False
