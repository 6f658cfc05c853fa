"""The server: `run` serves a WSGI application on $HOST:$PORT with one or more processes, until SIGTERM or Ctrl-C.
granian speaks HTTP, and calls the application through the bridge (`bridge.py`)."""

import gc
import os
import signal
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from multiprocessing import SimpleQueue, connection, parent_process
from multiprocessing.queues import SimpleQueue as Queue

from granian import Granian
from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.log import LogLevels

import settings
from bridge import Application, Bridge
from errors import BadSetting, RiskError

#: Threads of a process that answer. A thread waits for its turn (`web/turns.py`), or for a disk. None waits for a body.
THREADS = 16
#: The head of a request has to be here after this time, and a connection that is silent for as long is closed.
HEAD_SECONDS = 20
#: A process holds this many connections. Those beyond wait for one of them to end.
CONNECTIONS = 2048
#: What keeps workers from starting.
Faults = Queue[RiskError]
#: A request that is not answered this long after a stop is cut off. No request takes as long.
STOP_SECONDS = 30


def run(create_app: Callable[[], Application], workers: int, greeting: str) -> None:
    """Serve until SIGTERM or SIGINT. Each process calls `create_app` for an application of its own. A stop lets
    requests that have begun finish. Raises BadSetting before it prints the greeting, and after it what `create_app`
    raises."""
    host, port = settings.host(), settings.port()
    edge = (
        settings.root, settings.hash_key, settings.feature_store, settings.hosts, settings.proxies, settings.limits,
        settings.events,
    )  # fmt: skip
    for setting in edge:
        setting()  # fails here, once. In a worker it would fail again after every restart
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
        interface=Interfaces.RSGI,
        http=HTTPModes.http1,
        http1_settings=HTTP1Settings(header_read_timeout=1000 * HEAD_SECONDS),
        websockets=False,
        workers=workers,
        backpressure=CONNECTIONS,
        respawn_failed_workers=True,
        workers_kill_timeout=STOP_SECONDS,
        log_level=LogLevels.error,
    )
    faults: Faults = SimpleQueue()
    with claimed, settings.sharing_metrics():
        # granian's own loader puts the current directory first, and a data root has folders with our packages' names.
        server.serve(target_loader=partial(worker, create_app, faults), wrap_loader=False)
    if not faults.empty():
        raise faults.get()


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


def worker(create_app: Callable[[], Application], faults: Faults) -> Bridge:
    """The application of one worker, with its bridge. It is created after the fork, because threads and SQLite
    connections do not survive a fork. Where `create_app` raises an error of ours, that goes to `faults`, and the server
    stops: a new worker would meet the same."""
    # Until granian listens, SIGTERM just ends this process. The handler inherited from the parent would do nothing.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    # A terminal sends Ctrl-C to every process. Only the parent acts on it, and stops the workers once.
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    threading.Thread(target=_follow_parent, daemon=True).start()
    try:
        bridge = Bridge(create_app(), THREADS)
    except RiskError as error:
        faults.put(error)
        os.kill(os.getppid(), signal.SIGTERM)
        signal.pause()  # until the server stops this worker
        raise
    gc.collect()
    gc.freeze()  # everything loaded so far stays: looking through it again would delay a request by 0.1 s
    return bridge


def _follow_parent() -> None:
    """Stop when the parent is gone, even if it was killed. Nobody else could stop this worker."""
    if parent := parent_process():
        connection.wait([parent.sentinel])
        os.kill(os.getpid(), signal.SIGTERM)
