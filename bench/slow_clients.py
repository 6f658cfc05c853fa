"""What slow clients cost the others: the latency of a decision while clients send a body at one byte a second, and how
long a stop takes then.

Run it after `make pipeline`. It starts the demo's server with two processes. Printed are the latencies without slow
clients, with 32 and with 300 of them, and the seconds from SIGTERM to the end of the server.
"""

import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import ExitStack, suppress
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from http_decision import free_port, receive, request, wait_for
from printing import print_table

import settings

SLOW, SECONDS = (0, 32, 300), 8.0
HEAD = b"POST /api/v1/decisions/chargeback HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 400000\r\n\r\n"
DECISION = request("GET", "/daily-risk-decision/1001/")


def drip(connections: list[socket.socket], is_over: threading.Event) -> None:
    """Send a byte on each connection every second."""
    while not is_over.wait(1):
        for connection in connections:
            with suppress(OSError):  # the server has given it up
                connection.send(b" ")


def latencies(port: int) -> list[float]:
    """The seconds of each decision on one connection that stays open."""
    taken, ends = [], time.perf_counter() + SECONDS
    with socket.create_connection(("127.0.0.1", port)) as connection:
        while (begin := time.perf_counter()) < ends:
            connection.sendall(DECISION)
            receive(connection)
            taken.append(time.perf_counter() - begin)
    return taken


def measure(port: int, slow: int) -> list[float]:
    """The latencies while `slow` clients drip."""
    with ExitStack() as stack:
        connections = [stack.enter_context(socket.create_connection(("127.0.0.1", port))) for _ in range(slow)]
        for connection in connections:
            connection.sendall(HEAD)
        is_over = threading.Event()
        stack.callback(is_over.set)
        threading.Thread(target=drip, args=(connections, is_over), daemon=True).start()
        return latencies(port)


def main() -> None:
    port = free_port()
    with tempfile.TemporaryDirectory() as scratch:
        for part in settings.root().path.iterdir():
            if part.name not in ("decisions", "decisions.index"):
                (Path(scratch) / part.name).symlink_to(part)
        code = "import app, serve; serve.run(app.create_app, 2, '')"  # open, and with two processes
        environment = {**os.environ, "RISK_DATA": scratch, "PORT": str(port)}
        server = subprocess.Popen([sys.executable, "-c", code], cwd=settings.PROJECT, env=environment)
        try:
            wait_for(port)
            measure(port, 0)
            rows = []
            for slow in SLOW:
                cuts = statistics.quantiles(measure(port, slow), n=100)
                rows.append((f"{slow} slow clients", f"{1e3 * cuts[49]:.1f}", f"{1e3 * cuts[98]:.1f}"))
            print_table(("", "p50 ms", "p99 ms"), rows)
            with ExitStack() as stack:
                for _ in range(32):
                    stack.enter_context(socket.create_connection(("127.0.0.1", port))).sendall(HEAD)
                time.sleep(1)
                begin = time.perf_counter()
                server.send_signal(signal.SIGTERM)
                server.wait()
                print(f"SIGTERM to the end: {time.perf_counter() - begin:.1f} s")
        finally:
            server.kill()


if __name__ == "__main__":
    main()
