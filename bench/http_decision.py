"""What does a decision cost over HTTP, beside the reading of its features by `feast serve`?

    python bench/http_decision.py            (after make pipeline; about two minutes)

decision  one worker of `serve.py`: retrieval, model, reasons, audit line
feast     one worker of `feast serve` on Feast's own stores. It gives the same stored features and decides nothing. For
          an order these are the numbers of last midnight (`chargeback_daily`); ours computes them from live states
vector    the same worker as `decision`, at `/api/v1/features/chargeback`: the live features, on-demand view included
empty     the same worker as `decision`, with nothing to do: its answer to OPTIONS. The limit

Each server is a process. The contestants take turns, on 1 or 32 connections that stay open. A connection sends its next
request as soon as it has an answer. Printed are medians of the turns, and medians of their ratios in requests/s.
"""

import json
import os
import selectors
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from operator import truediv
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from feast import FeatureStore
from printing import print_table
from stock import stock_repository

import settings

TURNS, SECONDS, CONNECTIONS = 5, 1.5, (1, 32)
ORDER = {"order_id": "o1", "user_id": "u00007", "merchant_id": "m00012", "amount": 300.0}
#: The seconds that each answer took.
Turn = list[float]


def request(method: str, path: str, body: object = None) -> bytes:
    content = b"" if body is None else json.dumps(body).encode()
    head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content


def stored_features(store: FeatureStore, service: str) -> list[str]:
    on_demand = {view.name for view in store.list_on_demand_feature_views()}
    projections = store.get_feature_service(service).feature_view_projections
    return [f"{p.name}:{feature.name}" for p in projections if p.name not in on_demand for feature in p.features]


def requests(stock: FeatureStore) -> dict[tuple[str, str], bytes]:
    """(risk, contestant) → the request that is sent again and again."""
    driver = {"feature_service": "daily", "entities": {"driver_id": [1001]}}
    order = {
        "features": stored_features(stock, "chargeback_daily"),
        "entities": {name: [ORDER[name]] for name in ("user_id", "merchant_id")},
        "full_feature_names": True,
    }
    entity = {**ORDER, "order_timestamp": datetime.now(UTC).isoformat()}
    del entity["order_id"]
    return {
        ("daily", "decision"): request("GET", "/daily-risk-decision/1001/"),
        ("daily", "feast"): request("POST", "/get-online-features", driver),
        ("chargeback", "decision"): request("POST", "/api/v1/decisions/chargeback", ORDER),
        ("chargeback", "vector"): request("POST", "/api/v1/features/chargeback", {"entities": [entity]}),
        ("chargeback", "feast"): request("POST", "/get-online-features", order),
        ("", "empty"): request("OPTIONS", "/api/v1/decisions/chargeback"),
    }


def receive(connection: socket.socket) -> None:
    """Read one whole answer. Raises RuntimeError on any status but 200."""
    answer = connection.recv(65536)
    while (end := answer.find(b"\r\n\r\n")) < 0:
        answer += connection.recv(65536)
    if b" 200 " not in answer[:16]:
        raise RuntimeError(f"A server answered {answer[:300]!r}. Run make pipeline first.")
    _, _, length = answer[:end].lower().partition(b"content-length:")
    while len(answer) < end + 4 + int(length.split(b"\r\n")[0]):
        answer += connection.recv(65536)


def load(port: int, message: bytes, connections: int) -> Turn:
    """Send a request on a number of connections for `SECONDS`."""
    turn: Turn = []
    with ExitStack() as stack, selectors.DefaultSelector() as ready:
        sent = {}
        for _ in range(connections):
            connection = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
            ready.register(connection, selectors.EVENT_READ)
            sent[connection] = time.perf_counter()
            connection.sendall(message)
        ends = time.perf_counter() + SECONDS
        while time.perf_counter() < ends:
            for key, _ in ready.select():
                connection = key.fileobj
                receive(connection)
                now = time.perf_counter()
                turn.append(now - sent[connection])
                sent[connection] = now
                connection.sendall(message)
    return turn


@contextmanager
def serving(root: Path, stock: Path) -> Iterator[dict[str, int]]:
    """Both servers with one worker each: contestant → port."""
    ours, theirs = free_port(), free_port()
    environment = {**os.environ, "RISK_DATA": str(root), "WORKERS": "1", "PORT": str(ours)}
    feast = [str(Path(sys.executable).parent / "feast"), "serve", "--workers=1", "--no-access-log", f"--port={theirs}"]
    feast += ["--max-requests=1000000000"]  # by default its worker restarts after 1,000 requests, which takes seconds
    with ExitStack() as stack:
        for command, folder in (([sys.executable, "app.py"], settings.PROJECT), (feast, stock)):
            quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
            server = stack.enter_context(subprocess.Popen(command, cwd=folder, env=environment, **quiet))
            stack.callback(server.terminate)
        for port in (ours, theirs):
            wait_for(port)
        yield {"decision": ours, "vector": ours, "feast": theirs, "empty": ours}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(port: int) -> None:
    while True:
        with suppress(ConnectionRefusedError):
            return socket.create_connection(("127.0.0.1", port)).close()
        time.sleep(0.2)


def report(connections: int, turns: dict[tuple[str, str], list[Turn]]) -> None:
    rates = {key: [len(turn) / SECONDS for turn in of_key] for key, of_key in turns.items()}
    rows = []
    for (risk, contestant), of_key in turns.items():
        cuts = [statistics.quantiles(turn, n=100) for turn in of_key]
        p50, p99 = (1e3 * statistics.median(cut[percent - 1] for cut in cuts) for percent in (50, 99))
        peers = [rates[risk, "feast"], rates["", "empty"]] if contestant in ("decision", "vector") else []
        ratios = [f"{statistics.median(map(truediv, rates[risk, contestant], peer)):.2f}" for peer in peers]
        median = statistics.median(rates[risk, contestant])
        rows.append((f"{risk} {contestant}", f"{median:,.0f}", f"{p50:.2f}", f"{p99:.2f}", *(ratios or ("", ""))))
    columns = (f"{connections} connection{'s' * (connections > 1)}", "requests/s", "p50 ms", "p99 ms")
    print_table((*columns, "× feast", "× empty"), rows)


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        root, feast = Path(scratch) / "data", Path(scratch) / "feast"
        root.mkdir()
        for part in settings.root().path.iterdir():
            if part.name != "decisions":  # the audit log keeps no decisions of this benchmark
                (root / part.name).symlink_to(part)
        stock = stock_repository(feast, "daily", "chargeback_daily")
        messages = requests(stock)
        with serving(root, stock.repo_path) as ports:
            for connections in CONNECTIONS:
                for (_, contestant), message in messages.items():
                    load(ports[contestant], message, connections)
                turns: dict[tuple[str, str], list[Turn]] = {key: [] for key in messages}
                for _ in range(TURNS):
                    for key, message in messages.items():
                        turns[key].append(load(ports[key[1]], message, connections))
                report(connections, turns)


if __name__ == "__main__":
    main()
