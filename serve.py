"""The server: `run` serves a Flask application on $HOST:$PORT with one or more processes, until SIGTERM or Ctrl-C.
granian speaks HTTP and calls the application."""

import gc
import os
import signal
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from multiprocessing import connection, parent_process

from flask import Flask
from granian import Granian
from granian.constants import HTTPModes, Interfaces
from granian.log import LogLevels

import settings
from errors import BadSetting

#: Threads of a process. A thread waits for the body of its request, and then for its turn (`web/turns.py`). A request
#: has to wait for a thread only if slow senders hold all of them.
THREADS = 16
#: A request that is not answered this long after a stop is cut off. No request takes as long.
STOP_SECONDS = 30


def run(create_app: Callable[[], Flask], workers: int, greeting: str) -> None:
    """Serve until SIGTERM or SIGINT. Each process calls `create_app` for an application of its own. A stop lets
    requests that have begun finish. Raises BadSetting before it prints the greeting."""
    host, port = settings.host(), settings.port()
    settings.root(), settings.hash_key()  # fails here, once. In a worker it would fail again after every restart
    claimed = claim(host, port)
    if settings.hash_key_is_the_demo_one():
        print(
            "RISK_HASH_KEY is not set, so the demo's key is used. Set a secret one before you store real people's data."
        )
    print(greeting, flush=True)
    server = Granian(
        "serve",
        address=host,
        port=port,
        interface=Interfaces.WSGI,
        http=HTTPModes.http1,
        workers=workers,
        blocking_threads=THREADS,
        respawn_failed_workers=True,
        workers_kill_timeout=STOP_SECONDS,
        log_level=LogLevels.error,
    )
    with claimed:
        # granian's own loader puts the current directory first, and a data root has folders with our packages' names.
        server.serve(target_loader=partial(worker, create_app), wrap_loader=False)


def claim(host: str, port: int) -> socket.socket:
    """A socket that keeps the address from other servers while the workers load. It never listens. Raises
    BadSetting.

    The workers share their port (SO_REUSEPORT), and without the claim they would also share it with another service.
    """
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except socket.gaierror as error:
        raise BadSetting(f"HOST is {host!r}: {error.strerror}. Set it to an address of this machine.") from None
    except OSError as error:
        remedy = f"Set PORT to a free port, such as PORT={port + 1}, or HOST to an address of this machine."
        raise BadSetting(f"Port {port} of {host}: {error.strerror}. {remedy}") from None
    claimed = socket.socket(family, kind)
    claimed.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    with suppress(OSError):  # closed connections of an earlier server stop this socket, and do not stop the workers
        claimed.bind(address)
    return claimed


def worker(create_app: Callable[[], Flask]) -> Flask:
    """The application of one worker. It is created after the fork, because threads and SQLite connections do not
    survive a fork."""
    # Until granian listens, SIGTERM just ends this process. The handler inherited from the parent would do nothing.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    # A terminal sends Ctrl-C to every process. Only the parent acts on it, and stops the workers once.
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    threading.Thread(target=_follow_parent, daemon=True).start()
    app = create_app()
    gc.collect()
    gc.freeze()  # everything loaded so far stays: looking through it again would delay a request by 0.1 s
    return app


def _follow_parent() -> None:
    """Stop when the parent is gone, even if it was killed. Nobody else could stop this worker."""
    if parent := parent_process():
        connection.wait([parent.sentinel])
        os.kill(os.getpid(), signal.SIGTERM)
