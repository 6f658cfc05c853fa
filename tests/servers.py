"""Servers of the tests, most of them as processes of their own, and the ports that they listen at."""

import socket
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from http.server import HTTPServer

import pytest
from processes import POLL_SECONDS, WAIT_SECONDS, Child, wait_until

PORT_ATTEMPTS = 3


@dataclass(frozen=True)
class Server:
    """A child that answers at `url`, which has no slash at its end."""

    url: str
    port: int
    child: Child


@contextmanager
def answering(start: Callable[[int], AbstractContextManager[Child]], path: str = "/") -> Iterator[Server]:
    """Start a server on a free port, from when `path` answers. Where another process took the port in the meantime, it
    is started on another."""
    for attempt in range(1, PORT_ATTEMPTS + 1):
        port = free_port()
        with start(port) as child:
            url = f"http://127.0.0.1:{port}"
            wait_until(
                lambda child=child, url=url: _answers(f"{url}{path}") or not child.is_running(),  # type: ignore[misc]
                what=f"{child.name} answers at {url}{path}",
                child=child,
            )
            if child.is_running():
                yield Server(url, port, child)
                return
            if "in use" not in child.output or attempt == PORT_ATTEMPTS:
                pytest.fail(f"{child.name} ended before it answered at {url}{path}. It printed:\n{child.output}")


def _answers(url: str) -> bool:
    try:
        urllib.request.urlopen(url, timeout=WAIT_SECONDS).close()
    except OSError:
        return False
    return True


def free_port() -> int:
    """A port that is free now. Another process may take it: see `answering`."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def refusing_port() -> Iterator[int]:
    """A port that refuses every connection: it is taken, and nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield int(taken.getsockname()[1])


@contextmanager
def in_thread(server: HTTPServer) -> Iterator[str]:
    """Let a server of this process answer; its address, without a slash at the end."""
    threading.Thread(target=server.serve_forever, args=(POLL_SECONDS,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
