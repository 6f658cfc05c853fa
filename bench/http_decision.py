"""What does a decision cost over HTTP, beside the reading of its features by `feast serve`?

    python bench/http_decision.py            (after make pipeline; about two minutes)

decision: one worker of `serve.py`: retrieval, model, reasons, audit line.
feast:    one worker of `feast serve` on Feast's own stores: the same stored features, and nothing is done with them. Of
          an order's these are the numbers of last midnight (`chargeback_daily`); ours makes them of live states.
vector:   the same worker's `/api/v1/features/chargeback`, which does nothing with them either, on-demand view included.
empty:    the same server as `decision`, with nothing to do: the answer to OPTIONS.

Each server is a process of its own. A turn asks all in order, on 1 or 32 connections that stay open and ask again
as soon as they have their answer. Printed are medians of the turns, and of their ratios in requests/s.
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
from stock import stock_repository

import settings

TURNS, SECONDS, CONNECTIONS = 5, 1.5, (1, 32)
ORDER = {"order_id": "o1", "user_id": "u00007", "merchant_id": "m00012", "amount": 300.0}
Turn = list[float]  # seconds of each answer


def request(method: str, path: str, body: object = None) -> bytes:
    content = b"" if body is None else json.dumps(body).encode()
    head = f"{method} {path} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content


def stored_features(store: FeatureStore, service: str) -> list[str]:
    on_demand = {view.name for view in store.list_on_demand_feature_views()}
    projections = store.get_feature_service(service).feature_view_projections
    return [f"{p.name}:{feature.name}" for p in projections if p.name not in on_demand for feature in p.features]


def answers(stock: FeatureStore) -> dict[tuple[str, str], bytes]:
    """(what, server) → the request that is sent again and again."""
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
    took: Turn = []
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
                took.append(now - sent[connection])
                sent[connection] = now
                connection.sendall(message)
    return took


@contextmanager
def serving(root: Path, stock: Path) -> Iterator[dict[str, int]]:
    """Both servers, with one worker each; server → port."""
    ours, theirs = free_port(), free_port()
    environment = {**os.environ, "RISK_DATA": str(root), "WORKERS": "1", "PORT": str(ours)}
    feast = [str(Path(sys.executable).parent / "feast"), "serve", "--workers=1", "--no-access-log", f"--port={theirs}"]
    feast += ["--max-requests=1000000000"]  # by default its worker starts anew after 1,000, for some seconds
    with ExitStack() as stack:
        for command, folder in (([sys.executable, "app.py", "--production"], settings.PROJECT), (feast, stock)):
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
    rates = {key: [len(turn) / SECONDS for turn in each] for key, each in turns.items()}
    print(f"connections: {connections}")
    for (what, server), each in turns.items():
        cuts = [statistics.quantiles(turn, n=100) for turn in each]
        p50, p99 = (1e3 * statistics.median(cut[percent - 1] for cut in cuts) for percent in (50, 99))
        mine = rates[what, server]
        beside = (
            {"feast": rates[what, "feast"], "empty": rates["", "empty"]} if server in ("decision", "vector") else {}
        )
        ratios = [f"{statistics.median(map(truediv, mine, rate)):.2f} × {name}" for name, rate in beside.items()]
        print(
            f"  {what:<11}{server:<9}{statistics.median(mine):6.0f}/s   p50 {p50:6.2f} ms   p99 {p99:6.2f} ms", *ratios
        )


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        root, feast = Path(scratch) / "data", Path(scratch) / "feast"
        root.mkdir()
        for part in settings.root().path.iterdir():
            if part.name != "decisions":  # what is decided here is nobody's business
                (root / part.name).symlink_to(part)
        stock = stock_repository(feast, "daily", "chargeback_daily")
        asked = answers(stock)
        with serving(root, stock.repo_path) as ports:
            for connections in CONNECTIONS:
                for (_, server), message in asked.items():
                    load(ports[server], message, connections)
                turns: dict[tuple[str, str], list[Turn]] = {key: [] for key in asked}
                for _ in range(TURNS):
                    for key, message in asked.items():
                        turns[key].append(load(ports[key[1]], message, connections))
                report(connections, turns)


if __name__ == "__main__":
    main()
