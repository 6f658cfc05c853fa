"""How much more do two processes of the service decide than one?

    python bench/workers.py            (after make pipeline; about a minute)

Two servers, of one process and of two, take turns on 32 connections. The load generator uses the same processors, so
on a machine with two cores the second process cannot add a whole core. Hence what a decision costs is measured, too:
the processor time of the server's processes. If two processes take no more for each decision than one does, they get
in nobody's way, and a core more gives as many decisions more.

Printed are medians of the turns, and medians of the ratios to one process in the same round.
"""

import statistics
from operator import truediv

import psutil
from http_decision import SECONDS, load
from printing import print_table
from turns import MESSAGES, TURNS, serving

CONNECTIONS = 32
#: Contestant → what its server does first.
CONTESTANTS = {
    "1 process": "",
    "2 processes": "import serve; run = serve.run; serve.run = lambda create, _, greeting: run(create, 2, greeting)\n",
}


def processor_seconds(port: int) -> float:
    """Of the processes that listen at a port, until now."""
    listening = {
        c.pid for c in psutil.net_connections("tcp") if c.laddr.port == port and c.status == psutil.CONN_LISTEN
    }
    return sum(sum(psutil.Process(pid).cpu_times()[:2]) for pid in listening if pid)


def main() -> None:
    rows = []
    with serving(CONTESTANTS) as ports:
        for risk, message in MESSAGES.items():
            rates: dict[str, list[float]] = {name: [] for name in ports}
            costs: dict[str, list[float]] = {name: [] for name in ports}
            for turn in range(TURNS + 1):
                for name, port in ports.items():
                    before = processor_seconds(port)
                    answers = len(load(port, message, CONNECTIONS))
                    if turn:  # the first one warms it
                        rates[name].append(answers / SECONDS)
                        costs[name].append(1e6 * (processor_seconds(port) - before) / answers)
            rows += [
                (
                    f"{risk}, {name}", f"{statistics.median(rates[name]):,.0f}",
                    f"{statistics.median(map(truediv, rates[name], rates['1 process'])):.2f}",
                    f"{statistics.median(costs[name]):,.0f}",
                    f"{statistics.median(map(truediv, costs[name], costs['1 process'])):.2f}",
                )
                for name in ports
            ]  # fmt: skip
    print_table(("32 connections", "decisions/s", "× 1 process", "processor µs each", "× 1 process"), rows)


if __name__ == "__main__":
    main()
