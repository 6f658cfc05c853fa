"""What does it cost that a decision is on the disk before it is answered?

    python bench/group_commit.py            (after make pipeline; about two minutes)

shared  as it is: requests wait for the disk outside of their turn, and one sync serves all that wait
turn    each request waits in its turn for a sync of its own
none    no sync: answered decisions can be lost in a power cut

Each contestant is a server with one process. They take turns, on 1 or 32 connections. Printed are medians of the turns,
medians of the ratios to `none` in the same round, and how long the disk takes for one sync of 3,000 bytes.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from operator import truediv
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from http_decision import ORDER, SECONDS, free_port, load, request, wait_for
from printing import print_table

import settings

TURNS, CONNECTIONS = 9, (1, 32)
MESSAGES = {
    "daily": request("GET", "/daily-risk-decision/1001/"),
    "chargeback": request("POST", "/api/v1/decisions/chargeback", ORDER),
}
RUN = "import app; app.main([], prog_name='python app.py')"
#: Contestant → what its server does first.
CONTESTANTS = {
    "shared": "",
    "turn": """
import serving.service as service
append = service.audit.append
def at_once(*args):
    wait = append(*args)
    wait()
    return wait
service.audit.append = at_once
""",
    "none": "import os\nos.fsync = lambda file: None\n",
}


def sync_ms(folder: Path) -> float:
    times = []
    with (folder / "sync").open("ab", buffering=0) as file:
        for _ in range(200):
            file.write(b"x" * 3000)
            begin = time.perf_counter()
            os.fsync(file.fileno())
            times.append(time.perf_counter() - begin)
    return 1e3 * statistics.median(times)


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch, ExitStack() as stack:
        ports = {}
        for name, first in CONTESTANTS.items():
            root = Path(scratch) / name
            root.mkdir()
            for part in settings.root().path.iterdir():
                if not part.name.startswith("decisions"):  # the audit log keeps no decisions of this benchmark
                    (root / part.name).symlink_to(part)
            ports[name] = free_port()
            environment = {**os.environ, "RISK_DATA": str(root), "WORKERS": "1", "PORT": str(ports[name])}
            command = [sys.executable, "-c", first + RUN]
            quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
            server = stack.enter_context(subprocess.Popen(command, cwd=settings.PROJECT, env=environment, **quiet))
            stack.callback(server.terminate)
            wait_for(ports[name])
        print(f"one sync: {sync_ms(Path(scratch)):.1f} ms")
        for connections in CONNECTIONS:
            rows = []
            for risk, message in MESSAGES.items():
                turns = {name: [] for name in ports}
                for port in ports.values():
                    load(port, message, connections)
                for _ in range(TURNS):
                    for name, port in ports.items():
                        turns[name].append(load(port, message, connections))
                rates = {name: [len(turn) / SECONDS for turn in of_name] for name, of_name in turns.items()}
                for name, of_name in turns.items():
                    p50, p99 = (
                        1e3 * statistics.median(statistics.quantiles(turn, n=100)[percent - 1] for turn in of_name)
                        for percent in (50, 99)
                    )
                    ratio = statistics.median(map(truediv, rates[name], rates["none"]))
                    rate = statistics.median(rates[name])
                    rows.append((f"{risk} {name}", f"{rate:,.0f}", f"{p50:.2f}", f"{p99:.2f}", f"{ratio:.2f}"))
            columns = (f"{connections} connection{'s' * (connections > 1)}", "requests/s", "p50 ms", "p99 ms", "× none")
            print_table(columns, rows)


if __name__ == "__main__":
    main()
