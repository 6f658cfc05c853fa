"""The production server: `run` serves a Flask application on $HOST:$PORT with some processes, until SIGTERM or Ctrl-C.
granian speaks HTTP and calls the application. `python app.py --production` starts it."""

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

#: A thread waits for the body of its request, and then for its turn (`web/turns.py`): slow senders take all of these
#: before anybody else has to wait for them.
THREADS = 16
#: Longer than the slowest request takes. What has no answer by then is cut off.
STOP_SECONDS = 30


def run(create_app: Callable[[], Flask], workers: int, greeting: str) -> None:
    """Serve until SIGTERM or SIGINT; each process calls `create_app` for an application of its own. Requests that have
    begun are answered first. Raises SystemExit, before the greeting is printed, where the address is taken or is none,
    or the hash key is empty."""
    host, port = settings.host(), settings.port()
    settings.hash_key()  # a worker would find out too, be started again, and find out again
    claimed = claim(host, port)
    if settings.hash_key_is_the_demo_one():
        print("RISK_HASH_KEY is not set: the demo's key is used. Set a secret one before real people's data come in.")
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
        # Its own loader would put the current directory before ours: a data root has folders named as our packages.
        server.serve(target_loader=partial(worker, create_app), wrap_loader=False)


def claim(host: str, port: int) -> socket.socket:
    """A socket that keeps the address from others while the workers load; it never listens. Raises SystemExit.

    The workers share their port (SO_REUSEPORT), and would share it with another service just as well."""
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except socket.gaierror as error:
        raise SystemExit(f"HOST is {host!r}: {error.strerror}. Set it to an address of this machine.") from None
    except OSError as error:
        remedy = f"Set PORT to a free one, such as PORT={port + 1}, or HOST to an address of this machine."
        raise SystemExit(f"Port {port} of {host}: {error.strerror}. {remedy}") from None
    claimed = socket.socket(family, kind)
    claimed.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    with suppress(OSError):  # closed connections of another server stand in its way, and not in the workers'
        claimed.bind(address)
    return claimed


def worker(create_app: Callable[[], Flask]) -> Flask:
    """The application of one worker, made after the fork: neither threads nor SQLite connections survive one."""
    # Until granian listens, a stop just ends this process; the handler that it has from its parent would do nothing.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    # Ctrl-C goes to every process of a terminal. The parent alone follows it, and stops the workers once.
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    threading.Thread(target=_follow_parent, daemon=True).start()
    app = create_app()
    gc.collect()
    gc.freeze()  # what is loaded now stays; to look through it again would hold a request up for 0.1 s
    return app


def _follow_parent() -> None:
    """Stop when the parent is gone, however it went: nobody could stop this worker any more."""
    if parent := parent_process():
        connection.wait([parent.sentinel])
        os.kill(os.getpid(), signal.SIGTERM)
