"""Servers of one process each that take turns under load: the comparison of `group_commit.py` and `shadow.py`."""

import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from operator import truediv
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from http_decision import ORDER, SECONDS, free_port, load, request, wait_for
from printing import print_table

import settings

PROJECT, TURNS = settings.PROJECT, 9
MESSAGES = {
    "daily": request("GET", "/daily-risk-decision/1001/"),
    "chargeback": request("POST", "/api/v1/decisions/chargeback", ORDER),
}
RUN = "import app; app.main([], prog_name='python app.py')"


@contextmanager
def serving(
    contestants: Mapping[str, str], before: Mapping[str, Sequence[str]] | None = None
) -> Iterator[dict[str, int]]:
    """Contestant → the port of its server. Values of `contestants`: what the server's process does first, in Python;
    of `before`: a command of `jobs` on its root. The audit logs are empty, and go with the servers."""
    with tempfile.TemporaryDirectory() as scratch, ExitStack() as stack:
        ports = {}
        for name, first in contestants.items():
            root = Path(scratch) / name
            root.mkdir()
            for part in settings.root().path.iterdir():
                if not part.name.startswith(("decisions", "shadow")):
                    (root / part.name).symlink_to(part)
            ports[name] = free_port()
            environment = {**os.environ, "RISK_DATA": str(root), "WORKERS": "1", "PORT": str(ports[name])}
            quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
            options = {"cwd": PROJECT, "env": environment, **quiet}
            if command := (before or {}).get(name):
                subprocess.run([sys.executable, "-m", "jobs", *command], check=True, **options)
            server = stack.enter_context(subprocess.Popen([sys.executable, "-c", first + RUN], **options))
            stack.callback(server.terminate)
            wait_for(ports[name])
        yield ports


def race(ports: Mapping[str, int], connections: Sequence[int], base: str) -> None:
    """Print a table for each number of connections. Ratios are medians of those to `base` in the same round."""
    for number in connections:
        rows = []
        for risk, message in MESSAGES.items():
            turns: dict[str, list[list[float]]] = {name: [] for name in ports}
            for port in ports.values():
                load(port, message, number)
            for _ in range(TURNS):
                for name, port in ports.items():
                    turns[name].append(load(port, message, number))
            figures = {
                name: ([len(turn) / SECONDS for turn in some], *_percentiles(some)) for name, some in turns.items()
            }
            for name, (rates, p50, p99) in figures.items():
                base_rates, _, base_p99 = figures[base]
                rows.append(
                    (
                        f"{risk} {name}", f"{statistics.median(rates):,.0f}", f"{statistics.median(p50):.2f}",
                        f"{statistics.median(p99):.2f}", f"{statistics.median(map(truediv, rates, base_rates)):.2f}",
                        f"{statistics.median(map(truediv, p99, base_p99)):.2f}",
                    )
                )  # fmt: skip
        title = f"{number} connection{'s' * (number > 1)}"
        print_table((title, "requests/s", "p50 ms", "p99 ms", f"× {base}", f"p99 × {base}"), rows)


def _percentiles(turns: Sequence[Sequence[float]]) -> tuple[list[float], list[float]]:
    """p50 and p99 of each turn, in ms."""
    cuts = [statistics.quantiles(turn, n=100) for turn in turns]
    return [1e3 * cut[49] for cut in cuts], [1e3 * cut[98] for cut in cuts]
